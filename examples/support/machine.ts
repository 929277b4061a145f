// What a figure was measured on.
import { availableParallelism, cpus, release } from 'node:os';

export interface Machine {
  readonly cpu: string;
  /** CPUs that the process may use. */
  readonly cpus: number;
  readonly linux: string;
  readonly node: string;
}

export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpus: availableParallelism(),
    linux: release(),
    node: process.version,
  };
}

export function writeMachine(machine: Machine): string {
  return `${machine.cpu}, ${machine.cpus} CPUs, Linux ${machine.linux}, Node ${machine.node}`;
}
