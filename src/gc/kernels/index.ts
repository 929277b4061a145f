// The kernels: everything whose time grows with the heap. Compiled to one WebAssembly module that imports the heap's memory and
// nothing else; each thread has its own instance.
export { bind } from './geometry';
export { markBegin, markDrain, markOverflows, markPending, markRoots, scanUnscanned } from './mark';
export {
  clearDead,
  ephemeronsCleared,
  referencesBegin,
  referencesFound,
  resurrect,
  settleStrays,
  sweepGuards,
  waitingEphemerons,
} from './references';
export { ageCards, countDirtyCards, scanAgedCards, scanDirtyCards, takeGroups } from './cards';
export { plan } from './plan';
export { forwardOne, forwardRoots } from './forward';
export { buildPages, slideBlackFirsts } from './compact';
export { fixPages } from './non-moving';
export {
  claimPages,
  clearPageWords,
  firstPageBelow,
  lowestPageAtLeast,
  movePages,
  pageWord,
} from './page-states';
export { fillWords } from './fill';
