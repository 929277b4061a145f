// What types and their reference fields are called. Descriptors are plain objects of the thread that made them; who looks at the heap may
// be another thread, so the names are in shared memory too. Written once, when a type is registered, under the registry lock.
//
// Names are for people: when the room for them is used up (4 MiB of text) a type is registered all the same, and has no name here.

import { MAX_TYPES, TYPE_TEXT_BYTES } from './layout.ts';
import type { Tables } from './tables.ts';

export interface TypeText {
  readonly name: string;
  /** Byte offsets of reference fields by name. */
  readonly fields: Readonly<Record<string, number>>;
}

/** Under the registry lock. A thread that is terminated in here leaves some bytes unused. */
export function writeTypeText(tables: Tables, id: number, text: TypeText): void {
  const { typeNames, typeTexts } = tables.geometry;
  const names = tables.words(typeNames, MAX_TYPES);
  const bytes = new TextEncoder().encode(JSON.stringify([text.name, text.fields]));
  const used = names[0]!;
  const next = used + 4 + ((bytes.length + 3) & -4);
  if (next > TYPE_TEXT_BYTES) return;
  names[0] = next;
  tables.words(typeTexts + used, 1)[0] = bytes.length;
  tables.bytes(typeTexts + used + 4, bytes.length).set(bytes);
  Atomics.store(names, id, typeTexts + used);
}

/** What a type is called; undefined when there was no room for its name. */
export function readTypeText(tables: Tables, id: number): TypeText | undefined {
  const at = Atomics.load(tables.words(tables.geometry.typeNames, MAX_TYPES), id) >>> 0;
  if (at === 0) return undefined;
  // Copied: a decoder refuses shared memory.
  const bytes = tables.bytes(at + 4, tables.words(at, 1)[0]!).slice();
  const [name, fields] = JSON.parse(new TextDecoder().decode(bytes)) as [string, Record<string, number>];
  return { name, fields };
}
