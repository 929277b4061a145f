// The entry `tospace/conformance`: for authors of runtimes, in their tests.

export { conformance, type ConformanceOptions } from './conformance.ts';
export type {
  Embedder,
  EmbedderHeapOptions,
  ModelObject,
  ObjectType,
  Operation,
  RootSet,
} from './embedder.ts';
export { CURES, type Mistake } from './mistakes.ts';
export {
  CHECKS,
  type CheckName,
  type CheckReport,
  type ConformanceReport,
  describeReport,
  type Finding,
} from './report.ts';
