// A runtime that recurses meets the end of V8's stack anywhere, also in calls of the heap's: a RangeError in the middle of a change of
// states would leave a thread that runs while the collector takes it to be stopped. So what changes states asks for room first.

/** Words of stack that a change of states and what it calls need at most, several times over. */
const ROOM: readonly number[] = new Array<number>(1024).fill(0);

function nothing(): void {}

/** Throws the RangeError now, where nothing is half done, if it would come soon. Below a microsecond: for slow paths. */
export function assertStackRoom(): void {
  // The elements of the list are arguments: V8 looks whether they fit before it pushes them.
  Reflect.apply(nothing, undefined, ROOM);
}
