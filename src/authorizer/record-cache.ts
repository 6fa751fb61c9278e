import { LRUCache } from 'lru-cache'
import { RecordInvalid, StoreTimeout, StoreUnavailable, WardenError } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordKey } from '../record/types.js'
import type { StoredRecord } from '../store/types.js'
import { type Account, AccountMaker } from './accounts.js'
import type { Settings } from './options.js'
import type { Trust } from './trust.js'

/** What was read under one key, and when the read was sent. */
export interface Known {
  readonly key: RecordKey
  /** The record; `undefined` when there is none; the error when there is something that is no record. */
  readonly account: Account | RecordInvalid | undefined
  readonly readAt: number
  readonly epoch: number
}

/** A read under way. An invalidation spoils it: what it brings was asked for too early. */
interface Load {
  spoiled: boolean
  readonly result: Promise<Known>
}

const MAX_TRIES = 3

/** The record of a key changed again and again while it was being read. */
export class TooManyChanges extends WardenError {}

/**
 * Records by key, each read once at a time. It may only ever forget: a reply that was asked for before an invalidation
 * never enters it.
 */
export class RecordCache {
  readonly #settings: Settings
  readonly #trust: Trust
  readonly #accounts: AccountMaker
  readonly #present: LRUCache<string, Known>
  readonly #absent: LRUCache<string, Known>
  readonly #loads: Map<string, Load> = new Map()
  hits = 0
  misses = 0
  discarded = 0

  constructor(settings: Settings, trust: Trust) {
    this.#settings = settings
    this.#trust = trust
    this.#accounts = new AccountMaker(settings)
    this.#present = new LRUCache({ max: settings.maxRecords })
    this.#absent = new LRUCache({ max: settings.maxAbsent })
  }

  get sizes(): { records: number; absent: number; loading: number } {
    return { records: this.#present.size, absent: this.#absent.size, loading: this.#loads.size }
  }

  /** What is held for a key, however old, if it may still decide while the store is silent. */
  inGrace(key: RecordKey): Known | undefined {
    const text = encodeRecordKey(key)
    const held = this.#present.peek(text) ?? this.#absent.peek(text)
    const now = this.#trust.now()
    return held !== undefined && this.#trust.isInGrace(held.readAt, held.epoch, now) ? held : undefined
  }

  /**
   * What is known of a key: from the cache while that is fresh, otherwise read.
   *
   * @param readSince Demands a read that was sent at this moment or later.
   */
  async get(key: RecordKey, readSince: number = Number.NEGATIVE_INFINITY): Promise<Known> {
    const text = encodeRecordKey(key)
    const held = this.#present.get(text) ?? this.#absent.get(text)
    const now = this.#trust.now()
    if (held !== undefined && held.readAt >= readSince && this.#trust.isFresh(held.readAt, held.epoch, now)) {
      if (!hasEnded(held, now)) {
        this.hits++
        return held
      }
    }
    this.misses++
    return (this.#loads.get(text) ?? this.#load(key, text)).result
  }

  /** Forgets one key. */
  forget(key: RecordKey): void {
    const text = encodeRecordKey(key)
    this.#present.delete(text)
    this.#absent.delete(text)
    this.#spoil(text)
  }

  /** Forgets everything. */
  clear(): void {
    this.#present.clear()
    this.#absent.clear()
    for (const text of [...this.#loads.keys()]) this.#spoil(text)
  }

  #spoil(text: string): void {
    const load = this.#loads.get(text)
    if (load === undefined) return
    load.spoiled = true
    // Who asks from now on must not join a read that was sent before.
    this.#loads.delete(text)
  }

  #load(key: RecordKey, text: string): Load {
    const load: Load = { spoiled: false, result: this.#read(key, text, () => load) }
    this.#loads.set(text, load)
    return load
  }

  async #read(key: RecordKey, text: string, self: () => Load): Promise<Known> {
    // One turn later `self()` exists and is listed.
    await undefined
    const own = self()
    try {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const later = this.#loads.get(text)
        if (later !== undefined && later !== own) return await later.result
        own.spoiled = false
        this.#loads.set(text, own)
        const known = await this.#ask(key, text)
        if (!own.spoiled) {
          this.#keep(text, known)
          return known
        }
        this.discarded++
      }
      throw new TooManyChanges(`the record of ${text} changed ${MAX_TRIES} times while it was read`)
    } finally {
      if (this.#loads.get(text) === own) this.#loads.delete(text)
    }
  }

  async #ask(key: RecordKey, text: string): Promise<Known> {
    const readAt = this.#trust.now()
    const { epoch } = this.#trust
    const stored = await withTimeout(this.#getStored(key), this.#settings.readTimeoutMs, text)
    return { key, account: this.#judge(key, stored), readAt, epoch }
  }

  async #getStored(key: RecordKey): Promise<StoredReply> {
    const { store } = this.#settings
    try {
      if (store.getStored !== undefined) return await store.getStored(key)
      const record = await store.get(key)
      return record === undefined ? undefined : { record }
    } catch (error) {
      if (error instanceof RecordInvalid) return error
      if (error instanceof StoreUnavailable || error instanceof StoreTimeout) throw error
      throw new StoreUnavailable('the store failed to read', { cause: error })
    }
  }

  #judge(key: RecordKey, stored: StoredReply): Known['account'] {
    if (stored === undefined || stored instanceof RecordInvalid) return stored
    try {
      return this.#accounts.make(key, stored.record, stored.expiresAtMs)
    } catch (error) {
      if (error instanceof RecordInvalid) return error
      return new RecordInvalid('', 'cannot be read', { cause: error })
    }
  }

  #keep(text: string, known: Known): void {
    if (known.epoch !== this.#trust.epoch) return
    const [into, outOf] = known.account === undefined ? [this.#absent, this.#present] : [this.#present, this.#absent]
    outOf.delete(text)
    into.set(text, known)
  }
}

type StoredReply = Pick<StoredRecord, 'record' | 'expiresAtMs'> | RecordInvalid | undefined

function hasEnded({ account }: Known, now: number): boolean {
  return account !== undefined && !(account instanceof RecordInvalid) && now >= account.endsAt
}

function withTimeout<T>(promise: Promise<T>, timeoutMs: number, text: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new StoreTimeout(`no answer for ${text} within ${timeoutMs} ms`, timeoutMs)),
      timeoutMs,
    )
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
