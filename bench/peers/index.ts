// The peers: other runtimes with collectors of their own, and programs for them that do the same work. README.md says how they are run and why.

import { BOEHM } from './boehm.ts';
import { GO } from './go.ts';
import { JAVA } from './java.ts';
import { OCAML } from './ocaml.ts';
import type { Peer } from './peer.ts';
import { V8 } from './v8.ts';

export type { Pause, Peer, PeerRun, PeerRunOptions, Prepared } from './peer.ts';

export const PEERS: readonly Peer[] = [V8, ...JAVA, GO, BOEHM, OCAML];
