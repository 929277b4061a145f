// When to begin a cycle: as late as it can be over before the room is used up. (ZGC's director has the same question.)
//
// Room comes back at the flip, so what counts is the time from the beginning of a cycle to its flip: marking, remark and plan. In that
// time the program goes on allocating at the rate that is expected of it; room for that is the *lead*.

export interface StartInput {
  /** Bytes in use after the last flip. */
  readonly usedBytes: number;
  /** The soft limit in bytes. */
  readonly limitBytes: number;
  /** Bytes per millisecond that are expected to be allocated. */
  readonly ratePerMs: number;
  /** Milliseconds that a cycle is expected to take until it makes room; undefined while none has been seen. */
  readonly toRoomMs: number | undefined;
  /** Bytes that cycles find allocated after their black line: they live on, whatever they are. */
  readonly blackBytes: number;
  /** How much of the allowance for external memory is used up, 0 to 1. */
  readonly externalPressure: number;
  /** False where a cycle stops everybody: nothing is allocated while it runs. */
  readonly concurrent: boolean;
}

/** The rate, the live data and the speed of the collector all change between a prediction and its fulfilment. */
const SAFETY = 1.5;
/** The lead is at least this part of the free room: a program that was quiet may become fast between two looks. */
const LEAST_LEAD = 1 / 16;
/** A heap without experience of its own begins at half of the room. */
const FIRST_LEAD = 1 / 2;
/** At least this part of the free room is used before a cycle begins, however fast the program is: cycles must have something to find. */
const EARLIEST = 1 / 20;

/** Bytes in use at which a cycle begins; from `usedBytes` to `limitBytes`. */
export function startAt(input: StartInput): number {
  const { usedBytes, limitBytes, concurrent } = input;
  const free = Math.max(0, limitBytes - usedBytes);
  let lead = 0;
  if (concurrent) {
    const predicted =
      input.toRoomMs === undefined
        ? free * FIRST_LEAD
        : input.ratePerMs * input.toRoomMs * SAFETY + input.blackBytes;
    lead = Math.max(predicted, free * LEAST_LEAD);
  }
  const allowance = Math.max(free - lead, free * EARLIEST);
  const left = 1 - Math.min(Math.max(input.externalPressure, 0), 1);
  return Math.floor(usedBytes + allowance * left);
}

/** Bytes of external memory that may be registered between two cycles, when `baseBytes` were there after the last one. */
export function externalAllowance(baseBytes: number, minBytes: number, targetUtilisation: number): number {
  return Math.max(minBytes, baseBytes * (1 / targetUtilisation - 1));
}

/** How much of the allowance is used up, 0 to 1. */
export function externalPressure(nowBytes: number, baseBytes: number, allowanceBytes: number): number {
  return Math.min(Math.max((nowBytes - baseBytes) / allowanceBytes, 0), 1);
}
