// What a verifying mutator says of a mistake: errors that name the type, the field and the way out.

import { TospaceError } from '../errors.ts';
import { HEADER_BYTES, KIND_RAW_ARRAY, KIND_REF_ARRAY, TYPE_ENTRY_LOG2, TYPE_ID_MASK } from './layout.ts';
import type { Ref } from './ref.ts';
import type { Tables } from './tables.ts';
import { readTypeText } from './type-names.ts';

const STALE = 'is stale: it was read before';
const OVERRUN = 'something wrote past the end of an object';

const STALE_HINT =
  'Objects may move at a safepoint, and every allocation is one: keep the reference in a handle, and read it again from there. ' +
  'One that came from a view or from WebAssembly code goes through asRef.';
/** Of what is no object: it may be a stale reference that nobody could know to be one. */
const NO_OBJECT_HINT =
  'References are stale after a safepoint, and every allocation is one: keep them in handles, and read them again afterwards. ' +
  'Tagged integers and addresses inside of objects are no references.';

/** Whether an error says that a reference was kept across a safepoint. */
export function isStale(error: unknown): boolean {
  return error instanceof TospaceError && error.code === 'ERR_TYPE' && error.message.includes(STALE);
}

/** Whether an error says that more was written than was allocated. */
export function isOverrun(error: unknown): boolean {
  return error instanceof TospaceError && error.code === 'ERR_VERIFY' && error.message.includes(OVERRUN);
}

export function misuse(what: string, hint: string): TospaceError {
  return new TospaceError('ERR_TYPE', what, { hint });
}

/** "a Pair", "an Entry". */
function withArticle(name: string): string {
  return `${/^[aeiou]/i.test(name) ? 'an' : 'a'} ${name}`;
}

export class Misuse {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** "a Pair", or "an object of type 7" where the name is not known. */
  nameOf(type: number): string {
    const text = readTypeText(this.#tables, type);
    return text === undefined ? `an object of type ${type}` : withArticle(text.name);
  }

  /** As {@link nameOf}, with the length of an array: "a Vector of 3 elements". */
  describe(ref: number): string {
    const words = this.#tables.words(ref, 2);
    const type = words[0]! & TYPE_ID_MASK;
    const kind = this.#tables.words(this.#tables.geometry.types + (type << TYPE_ENTRY_LOG2), 1)[0];
    const isArray = kind === KIND_REF_ARRAY || kind === KIND_RAW_ARRAY;
    return isArray ? `${this.nameOf(type)} of length ${words[1]}` : this.nameOf(type);
  }

  stale(what: string, ref: Ref, since: string): TospaceError {
    return misuse(`${what}: the reference ${ref} ${STALE} ${since}, and not again since`, STALE_HINT);
  }

  null(what: string): TospaceError {
    return misuse(
      `${what}: the reference is null`,
      'Compare with NULL first: fields and elements of a new object, a weak reference whose object has died, and what tryAllocate found no ' +
        'room for are null.',
    );
  }

  noReference(what: string, ref: unknown): TospaceError {
    if (ref === undefined)
      return misuse(
        `${what}: undefined is not a reference`,
        'The null reference is NULL, not undefined: a JavaScript array or Map has no element there.',
      );
    return misuse(`${what}: ${ref} is not a reference into the heap`, NO_OBJECT_HINT);
  }

  /** At an address of the space whose objects do not move. */
  noPinned(what: string, ref: Ref): TospaceError {
    return misuse(
      `${what}: there is no object at ${ref}, in the space of those that do not move`,
      'An object that does not move needs a handle or a reference to stay alive, too.',
    );
  }

  noObject(what: string, ref: Ref, type: number): TospaceError {
    return misuse(`${what}: there is no object at ${ref} (type ${type})`, NO_OBJECT_HINT);
  }

  wrongKind(what: string, ref: Ref, wanted: string): TospaceError {
    return misuse(
      `${what}: the object at ${ref}, ${this.describe(ref)}, is not of that kind: it wants ${wanted}`,
      'Use the operations of the type that the object was allocated with; or the reference is stale, and names another object by now.',
    );
  }

  /** There is no reference at that offset of the record or the raw array. */
  noSlot(what: string, ref: Ref, offset: unknown): TospaceError {
    const type = this.#tables.words(ref, 1)[0]! & TYPE_ID_MASK;
    const fields = Object.entries(readTypeText(this.#tables, type)?.fields ?? {})
      .map(([name, at]) => `${name} at ${at}`)
      .join(', ');
    return misuse(
      `${what}: offset ${offset} is not a reference field of ${this.nameOf(type)}`,
      (offset === undefined
        ? 'The descriptor has no field of that name. '
        : fields === ''
          ? ''
          : `Its fields: ${fields}. `) +
        'Use the offsets of the descriptor that the object was allocated with; or the reference is stale, and names another object by now.',
    );
  }

  weakSlot(what: string, ref: Ref, offset: number): TospaceError {
    return misuse(
      `${what}: offset ${offset} of ${this.describe(ref)} is weak, and has operations of its own`,
      'Use getWeak and setWeak, or getKey, getValue and setEphemeron: a plain load could give an object that is dead.',
    );
  }

  noElement(what: string, ref: Ref, index: number): TospaceError {
    return misuse(
      `${what}: there is no element ${index} in ${this.describe(ref)}`,
      'Elements are counted from 0.',
    );
  }

  /** @param isReference it is within the object, but a reference. */
  noData(what: string, ref: Ref, offset: unknown, bytes: number, isReference: boolean): TospaceError {
    const name = this.describe(ref);
    if (isReference)
      return misuse(
        `${what}: offset ${offset} is a reference of ${name}`,
        'Use getRef and setRef, or getElement and setElement.',
      );
    return misuse(
      `${what}: offset ${offset} is not ${bytes === 1 ? 'a byte' : `${bytes} bytes`} of data of ${name}`,
      `Data begins at byte ${HEADER_BYTES}, behind the header, ends with the object, and lies on a multiple of its size. ` +
        'The words of the header are reached through a view.',
    );
  }

  noBytes(what: string, ref: Ref, begin: number, end: number): TospaceError {
    return misuse(
      `${what}: [${begin}, ${end}) are not bytes of ${this.describe(ref)}`,
      'Bytes are counted from the first element of an array of raw data.',
    );
  }

  /** What was allocated is not empty. `before`: what this thread allocated last, if the new object begins where that one ends; or null. */
  overrun(what: string, ref: Ref, offset: number, before: Ref): TospaceError {
    const word = this.#tables.words(ref + offset, 1)[0]! >>> 0;
    const culprit = before === 0 ? '' : `, probably of the one allocated before it, ${this.describe(before)}`;
    return new TospaceError(
      'ERR_VERIFY',
      `${what}: the room at ${ref} is not empty, it holds 0x${word.toString(16)} at +${offset}: ${OVERRUN}${culprit}`,
      {
        hint:
          'Allocate as many elements as are written, in elements and not in bytes, with room for what ends a string. Views do not check: ' +
          'compare where they are written with 8 + length * size of an element.',
      },
    );
  }
}
