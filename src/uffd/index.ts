// Public entry `tospace/uffd`: Linux memory mappings and page faults for Node.js. Knows nothing of objects or collectors.
export {
  decodeError,
  type EncodedError,
  type ErrorCode,
  encodeError,
  invariant,
  TospaceError,
  type TospaceErrorDetails,
} from '../errors.ts';
export * from './abi.ts';
export { check, hex, syscallError } from './check.ts';
export { allowedCpus, currentCpu, pin } from './cpu.ts';
export * from './errno.ts';
export { FaultReader } from './fault-reader.ts';
export { type InjectionPlan, type InjectionRule, injectFaults } from './injection.ts';
export type { Kernel, KernelBuffer } from './kernel.ts';
export { addressOf, createLibcKernel, viewOf } from './libc.ts';
export { Memfd, type MemfdMapOptions } from './memfd.ts';
export type { ProbeHost } from './probe/host.ts';
export { type ProbeOptions, probe } from './probe/probe.ts';
export type { ProbeGroup, ProbeReport, ProbeRow, ProbeStatus, ProbeVerdict } from './probe/report.ts';
export { PagemapScan, type PagemapScanOptions } from './pagemap-scan.ts';
export { Reservation, type ReserveOptions } from './reservation.ts';
export { type ServeFaultsOptions, serveFaults } from './serve.ts';
export { StopSignal } from './stop-signal.ts';
export { Userfaultfd, type UserfaultfdKind, type UserfaultfdOptions } from './userfaultfd.ts';
