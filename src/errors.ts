// The one error class of the project, its codec across worker threads, and the invariant check.
// A leaf: it imports nothing, so that every layer may throw it.

/** What went wrong, in one stable word. Messages may change between releases, codes do not. */
export type ErrorCode =
  /** An option or argument is out of range or of the wrong kind; the message names it. */
  | 'ERR_OPTION'
  /** This platform, kernel or runtime lacks something that is needed. */
  | 'ERR_UNSUPPORTED'
  /** The kernel, or a sandbox around the process, refuses. */
  | 'ERR_PERMISSION'
  /** A system call failed in a way that has no code of its own; `errnoName` says how. */
  | 'ERR_SYSCALL'
  /** Memory, address space, mappings or storage ran out. */
  | 'ERR_OUT_OF_MEMORY'
  /** An object was used as something that it is not. */
  | 'ERR_TYPE'
  /** A handle is stale, foreign or closed. */
  | 'ERR_HANDLE'
  /** The call does not fit the state: closed, not attached, already running. */
  | 'ERR_STATE'
  /** An internal invariant does not hold: a bug of this package. */
  | 'ERR_INVARIANT'
  /** A worker thread, or a process of the conformance kit, could not start or died. */
  | 'ERR_WORKER'
  /** A thread did not reach a safepoint in time, and what waited for it was given up. */
  | 'ERR_TIMEOUT'
  /** The verifier found a damaged heap. */
  | 'ERR_VERIFY';

/** What a hint says when the thrower gave none. */
const DEFAULT_HINTS: Readonly<Record<ErrorCode, string>> = {
  ERR_OPTION: 'Correct the option that the message names.',
  ERR_UNSUPPORTED: 'Run `npx tospace doctor` (or probe() of tospace/uffd): it says what this machine lacks.',
  ERR_PERMISSION:
    'Run `npx tospace doctor` (or probe() of tospace/uffd): it says what is refused and what allows it.',
  ERR_SYSCALL: 'Look up errnoName in the manual page of the system call.',
  ERR_OUT_OF_MEMORY: 'Use a smaller heap or give the process more memory.',
  ERR_TYPE: 'Use the object as the type that it was allocated with.',
  ERR_HANDLE: 'Use a handle only inside its scope, on the heap that made it.',
  ERR_STATE: 'Call this only in the state that the message names.',
  ERR_INVARIANT: 'This is a bug in tospace: please report it with the whole message and stack.',
  ERR_WORKER: 'See the cause for what the worker reported.',
  ERR_TIMEOUT:
    'Call mutator.safepoint() in long loops, and leave() before blocking; or raise safepointTimeoutMs.',
  ERR_VERIFY: 'Keep the report: the heap is damaged and must not be used any further.',
};

/** Everything about a {@link TospaceError} besides its code and message. */
export interface TospaceErrorDetails {
  /** What the user can do. Default: a general sentence for the code. */
  readonly hint?: string | undefined;
  /** The system call that failed, by its manual-page name, for example `mremap`. */
  readonly syscall?: string | undefined;
  /** The positive errno of that call. */
  readonly errno?: number | undefined;
  /** The name of that errno, for example `ENOMEM`. */
  readonly errnoName?: string | undefined;
  /** What led to this error. */
  readonly cause?: unknown;
}

/** The only class of error that this package throws on purpose. */
export class TospaceError extends Error {
  override readonly name: string = 'TospaceError';
  /** What went wrong, in one stable word. */
  readonly code: ErrorCode;
  /** What the user can do. */
  readonly hint: string;
  /** The system call that failed, if the kernel spoke. */
  readonly syscall: string | undefined;
  /** Its positive errno. */
  readonly errno: number | undefined;
  /** The name of that errno. */
  readonly errnoName: string | undefined;

  constructor(code: ErrorCode, message: string, details: TospaceErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint ?? DEFAULT_HINTS[code];
    this.syscall = details.syscall;
    this.errno = details.errno;
    this.errnoName = details.errnoName;
  }
}

