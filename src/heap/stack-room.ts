// A runtime that recurses meets the end of V8's stack anywhere, also in calls of the heap's: a RangeError in the middle of a change of
// states would leave a thread that runs while the collector takes it to be stopped. So what changes states asks for room first.

/**
 * Words of stack that a change of states and what it calls need at most. The calls take some hundred; but where V8 has not compiled a function
 * yet, or has dropped its code because nobody called it for long, it does so in the call, and wants 40 KiB for that.
 */
const ROOM: readonly number[] = new Array<number>(44 * 128).fill(0);

/** The same where whatever is called has been called before. */
const COMPILED_ROOM: readonly number[] = ROOM.slice(0, 1024);

function nothing(): void {}

/** Throws the RangeError now, where nothing is half done, if it would come soon. Some 3 µs: for what may wait for others. */
export function assertStackRoom(): void {
  // The elements of the list are arguments: V8 looks whether they fit before it pushes them.
  Reflect.apply(nothing, undefined, ROOM);
}

/** The same for operations that are not to cost microseconds, and call what every one of them calls. Below a microsecond. */
export function assertCompiledStackRoom(): void {
  Reflect.apply(nothing, undefined, COMPILED_ROOM);
}

/** Words for some calls within each other of functions that are compiled. */
const SHORT_ROOM: readonly number[] = ROOM.slice(0, 512);
/** Words for the arguments and the frame of a function of V8's own. */
const BUILTIN_ROOM: readonly number[] = ROOM.slice(0, 128);

/** The same for a section that calls nothing but V8's own functions, which is never compiled. Some 0.1 µs. */
export function assertBuiltinStackRoom(): void {
  Reflect.apply(nothing, undefined, BUILTIN_ROOM);
}

/**
 * A short way through the heap's code that must be gone to its end. Whoever goes it for the first time compiles what it calls. One for each
 * thread: at the top of a module.
 */
export class StackPath {
  #compiled = false;

  /** Throws the RangeError now if it would come before the end of the way. Some 0.4 µs. */
  assertRoom(): void {
    if (this.#compiled) Reflect.apply(nothing, undefined, SHORT_ROOM);
    else assertStackRoom();
  }

  /** The end of the way. */
  end(): void {
    this.#compiled = true;
  }
}
