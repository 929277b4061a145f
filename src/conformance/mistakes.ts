// The mistakes that the kit knows by name, and what cures each.

/** Names are stable: a test of an embedder may ask for one. */
export type Mistake =
  | 'lying-size'
  | 'wrong-map'
  | 'missed-root'
  | 'missed-barrier'
  | 'stale-reference'
  | 'leaked-handle'
  | 'no-safepoint'
  | 'inconsistent-hooks'
  | 'unexplained';

export const CURES: Readonly<Record<Mistake, string>> = {
  'lying-size':
    'Register the size that the runtime really uses, header included and rounded up to 8 bytes; give an array its length in elements, ' +
    'not in bytes, with room for what ends a string; never change the header of an object.',
  'wrong-map':
    'List the offset of every reference field, and of nothing else, in defineRecordLayout, or name the fields as ref in defineRecord; and keep ' +
    'nothing but references and null there: no tagged integers.',
  'missed-root':
    'Keep what must live over a safepoint on the shadow stack (mutator.local), in a persistent handle (mutator.persist), or in an object ' +
    'that is reachable from one; a JavaScript variable, array or Map is not a root, and neither are weak records, weak maps and intern tables.',
  'missed-barrier':
    "Store references into objects by setRef, setElement or another operation of the mutator; code that stores by itself must mark the slot's " +
    'card afterwards, of the slot and not of the object.',
  'stale-reference':
    'Put references into handles (mutator.scope, mutator.local) before anything that may allocate or poll, and read them again from there ' +
    'afterwards. Operands of a call are no exception, nor are arguments that wait while the next one is computed.',
  'leaked-handle':
    'Open a mutator.scope around whatever makes handles, or truncate the shadow stack on every way out, also where something is thrown.',
  'no-safepoint':
    'Call mutator.safepoint() in loops that do not allocate, and mutator.blocking() around what waits.',
  'inconsistent-hooks':
    "Correct the description: without any collection the runtime's answers already disagree with each other.",
  unexplained:
    'Repeat it with the seed. When no other check fails it may be a defect of tospace: please report it.',
};
