// A thread that never reaches a safepoint must not hold up all others for ever: after a time limit the stop or handshake is given up, and
// the cycle with it. What happened is left in the control block, so that every thread that asked for the cycle can say why it failed.

import { TospaceError } from '../errors.ts';
import {
  CTL_CYCLES_DONE,
  CTL_PHASE,
  CTL_TIMEOUT_MS,
  CTL_TIMEOUT_NAME,
  CTL_TIMEOUT_PAUSE,
  CTL_TIMEOUT_PHASE,
  CTL_TIMEOUT_TICKET,
  CTL_TIMEOUT_TID,
  CTL_TIMEOUTS,
  NAME_WORDS,
  PAUSE_FLIP,
  PAUSE_FULL,
  PAUSE_REMARK,
  PAUSE_VERIFY,
  PHASE_CLOSE,
  PHASE_COMPACT,
  PHASE_FLIP,
  PHASE_MARK,
  PHASE_PLAN,
  PHASE_REMARK,
  T_NAME,
  T_TID,
} from './layout.ts';
import { readName } from './thread-name.ts';

const PHASE_NAMES: Readonly<Record<number, string>> = {
  [PHASE_MARK]: 'mark',
  [PHASE_REMARK]: 'remark',
  [PHASE_PLAN]: 'plan',
  [PHASE_FLIP]: 'flip',
  [PHASE_COMPACT]: 'compact',
  [PHASE_CLOSE]: 'close',
};

const PAUSE_NAMES: Readonly<Record<number, string>> = {
  [PAUSE_REMARK]: 'the remark pause',
  [PAUSE_FLIP]: 'the flip pause',
  [PAUSE_FULL]: 'the pause of the stop-the-world collector',
  [PAUSE_VERIFY]: 'a pause for verification',
};

/** On the collector: notes that it gave up on the thread with this record. `pause` is PAUSE_NONE for a handshake. */
export function noteTimeout(
  control: Int32Array<SharedArrayBuffer>,
  thread: Int32Array<SharedArrayBuffer>,
  pause: number,
  waitedMs: number,
): void {
  control[CTL_TIMEOUT_TID] = thread[T_TID]!;
  control[CTL_TIMEOUT_MS] = Math.round(waitedMs);
  control[CTL_TIMEOUT_PHASE] = control[CTL_PHASE]!;
  control[CTL_TIMEOUT_PAUSE] = pause;
  for (let i = 0; i < NAME_WORDS; i++) control[CTL_TIMEOUT_NAME + i] = thread[T_NAME + i]!;
}

/** On the collector: the cycle with this ticket is given up because of what was noted. */
export function publishTimeout(control: Int32Array<SharedArrayBuffer>, ticket: number): void {
  Atomics.store(control, CTL_TIMEOUT_TICKET, ticket);
  Atomics.add(control, CTL_TIMEOUTS, 1);
}

/** The error that says what was noted last. */
export function timeoutError(control: Int32Array<SharedArrayBuffer>): TospaceError {
  const tid = control[CTL_TIMEOUT_TID]!;
  const name = readName(control, CTL_TIMEOUT_NAME) || `thread ${tid}`;
  const what = PAUSE_NAMES[control[CTL_TIMEOUT_PAUSE]!] ?? 'a handshake';
  const phase = PHASE_NAMES[control[CTL_TIMEOUT_PHASE]!];
  return new TospaceError(
    'ERR_TIMEOUT',
    `"${name}" (thread id ${tid}) did not reach a safepoint within ${control[CTL_TIMEOUT_MS]} ms: the collection was given up ` +
      `while ${what} waited for it${phase === undefined ? '' : `, in the phase ${phase}`}`,
    {
      hint:
        'Call mutator.safepoint() in long loops, and leave() or blocking() before that thread waits for anything; or raise ' +
        'safepointTimeoutMs.',
    },
  );
}

/** The same, if the cycle that answered `ticket` is the last one that ended and was given up this way. */
export function timeoutOf(control: Int32Array<SharedArrayBuffer>, ticket: number): TospaceError | undefined {
  if (Atomics.load(control, CTL_TIMEOUTS) === 0) return undefined;
  const given = Atomics.load(control, CTL_TIMEOUT_TICKET);
  if (given !== Atomics.load(control, CTL_CYCLES_DONE) || ((given - ticket) | 0) < 0) return undefined;
  return timeoutError(control);
}
