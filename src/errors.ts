/** Every code that an error of this package can carry. */
export type ErrorCode =
  | 'ERR_WARDEN'
  | 'ERR_TOPIC_INVALID'
  | 'ERR_RECORD_INVALID'
  | 'ERR_RECORD_KEY_INVALID'
  | 'ERR_RECORD_CONFLICT'
  | 'ERR_STORE_UNAVAILABLE'
  | 'ERR_STORE_TIMEOUT'
  | 'ERR_OUTCOME_UNKNOWN'
  | 'ERR_NOT_DURABLE'
  | 'ERR_PASSWORD_INVALID'
  | 'ERR_HASH_BUSY'
  | 'ERR_HASH_TIMEOUT'
  | 'ERR_HASH_FAILED'
  | 'ERR_AUTHORIZER_CLOSED'
  | 'ERR_HOOK_REQUEST_INVALID'
  | 'ERR_VERNEMQ_ADMIN'

/**
 * Base of all errors this package throws for reasons other than a wrong program (those are plain `TypeError`s, thrown
 * where the option is given). Test with `error instanceof WardenError` or by `error.code`.
 *
 * Messages are lower case, hold no secret, and quote text that a client chose with `JSON.stringify`, cut to 64
 * characters.
 */
export class WardenError extends Error {
  static readonly code: ErrorCode = 'ERR_WARDEN'
  readonly code: ErrorCode = 'ERR_WARDEN'

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = new.target.name
  }
}

/** A topic name or filter breaks the rules of MQTT. `problem` is a `TopicProblem` literal. */
export class TopicInvalid extends WardenError {
  static override readonly code = 'ERR_TOPIC_INVALID'
  override readonly code = 'ERR_TOPIC_INVALID'
  /** Which rule is broken, e.g. `'hash_not_last'`. */
  readonly problem: string
  /** Whether a topic name or a topic filter was expected. */
  readonly kind: 'name' | 'filter'

  constructor(message: string, problem: string, kind: 'name' | 'filter') {
    super(message)
    this.problem = problem
    this.kind = kind
  }
}

/** A record cannot be used. The message opens with the place, e.g. `publish_acl[0].max_qos: must be 0, 1 or 2`. */
export class RecordInvalid extends WardenError {
  static override readonly code = 'ERR_RECORD_INVALID'
  override readonly code = 'ERR_RECORD_INVALID'
  /** Place inside the record, e.g. `publish_acl[0].max_qos`; the empty string for the record as a whole. */
  readonly path: string

  constructor(path: string, problem: string, options?: { cause?: unknown }) {
    super(`${path === '' ? 'record' : path}: ${problem}`, options)
    this.path = path
  }
}

/** A record key is not the canonical JSON array of mountpoint, client id and username. */
export class RecordKeyInvalid extends WardenError {
  static override readonly code = 'ERR_RECORD_KEY_INVALID'
  override readonly code = 'ERR_RECORD_KEY_INVALID'
}

/** A conditional write found another record than the one it names. Nothing was written. */
export class RecordConflict extends WardenError {
  static override readonly code = 'ERR_RECORD_CONFLICT'
  override readonly code = 'ERR_RECORD_CONFLICT'
}

/** The store cannot be reached or refuses to answer; `cause` is what the client library said. Nothing was written. */
export class StoreUnavailable extends WardenError {
  static override readonly code = 'ERR_STORE_UNAVAILABLE'
  override readonly code = 'ERR_STORE_UNAVAILABLE'
  /** Whether the user of the store has no right to what was asked: that does not pass, as an outage does. */
  readonly isForbidden: boolean

  constructor(message: string, options: { cause?: unknown; isForbidden?: boolean } = {}) {
    super(message, options)
    this.isForbidden = options.isForbidden === true
  }
}

/** The store did not answer a read in time. */
export class StoreTimeout extends WardenError {
  static override readonly code = 'ERR_STORE_TIMEOUT'
  override readonly code = 'ERR_STORE_TIMEOUT'
  /** How long was waited, in milliseconds. */
  readonly timeoutMs: number

