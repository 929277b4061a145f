// Runs one check in a process of its own, and turns whatever becomes of that process into a result.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { decodeError, TospaceError } from '../errors.ts';
import { FAIL_STOP_STATUS } from '../gc/fail-stop.ts';
import type { Outcome, Symptom } from './checks/check.ts';
import { type Job, type Message, MESSAGES_FD } from './job.ts';
import type { Mistake } from './mistakes.ts';

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));

/** What a child may say on standard error before it is cut. */
const STDERR_MAX = 64 * 1024;

/** The first line of a fail stop's report that says why. */
function reasonOf(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const report = lines.filter((line) => line.startsWith('tospace: '));
  const said = report.find((line) => /^tospace: (ERR_\w+|\w*Error)/.test(line)) ?? report[0] ?? lines.at(-1);
  return said?.replace(/^tospace: /, '') ?? 'nothing on standard error';
}

/** What `conformance` rejects with when a check was not run to its end. */
function failureOf({ check }: Job, { error, loaded }: Extract<Message, { loaded: boolean }>): TospaceError {
  const cause = decodeError(error);
  return loaded
    ? new TospaceError('ERR_WORKER', `the check ${check} could not be run: ${cause.message}`, {
        hint: 'A hook of the embedder threw where nothing is wrong with the heap; see the cause.',
        cause,
      })
    : new TospaceError('ERR_OPTION', `embedder.module does not load: ${cause.message}`, {
        hint: 'embedder.module must be the import.meta.url of the module whose default export is the embedder; see the cause.',
        cause,
      });
}

/**
 * Runs a check.
 * @param blames the mistake that explains a process which did not survive the check.
 * @param end kills the process.
 * @throws TospaceError ERR_OPTION when the embedder's module does not load, ERR_WORKER when the check could not be run for another reason.
 */
export function runJob(job: Job, blames: Mistake, end: AbortSignal): Promise<Outcome> {
  const child = spawn(process.execPath, [...process.execArgv, CHILD, JSON.stringify(job)], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    signal: end,
    killSignal: 'SIGKILL',
  });
  return new Promise((resolve, reject) => {
    let stderr = '';
    let rest = '';
    let place: Partial<Symptom> = {};
    let result: Outcome | Error | undefined;
    let late = false;
    const { timeoutMs } = job;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stderr!.on('data', (chunk) => {
      if (stderr.length < STDERR_MAX) stderr += chunk;
    });
    child.stdio[MESSAGES_FD]!.on('data', (chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const message = JSON.parse(line) as Message;
        if ('at' in message) place = message.at;
        else result = 'outcome' in message ? message.outcome : failureOf(job, message);
      }
      // All is said, and a damaged heap may never close.
      if (result !== undefined) child.kill('SIGKILL');
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      const hint = 'The system gives no more processes: see the cause.';
      reject(new TospaceError('ERR_WORKER', `no process for the check ${job.check}`, { hint, cause: error }));
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      if (result instanceof Error) return reject(result);
      if (result !== undefined) return resolve(result);
      const how = late
        ? `the process hung and was killed after ${timeoutMs} ms`
        : status === FAIL_STOP_STATUS
          ? 'the collector found the heap damaged and stopped the process'
          : `the process ended ${status === null ? `by ${signal}` : `with the status ${status}`}`;
      resolve({
        findings: [{ mistake: late ? 'unexplained' : blames, ...place, what: `${how}: ${reasonOf(stderr)}` }],
        covered: 'did not end',
      });
    });
  });
}