/**
 * Asserts something that only a bug of this package can make false.
 * @param message names the invariant, as a statement of what must hold
 * @throws TospaceError `ERR_INVARIANT`
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new TospaceError('ERR_INVARIANT', `invariant broken: ${message}`);
}

/**
 * An error as a plain object that the structured clone algorithm (and JSON) carries unharmed. Needed because a subclass
 * of Error arrives in another thread as a bare Error with nothing but its message.
 */
export interface EncodedError {
  /** Recognises the format. */
  readonly tospaceEncodedError: 1;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** An {@link ErrorCode} if `tospace`, else whatever string code the error had (`ENOENT`, `ERR_…`). */
  readonly code: string | undefined;
  /** Whether it was a {@link TospaceError}. */
  readonly tospace: boolean;
  readonly hint: string | undefined;
  readonly syscall: string | undefined;
  readonly errno: number | undefined;
  readonly errnoName: string | undefined;
  readonly cause: EncodedError | undefined;
}

/** Longer chains of causes are cut: a chain may be a cycle. */
const CAUSE_DEPTH_MAX = 16;

const asString = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const asNumber = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** The text of a thrown value that is no Error. Never throws, whatever `toString` does. */
function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/**
 * Turns anything that was thrown into an object that survives `postMessage`. Never throws.
 * An already encoded error is returned as it is, so encoding twice is harmless.
 */
export function encodeError(e: unknown): EncodedError {
  return encode(e, 0);
}

function encode(e: unknown, depth: number): EncodedError {
  if (isEncoded(e)) return e;
  const isError = e instanceof Error;
  const fields = (isError ? e : {}) as Partial<Record<keyof EncodedError, unknown>>;
  const hasCause = fields.cause !== undefined && depth + 1 < CAUSE_DEPTH_MAX;
  return {
    tospaceEncodedError: 1,
    name: asString(fields.name) ?? 'Error',
    message: isError ? e.message : textOf(e),
    stack: asString(fields.stack),
    code: asString(fields.code),
    tospace: e instanceof TospaceError,
    hint: asString(fields.hint),
    syscall: asString(fields.syscall),
    errno: asNumber(fields.errno),
    errnoName: asString(fields.errnoName),
    cause: hasCause ? encode(fields.cause, depth + 1) : undefined,
  };
}

function isEncoded(x: unknown): x is EncodedError {
  return typeof x === 'object' && x !== null && (x as Partial<EncodedError>).tospaceEncodedError === 1;
}

/** Built-in classes that are worth being `instanceof` again after the journey. */
const BUILT_IN: Readonly<Record<string, new (message: string, options?: ErrorOptions) => Error>> = {
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
};

/**
 * The inverse of {@link encodeError}: a real {@link TospaceError} if it was one, else an Error with the original name,
 * message, stack, code and causes. An Error is returned as it is; anything else becomes the message of a new Error.
 */
export function decodeError(x: EncodedError | unknown): TospaceError | Error {
  if (x instanceof Error) return x;
  if (!isEncoded(x)) return new Error(textOf(x));
  const cause = x.cause === undefined ? undefined : decodeError(x.cause);
  let error: Error;
  if (x.tospace) {
    const { hint, syscall, errno, errnoName } = x;
    error = new TospaceError(x.code as ErrorCode, x.message, { hint, syscall, errno, errnoName, cause });
  } else {
    error = new (BUILT_IN[x.name] ?? Error)(x.message, cause === undefined ? undefined : { cause });
    define(error, 'name', x.name);
    for (const key of ['code', 'syscall', 'errno'] as const)
      if (x[key] !== undefined) define(error, key, x[key]);
  }
  // The stack of the thread that failed, not of the one that decodes.
  if (x.stack !== undefined) define(error, 'stack', x.stack);
  return error;
}

function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, configurable: true, writable: true, enumerable: false });
}
