// What is given to `run`, `scope` and `blocking` must be over when they return, and must not hand out what means nothing afterwards. Behind
// an `await` it would go on in a safe region, without its handles. Behind `run` and `blocking` a reference is stale: objects may have moved
// in the safe region; behind `scope` a handle is: its slot is given to the next. References may leave a scope, which is no safepoint.

import type { Local, Ref } from './ref.ts';

/** What has no members, or none that concern anybody: a number (a reference is one), a function, a handle. */
type Opaque = number | ((...args: never) => unknown) | Disposable;

/** What is there at first sight: the value, the elements of an array, the members of an object. */
type Parts<T> =
  | T
  | (T extends Opaque
      ? never
      : T extends readonly unknown[]
        ? T[number]
        : T extends object
          ? T[keyof T]
          : never);

/** The members of a union that are a `Kind`. Of `any` nothing is known, and nothing is refused. */
type Only<T, Kind> = 0 extends 1 & T ? never : T extends Kind ? T : never;

/** A member that nothing has, named after the rule, where a `Kind` is among what `T` may be. */
type Without<T, Kind, Rule extends string> = [Only<T, Kind>] extends [never]
  ? unknown
  : { readonly [Broken in Rule]: never };

type Synchronous<T> = Without<T, PromiseLike<unknown>, 'must not be asynchronous'>;

/**
 * A function for `mutator.scope`. One that returns a promise, or a handle made by `local`, does not compile, nor does one that returns an
 * array or an object with a handle in it. A function of your own that passes its argument on to `scope` declares it so.
 */
export type ScopeBody<T> = (() => T) &
  Synchronous<T> &
  Without<Parts<T>, Local, 'must not return a handle, which ends with its scope: return the reference'>;

/**
 * A function for `mutator.run` and `mutator.blocking`. One that returns a promise, or a raw reference, does not compile, nor does one that
 * returns an array or an object with a reference in it. Inside `run`, where references may be handed on, `scope` takes the place of
 * another `run`. A function of your own that passes its argument on declares it so.
 */
export type RunBody<T> = (() => T) &
  Synchronous<T> &
  Without<
    Parts<T>,
    Ref,
    'must not return a reference, which is stale afterwards: return mutator.persist(reference)'
  >;
