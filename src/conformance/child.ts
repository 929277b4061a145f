// One check, in a process of its own: a mistake may make the collector stop the process, or block a thread for ever. Messages are written
// synchronously, so that what was said before a fail stop has been said.

import { writeSync } from 'node:fs';
import { encodeError } from '../errors.ts';
import { runHistory } from './checks/history.ts';
import { CHECK_BY_NAME } from './checks/index.ts';
import { blame, thrown, whereThrown } from './checks/check.ts';
import { type Job, type Message, MESSAGES_FD, type Place } from './job.ts';
import type { AnyEmbedder } from './rig.ts';

const job = JSON.parse(process.argv[2]!) as Job;
const say = (message: Message): void => {
  writeSync(MESSAGES_FD, `${JSON.stringify(message)}\n`);
};

let loaded = false;
let place: Place = { operation: 'attach' };
try {
  const { default: embedder } = (await import(job.module)) as { default?: AnyEmbedder };
  if (typeof embedder !== 'object' || embedder === null)
    throw new Error('it has no embedder as its default export');
  loaded = true;
  const { seed, effort, timeoutMs } = job;
  const at = (next: Place): void => {
    place = next;
    say({ at: next });
  };
  const context = { seed, effort, timeoutMs, at };
  const outcome =
    job.check === 'history'
      ? await runHistory(embedder, job.configuration!, job.steps!, context)
      : await CHECK_BY_NAME[job.check].run(embedder, context);
  say({ outcome });
} catch (error) {
  // What a verifying heap finds is a mistake of the runtime's, wherever it was made: in `attach`, or where a root is set.
  const mistake = loaded ? blame(error, undefined) : undefined;
  if (mistake === undefined) say({ error: encodeError(error), loaded });
  else
    say({
      outcome: {
        findings: [{ mistake, ...place, what: thrown(error), ...whereThrown(error) }],
        covered: 'stopped by what was thrown',
      },
    });
}
// The heap is not closed: after a mistake it may be unable to, and the parent ends this process now.
