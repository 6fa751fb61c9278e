import { OutcomeUnknown, quote, StoreTimeout, StoreUnavailable, type WardenError } from '../errors.js'

/**
 * How far a command came: it never left (`unsent`), the server answered that it would not (`refused`), the connection
 * ended before the answer (`lost`), or there was none in time (`timeout`).
 */
export type FailureKind = 'unsent' | 'refused' | 'lost' | 'timeout'

/** Why a command has no reply. Stands in for what ioredis rejects with, which holds the arguments of the command. */
export class CommandFailure extends Error {
  readonly kind: FailureKind
  /** First word of a refusal, e.g. `NOPERM`; `''` for failures of other kinds. */
  readonly code: string
  /** Where a Cluster node says that the key is: `host:port`. */
  readonly movedTo: string | undefined

  constructor(kind: FailureKind, message: string, options?: { cause?: unknown; code?: string; movedTo?: string }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CommandFailure'
    this.kind = kind
    this.code = options?.code ?? ''
    this.movedTo = options?.movedTo
  }
}

/** Answers to a write that say no more than that this user, or this server for now, may not write. */
export const CANNOT_WRITE: ReadonlySet<string> = new Set(['NOPERM', 'OOM', 'MISCONF'])

/** Answers of a server that is not the master of its data, or is one that its replicas may have left. */
export const NOT_MASTER: ReadonlySet<string> = new Set(['READONLY', 'NOREPLICAS', 'MASTERDOWN'])

/** Whether ioredis, of either version, made this error from an error reply of the server. */
export function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

const FORBIDDEN_IN_SCRIPT = /^ERR (?:The user executing the script can't run this command|.*-NOPERM )/

/** The refusal in an error reply. Its message may quote what a client chose. */
export function refusal(error: Error): CommandFailure {
  const word = /^[A-Z][A-Z0-9]*(?= |$)/.exec(error.message)?.[0] ?? ''
  // Of a command in a script Redis 7 says it without the code.
  const code = word === 'ERR' && FORBIDDEN_IN_SCRIPT.test(error.message) ? 'NOPERM' : word
  const movedTo = /^(?:MOVED|ASK) \d+ (\S+:\d+)$/.exec(error.message)?.[1]
  const details = movedTo === undefined ? { code } : { code, movedTo }
  return new CommandFailure('refused', `redis answered ${quote(error.message)}`, details)
}

/** Any failure of a connection, without the arguments that error replies carry. */
export function lossOf(error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error
  if (isReplyError(error)) return refusal(error)
  const message = error instanceof Error ? error.message : 'connection closed'
  return new CommandFailure('lost', message === 'Connection is closed.' ? 'connection closed' : message, {
    cause: error,
  })
}

/** What a failed read means to its caller. Anything but a `CommandFailure` is passed on. */
export function readError(error: unknown, timeoutMs: number): unknown {
  if (!(error instanceof CommandFailure)) return error
  if (error.kind === 'timeout') {
    return new StoreTimeout(`redis did not answer within ${timeoutMs} ms`, timeoutMs, { cause: error })
  }
  return unavailable(error)
}

/** What a failed write means to its caller: unless it surely was not carried out, its outcome is unknown. */
export function writeError(error: unknown): unknown {
  if (!(error instanceof CommandFailure)) return error
  // A refusal without an error code is not Redis', but e.g. of a proxy that lost the server behind it.
  const surelyNot = error.kind === 'unsent' || (error.kind === 'refused' && error.code !== '')
  if (surelyNot) return unavailable(error)
  return new OutcomeUnknown(`the outcome of the write is unknown: ${error.message}`, { cause: error })
}

/** What any failure means to somebody who can do without. */
export function unavailable(error: unknown): StoreUnavailable {
  const { kind, message, code } = lossOf(error)
  return new StoreUnavailable(kind === 'refused' ? message : `redis is not available: ${message}`, {
    cause: error,
    isForbidden: code === 'NOPERM',
  })
}

/** Whether the error tells that a write may have been carried out. */
export function mayHaveWritten(error: unknown): error is WardenError {
  return error instanceof OutcomeUnknown
}
