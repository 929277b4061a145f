// The worker at the reading end of a ring: one pass for every message, until its port is closed.
import { parentPort } from 'node:worker_threads';
import { type EncodedError, encodeError, viewOf } from 'tospace/uffd';
import { abort, consume, type Pass, spanOf } from './channel.ts';

/** What it answers after a pass. */
export type ConsumerAnswer =
  | { readonly type: 'read' }
  | { readonly type: 'failed'; readonly error: EncodedError };

parentPort!.on('message', (pass: Pass) => {
  let answer: ConsumerAnswer;
  try {
    consume(pass, viewOf(pass.address, spanOf(pass)));
    answer = { type: 'read' };
  } catch (error) {
    // Also for what went wrong before the pass began.
    abort(pass.control);
    answer = { type: 'failed', error: encodeError(error) };
  }
  parentPort!.postMessage(answer);
});
