// What references can find wrong with a collector, the same in every form. Guests import these functions.

function fail(what: string): never {
  throw new Error(`references: ${what}`);
}

export function weakLost(id: number): never {
  fail(`the weak reference to subject ${id} does not name it, although it lives`);
}

export function valueLost(id: number): never {
  fail(`the ephemeron of subject ${id} has lost its value, although it lives`);
}

export function wrongSubject(id: number, named: number): never {
  fail(`the weak reference to subject ${id} names ${named}`);
}

export function valueKept(id: number): never {
  fail(`subject ${id} is dead, and its ephemeron has a value`);
}

export function stillThere(id: number): never {
  fail(`subject ${id} is reachable by its weak reference only`);
}

export function neverGuarded(id: number): never {
  fail(`subject ${id} was finalized, and was never guarded`);
}

/** `ids` and `expectedIds` are exclusive ors. */
export function wrongDeaths(count: number, ids: number, expectedCount: number, expectedIds: number): never {
  fail(`${count} objects were finalized with ids ${ids}, not ${expectedCount} with ${expectedIds}`);
}
