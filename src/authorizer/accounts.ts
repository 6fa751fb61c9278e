import { createHash } from 'node:crypto'
import { type CompiledAcl, compileAcl } from '../acl/compile.js'
import type { Acl } from '../acl/types.js'
import { RecordInvalid, TopicInvalid } from '../errors.js'
import type { Proof } from '../password/verified.js'
import { encodeRecordKey } from '../record/key.js'
import type { AclRecord, RecordKey } from '../record/types.js'
import { linkedHash } from '../store/rehash.js'
import type { Settings } from './options.js'

/** One record made ready for deciding. */
export interface Account {
  readonly key: RecordKey
  /** The key as it is written. */
  readonly text: string
  readonly passhash: string
  /** Link to the hash of the same password that was replaced by this one. */
  readonly rehashOf: string | undefined
  readonly compiled: CompiledAcl
  /** Moment of the monotonic clock at which the record ends; `Infinity` for never. */
  readonly endsAt: number
  /** Kept for the memory of passwords: what it last recalled of this one. */
  proof: Proof | undefined
}

/**
 * Compiles the rules of records, once per distinct ACL: accounts with the same rules share one object, which lives as
 * long as one of them does.
 */
export class AccountMaker {
  /** Whether any record ended by the clock of the system. */
  hasEnds = false
  readonly #settings: Settings
  readonly #shared: Map<string, WeakRef<CompiledAcl>> = new Map()
  readonly #gone: FinalizationRegistry<string> = new FinalizationRegistry(digest => {
    if (this.#shared.get(digest)?.deref() === undefined) this.#shared.delete(digest)
  })

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /**
   * @param expiresAtMs Unix milliseconds at which the store drops the record.
   * @throws RecordInvalid when the record cannot be used, also for what a foreign store returns.
   */
  make(key: RecordKey, record: AclRecord, expiresAtMs: number = Number.POSITIVE_INFINITY): Account {
    if (typeof record !== 'object' || record === null) throw new RecordInvalid('', 'must be an object')
    if (typeof record.passhash !== 'string') throw new RecordInvalid('passhash', 'must be a string')
    const { expiresAt = Number.POSITIVE_INFINITY } = record
    if (!isNumber(expiresAt)) throw new RecordInvalid('expiresAt', 'must be an integer of Unix seconds')
    if (!isNumber(expiresAtMs)) throw new RecordInvalid('', 'expiry in the store must be a number')
    this.hasEnds ||= expiresAt !== Number.POSITIVE_INFINITY
    const leftMs = Math.min(expiresAt * 1_000, expiresAtMs) - Date.now()
    return {
      key: Object.freeze({ mountpoint: key.mountpoint, clientId: key.clientId, username: key.username }),
      text: encodeRecordKey(key),
      ...linkedHash(record),
      compiled: this.#compile(record),
      endsAt: this.#settings.now() + leftMs,
      proof: undefined,
    }
  }

  #compile({ publishAcl, subscribeAcl }: AclRecord): CompiledAcl {
    const digest = createHash('sha256')
      .update(JSON.stringify([publishAcl, subscribeAcl]))
      .digest('base64')
    const shared = this.#shared.get(digest)?.deref()
    if (shared !== undefined) return shared
    const compiled = compileOrRefuse({ publishAcl, subscribeAcl }, this.#settings)
    this.#shared.set(digest, new WeakRef(compiled))
    this.#gone.register(compiled, digest)
    return compiled
  }
}

/** Whether a moment can be compared with: NaN would never come. */
function isNumber(value: unknown): boolean {
  return typeof value === 'number' && !Number.isNaN(value)
}

function compileOrRefuse(acl: Acl, settings: Settings): CompiledAcl {
  try {
    return compileAcl(acl, settings.compile)
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof TopicInvalid)) throw error
    const [path, ...problem] = error.message.split(': ')
    throw new RecordInvalid(path!, problem.join(': '), { cause: error })
  }
}
