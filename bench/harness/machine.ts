// The machine header.

import { cpus, freemem, loadavg, release, totalmem } from 'node:os';
import { allowedCpus, createLibcKernel } from 'tospace/uffd';
import { packageVersion } from '../cli/version.ts';
import { cpuGovernor, hugePageSetting, swapBytes } from './proc.ts';
import type { Machine } from './schema.ts';
import { probeSpeed } from './speed.ts';

/** As it is before the first measurement. */
export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpus: allowedCpus(createLibcKernel()).length,
    governor: cpuGovernor(),
    kernel: release(),
    memoryBytes: totalmem(),
    availableMemoryBytes: process.availableMemory?.() ?? freemem(),
    swapBytes: swapBytes(),
    hugePages: { anonymous: hugePageSetting('enabled'), shmem: hugePageSetting('shmem_enabled') },
    node: process.version,
    v8: process.versions.v8,
    tospace: packageVersion(),
    peers: {},
    loadBefore: loadavg(),
    loadAfter: null,
    speedBefore: probeSpeed(),
    speedAfter: null,
    pretouchedBytes: 0,
  };
}

/** The same after the last. */
export function machineAfter(machine: Machine): Machine {
  return { ...machine, loadAfter: loadavg(), speedAfter: probeSpeed() };
}
