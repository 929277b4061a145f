// One check, in a process of its own: a mistake may make the collector stop the process, or block a thread for ever. Messages are written
// synchronously, so that what was said before a fail stop has been said.

import { writeSync } from 'node:fs';
import { encodeError } from '../errors.ts';
import { runHistory } from './checks/history.ts';
import { CHECK_BY_NAME } from './checks/index.ts';
import { type Job, type Message, MESSAGES_FD } from './job.ts';
import type { AnyEmbedder } from './rig.ts';

const job = JSON.parse(process.argv[2]!) as Job;
const say = (message: Message): void => {
  writeSync(MESSAGES_FD, `${JSON.stringify(message)}\n`);
};

let loaded = false;
try {
  const { default: embedder } = (await import(job.module)) as { default?: AnyEmbedder };
  if (typeof embedder !== 'object' || embedder === null)
    throw new Error('it has no embedder as its default export');
  loaded = true;
  const { seed, effort, timeoutMs } = job;
  const context = { seed, effort, timeoutMs, at: (at: object) => say({ at }) };
  const outcome =
    job.check === 'history'
      ? await runHistory(embedder, job.configuration!, job.steps!, context)
      : await CHECK_BY_NAME[job.check].run(embedder, context);
  say({ outcome });
} catch (error) {
  say({ error: encodeError(error), loaded });
}
// The heap is not closed: after a mistake it may be unable to, and the parent ends this process now.
