// The kinds of number that address memory. They are all plain numbers at run time, and do not mix at compile time.

declare const refBrand: unique symbol;
declare const localBrand: unique symbol;
declare const typeBrand: unique symbol;
declare const kindBrand: unique symbol;

/**
 * A reference: the address of an object in the shared memory, or 0 for null. It is valid until the thread's next safepoint, and
 * every allocation is one: what must live longer goes into a handle. A number is no reference; `mutator.asRef` makes one of an address
 * that came from elsewhere.
 *
 * `Name` is the name of the object's type, as far as the compiler knows it: what `allocate` returns has it, what is read from a field has
 * not, and fits every name. An offset of another type's field does not compile with it.
 */
// biome-ignore lint/suspicious/noExplicitAny: a reference of unknown type fits wherever a reference does
export type Ref<Name extends string = any> = number & {
  readonly [refBrand]: true;
  readonly [typeBrand]?: Name;
};

/** A scoped handle: a slot of the thread's shadow stack. Valid until its scope closes. `Name` as for {@link Ref}. */
// biome-ignore lint/suspicious/noExplicitAny: as for Ref
export type Local<Name extends string = any> = number & {
  readonly [localBrand]: true;
  readonly [typeBrand]?: Name;
};

/**
 * A byte offset of a field from its object's start. Those of a type descriptor (`Cell.offset.next`) know what the field holds and whose it
 * is, and fit only operations on such a field. A plain number, for a layout of the embedder's own, fits every operation.
 */
// biome-ignore lint/suspicious/noExplicitAny: as for Ref
export type Offset<Kind extends string, Name extends string = any> = number & {
  readonly [kindBrand]?: Kind;
  readonly [typeBrand]?: Name;
};

/** The null reference. */
export const NULL: Ref = 0 as Ref;
