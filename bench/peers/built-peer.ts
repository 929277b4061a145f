// What the peers that are compiled here have in common.

import type { Pause, Peer, PeerRun, PeerRunOptions, Prepared } from './peer.ts';
import { Unavailable } from './toolchain.ts';

export interface Program {
  /** Of the runtime, for people. */
  readonly version: string;
  /** Folder that the program is in. */
  readonly folder: string;
}

export interface PeerDefinition {
  readonly name: string;
  /** Without the version. */
  readonly title: string;
  readonly workloads: readonly string[];
  /** @throws Unavailable */
  build(dir: string): Promise<Program>;
  run(folder: string, options: PeerRunOptions): PeerRun;
  pauses(log: string): Pause[];
}

export class BuiltPeer implements Peer {
  readonly #definition: PeerDefinition;
  #program: Program | undefined;

  constructor(definition: PeerDefinition) {
    this.#definition = definition;
  }

  get name(): string {
    return this.#definition.name;
  }

  get title(): string {
    const { title } = this.#definition;
    return this.#program === undefined ? title : `${title}, ${this.#program.version}`;
  }

  get workloads(): readonly string[] {
    return this.#definition.workloads;
  }

  async prepare(dir: string): Promise<Prepared> {
    try {
      this.#program = await this.#definition.build(dir);
      return { version: this.#program.version };
    } catch (error) {
      if (error instanceof Unavailable) return { skipped: error.message };
      throw error;
    }
  }

  run(options: PeerRunOptions): PeerRun {
    if (this.#program === undefined) throw new Error(`peer ${this.name}: not prepared`);
    return this.#definition.run(this.#program.folder, options);
  }

  pauses(log: string): Pause[] {
    return this.#definition.pauses(log);
  }
}
