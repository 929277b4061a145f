// Which peers there are, and which of them this machine has.

import { PEERS } from '../peers/index.ts';
import type { Peer } from './peer.ts';
import type { Skipped } from './schema.ts';

/** All peers that the harness knows. V8 is none: it is the form `v8`. */
export async function knownPeers(): Promise<readonly Peer[]> {
  return PEERS.filter(({ name }) => name !== 'v8');
}

export interface FoundPeers {
  readonly peers: readonly Peer[];
  readonly versions: Readonly<Record<string, string>>;
  readonly skipped: readonly Skipped[];
}

/** Looks for peers and builds their programs, one after the other. A name that nobody knows is skipped with that reason. */
export async function findPeers(
  wanted: 'all' | readonly string[],
  known: readonly Peer[],
  dir: string,
  tell: (text: string) => void,
): Promise<FoundPeers> {
  const peers: Peer[] = [];
  const versions: Record<string, string> = {};
  const skipped: Skipped[] = [];
  const names = wanted === 'all' ? known.map(({ name }) => name) : wanted;
  for (const name of names) {
    const peer = known.find((one) => one.name === name);
    if (peer === undefined) {
      skipped.push({
        what: name,
        reason: `there is no such peer; there are ${known.map((one) => one.name).join(', ') || 'none'}`,
      });
      continue;
    }
    tell(`preparing ${peer.title}`);
    const result = await peer.prepare(dir).catch((error: Error) => ({ skipped: error.message }));
    if ('skipped' in result) skipped.push({ what: name, reason: result.skipped });
    else {
      peers.push(peer);
      versions[name] = result.version;
    }
  }
  return { peers, versions, skipped };
}
