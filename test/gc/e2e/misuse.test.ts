// What a verifying heap says of mistakes: types, fields, threads and lengths by name, and what to do about it.
import { describe, expect, test } from 'vitest';
import { describeEnd, run, succeed } from './support.ts';

const FAIL_STOP = 70;

test('every misuse is named where it happens, with a way out of its own', async () => {
  const found = await succeed<Record<string, string>>('misuse', 'messages');
  const expected: Record<keyof typeof found, RegExp> = {
    null: /^ERR_TYPE getRef: the reference is null \| Compare with NULL first/,
    undefined: /^ERR_TYPE setRef, the value: undefined is not a reference \| .* not undefined/,
    tagged: /^ERR_TYPE setRef, the value: 43 is not a reference into the heap \| .*Tagged integers/,
    otherField: /^ERR_TYPE getRef: offset 16 is not a reference field of a Pair \| .*car at 8, cdr at 12/,
    noField: /^ERR_TYPE getRef: offset undefined is not .* of a Pair \| .*no field of that name/,
    rawField: /^ERR_TYPE getRef: offset 8 is not a reference field of an Entry/,
    referenceAsData: /^ERR_TYPE getF64: offset 8 is a reference of a Pair \| Use getRef/,
    header: /^ERR_TYPE setI32: offset 4 is not 4 bytes of data of a Pair \| Data begins at byte 8/,
    weakField: /^ERR_TYPE getRef: offset 8 of a Weak is weak.* \| Use getWeak/,
    elementOf: /^ERR_TYPE getElement: there is no element 3 in a Vector of length 3/,
    setElementOf: /^ERR_TYPE setElement: there is no element -1 in a Vector of length 3/,
    atomicElementOf: /^ERR_TYPE atomicLoad\w+: there is no element 7 in a Vector of length 3/,
    manyElements: /^ERR_TYPE copyElements, the target: there is no element 3 in a Vector of length 3/,
    elementOfText: /^ERR_TYPE getElement: .* a Text of length 4, .* wants an array of references/,
    bytesOf: /^ERR_TYPE copyBytes, the target: \[4, 10\) are not bytes of a Text of length 4/,
    asyncScope: /^ERR_TYPE scope: the function is asynchronous \| .*await first/,
    asyncRun: /^ERR_TYPE run: the function is asynchronous/,
    asyncBlocking: /^ERR_TYPE blocking: the function is asynchronous/,
    lengthOfRecord: /^ERR_TYPE length: the object at \d+, a Pair, is not of that kind: it wants an array/,
    pinnedAndForgotten: /^ERR_TYPE length: there is no object at \d+.* \| .*needs a handle/,
    noType: /^ERR_TYPE allocate\(undefined\): undefined is no type \| .*spelling/,
    unknownType: /^ERR_TYPE allocate\(5000\): there is no type 5000/,
    otherSize: /^ERR_TYPE allocate\(\d+\): the descriptor says 24 bytes, and a Pair was registered with 16/,
    arrayAsRecord: /^ERR_TYPE allocate\(Vector\): the type does not fit the call \| .*allocateArray/,
    recordAsArray: /^ERR_TYPE allocateArray\(Pair\): the type does not fit the call \| .*allocate\(/,
    otherElement: /^ERR_TYPE .*the descriptor says elements of 1 bytes, and a Text was registered with 2/,
    otherKind: /^ERR_TYPE .*elements of 4 bytes, and a Vector was registered with 4, references/,
  };
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
  expect(found).toEqual(
    Object.fromEntries(Object.entries(expected).map(([name, text]) => [name, expect.stringMatching(text)])),
  );
});

test('what was written past an end is found by the next allocation, which says whose end it was', async () => {
  const found = await succeed<string[]>('misuse', 'overrun');
  expect(found.slice(0, 1)).toEqual(['not found']); // the type id is written over it
  for (const text of found.slice(1))
    expect(text).toMatch(
      /^ERR_VERIFY allocate\(Pair\): the room at \d+ is not empty.* past the end .* a Text of length 4$/,
    );
});

test('a type of the wrong kind is refused without verification, too', async () => {
  const unfit = 'ERR_TYPE the type does not fit the call';
  expect(await succeed('misuse', 'unchecked')).toEqual([unfit, unfit]);
});

describe('the verifier stops the process, and says which object, field and thread', () => {
  test.each<[scenario: string, text: RegExp]>([
    [
      'unbarriered',
      /the Pair at 0x\w+ is reachable and not marked: element 2 of the Vector at 0x\w+ refers to it\n.*write barrier/,
    ],
    ['tagged', /cdr of the Pair at 0x\w+ holds 0x2b, which is not on an 8-byte boundary\n.*tagged integer/],
    [
      'overwritten',
      /slot 1 of the shadow stack of thread careless holds 0x\w+, where there is no object .*, right behind the Text at 0x\w+\n.*past its end/,
    ],
  ])('%s', async (scenario, text) => {
    const result = await run('misuse', scenario);
    expect(result.status, describeEnd(result)).toBe(FAIL_STOP);
    expect(result.stderr).toMatch(text);
  });
});
