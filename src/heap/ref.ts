// The kinds of number that address memory. They are all plain numbers at run time, and do not mix at compile time.

declare const refBrand: unique symbol;
declare const localBrand: unique symbol;

/**
 * A reference: the address of an object in the shared memory, or 0 for null. It is valid until the thread's next safepoint, and
 * every allocation is one: what must live longer goes into a handle.
 */
export type Ref = number & { readonly [refBrand]: true };

/** A scoped handle: a slot of the thread's shadow stack. Valid until its scope closes. */
export type Local = number & { readonly [localBrand]: true };

/** The null reference. */
export const NULL: Ref = 0 as Ref;