  constructor(message: string, timeoutMs: number, options?: { cause?: unknown }) {
    super(message, options)
    this.timeoutMs = timeoutMs
  }
}

/**
 * A write was sent and no answer came, so it may or may not have been carried out. It will not be sent again. Read the
 * record, then decide; a conditional write (`ifMatch`) makes a second try safe.
 */
export class OutcomeUnknown extends WardenError {
  static override readonly code = 'ERR_OUTCOME_UNKNOWN'
  override readonly code = 'ERR_OUTCOME_UNKNOWN'
}

/** A password cannot be hashed as given: empty of meaning to bcrypt beyond 72 bytes, or cut short by U+0000. */
export class PasswordInvalid extends WardenError {
  static override readonly code = 'ERR_PASSWORD_INVALID'
  override readonly code = 'ERR_PASSWORD_INVALID'
}

/** The queue of waiting hashes is full. Try again later. */
export class HashBusy extends WardenError {
  static override readonly code = 'ERR_HASH_BUSY'
  override readonly code = 'ERR_HASH_BUSY'
}

/** A hash was not finished before its deadline. */
export class HashTimeout extends WardenError {
  static override readonly code = 'ERR_HASH_TIMEOUT'
  override readonly code = 'ERR_HASH_TIMEOUT'
}

/** The worker threads that hash cannot do their work; `cause` says why. */
export class HashFailed extends WardenError {
  static override readonly code = 'ERR_HASH_FAILED'
  override readonly code = 'ERR_HASH_FAILED'
}

/** A management call was made on a closed authorizer. Decisions do not throw: they answer `closed`. */
export class AuthorizerClosed extends WardenError {
  static override readonly code = 'ERR_AUTHORIZER_CLOSED'
  override readonly code = 'ERR_AUTHORIZER_CLOSED'
}

/**
 * A broker's request over HTTP is not what its contract says: malformed, or of somebody else. It is answered with
 * status 400, never with a grant. The message opens with hook and place, e.g. `auth_on_publish: qos: must be 0, 1 or
 * 2`.
 */
export class HookRequestInvalid extends WardenError {
  static override readonly code = 'ERR_HOOK_REQUEST_INVALID'
  override readonly code = 'ERR_HOOK_REQUEST_INVALID'
  /** Which hook was asked, as the broker names it; what a stranger wrote there is quoted and cut. */
  readonly hook: string
  /** Place inside the body, e.g. `topics[0].qos`; the empty string for the body as a whole. */
  readonly path: string

  constructor(hook: string, path: string, problem: string, options?: { cause?: unknown }) {
    const name = /^\w{1,64}$/.test(hook) ? hook : quote(hook)
    super(`${name}: ${path === '' ? '' : `${path}: `}${problem}`, options)
    this.hook = name
    this.path = path
  }
}

/**
 * A call to the HTTP administration of VerneMQ failed; `cause` is what the HTTP client said. It may have been carried
 * out.
 */
export class VernemqAdminFailed extends WardenError {
  static override readonly code = 'ERR_VERNEMQ_ADMIN'
  override readonly code = 'ERR_VERNEMQ_ADMIN'
  /** Origin of the node that was asked last; `undefined` when none could be. */
  readonly node: string | undefined
  /** Whether trying again is of no use, e.g. for a client id that the administration has no way to name. */
  readonly isPermanent: boolean

  constructor(
    message: string,
    { node, isPermanent = false, cause }: { node?: string; isPermanent?: boolean; cause?: unknown },
  ) {
    super(node === undefined ? message : `${node}: ${message}`, cause === undefined ? undefined : { cause })
    this.node = node
    this.isPermanent = isPermanent
  }
}

/**
 * What JSON leaves as it is: DEL and C1 controls, line and paragraph separators, and marks that turn the reading
 * direction.
 */
const UNSAFE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/**
 * Quotes text that somebody else chose for use in a message: cut to 64 characters, and escaped so that it can neither
 * forge a line of a log nor steer a terminal.
 */
export function quote(text: string): string {
  const json = JSON.stringify(text.length > 64 ? `${text.slice(0, 63)}…` : text)
  return json.replace(UNSAFE, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
