// The guest module, and what both of its hosts have to do with it.
import { readFileSync } from 'node:fs';
import type { GuestImports } from 'tospace';

/** The guest's programs, as it exports them (assembly/index.ts). */
export interface Guest {
  trees(depth: number, rounds: number): number;
  map(bucketsLog2: number, keys: number, operations: number): number;
  list(nodes: number, rounds: number): number;
}

/** The ids of the types that the guest allocates. */
export interface GuestTypes {
  readonly node: number;
  readonly entry: number;
  readonly table: number;
}

/** Sizes of the guest's records, and where their references are: the same numbers as in assembly/index.ts. */
export const LAYOUTS = {
  node: { bytes: 16, references: [8, 12] },
  entry: { bytes: 24, references: [8] },
} as const;

/** @param checked the build that asks its host to check every access */
export function loadGuest(checked: boolean): WebAssembly.Module {
  const name = checked ? './guest.checked.wasm' : './guest.wasm';
  return new WebAssembly.Module(readFileSync(new URL(name, import.meta.url)));
}

export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  functions: GuestImports,
  types: GuestTypes,
): Guest {
  const imports = { env: { memory }, tospace_v1: functions, types: { ...types } };
  return new WebAssembly.Instance(module, imports).exports as unknown as Guest;
}

export type ProgramName = keyof Guest;

/** One call of the guest, at most 64 MiB of allocation at scale 1. */
export interface Program {
  readonly name: ProgramName;
  readonly what: string;
  run(guest: Guest): number;
}

/** @param scale part of the full sizes, up to 1 */
export function programs(scale: number): readonly Program[] {
  const times = (n: number): number => Math.max(1, Math.round(n * scale));
  return [
    {
      name: 'trees',
      what: `${times(100)} trees of 32 767 nodes`,
      run: (guest) => guest.trees(14, times(100)) >>> 0,
    },
    {
      name: 'map',
      what: `${times(2_000_000)} operations on 16 384 chains`,
      run: (guest) => guest.map(14, 50_000, times(2_000_000)) >>> 0,
    },
    {
      name: 'list',
      what: `50 reversals of ${times(100_000)} nodes`,
      run: (guest) => guest.list(times(100_000), 50) >>> 0,
    },
  ];
}
