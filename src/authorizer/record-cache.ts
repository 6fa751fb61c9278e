import { LRUCache } from 'lru-cache'
import { RecordInvalid, StoreTimeout, StoreUnavailable, WardenError } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordKey } from '../record/types.js'
import type { StoredRecord } from '../store/types.js'
import { type Account, AccountMaker } from './accounts.js'
import { describeKey } from './describe.js'
import type { Settings } from './options.js'
import type { Epoch, Trust } from './trust.js'

/** What was read of a record, and when the read was sent. */
export interface Known {
  /** The record; `undefined` when there is none; the error when there is something that is no record. */
  readonly account: Account | RecordInvalid | undefined
  readonly readAt: number
  readonly epoch: Epoch
}

/** A read under way. An invalidation spoils it: what it brings was asked for too early. */
class Load {
  isSpoiled = false
  result!: Promise<Known>
}

/** Ends the wait for an answer of the store. */
type GiveUp = (error: Error) => void

const MAX_TRIES = 3

/** Of a store that does not say how many. */
const READS_AT_ONCE = 50

const MAX_READS_AT_ONCE = 10_000

/** Longest key, in characters, whose absence is remembered. Clients choose names, up to 64 KiB each. */
const MAX_ABSENT_LENGTH = 1_024

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
  readonly #waiting: Set<GiveUp> = new Set()
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

  /** How many reads may be under way where others must not wait for them. */
  get readsAtOnce(): number {
    const { readsAtOnce = READS_AT_ONCE } = this.#settings.store
    return readsAtOnce >= 1 ? Math.min(readsAtOnce, MAX_READS_AT_ONCE) : READS_AT_ONCE
  }

  /** Whether there were records that end by the clock of the system. */
  get hasEnds(): boolean {
    return this.#accounts.hasEnds
  }

  /** What is held for a key, if it may be used without asking; see {@link Trust.isFresh} for the share. */
  held(key: RecordKey, share?: number, now: number = this.#trust.now()): Known | undefined {
    return this.#held(encodeRecordKey(key), share, now)
  }

  /** What is held for a key, however old, if it may still decide while the store is silent. */
  inGrace(key: RecordKey): Known | undefined {
    const text = encodeRecordKey(key)
    const known = this.#present.peek(text) ?? this.#absent.peek(text)
    if (known === undefined) return undefined
    return this.#trust.isInGrace(known.readAt, known.epoch, this.#trust.now()) ? known : undefined
  }

  /** What is known of a key: from the cache while that is fresh, otherwise read. */
  async get(key: RecordKey, share?: number): Promise<Known> {
    const text = encodeRecordKey(key)
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const held = this.#held(text, share, this.#trust.now())
      if (held !== undefined) return held
      this.misses++
      const load = this.#loads.get(text) ?? this.#load(key, text)
      const known = await load.result
      if (!load.isSpoiled) return known
    }
    throw new TooManyChanges(`the record of ${describeKey(key)} changed ${MAX_TRIES} times while it was read`)
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

  /** Forgets everything, and waits for the store no longer. */
  close(): void {
    this.clear()
    for (const giveUp of [...this.#waiting]) giveUp(new StoreUnavailable('the authorizer was closed'))
  }

  #held(text: string, share: number | undefined, now: number): Known | undefined {
    const known = this.#present.get(text) ?? this.#absent.get(text)
    if (known === undefined) return undefined
    if (!this.#trust.isFresh(known.readAt, known.epoch, now, share) || hasEnded(known, now)) return undefined
    this.hits++
    return known
  }

  #spoil(text: string): void {
    const load = this.#loads.get(text)
    if (load === undefined) return
    load.isSpoiled = true
    // Who asks from now on must not join a read that was sent before.
    this.#loads.delete(text)
  }

  #load(key: RecordKey, text: string): Load {
    const load = new Load()
    // Listed before the store is asked, which may report a change in the same turn.
    this.#loads.set(text, load)
    load.result = this.#read(load, key, text)
    return load
  }

  async #read(load: Load, key: RecordKey, text: string): Promise<Known> {
    try {
      const known = await this.#ask(key)
      if (load.isSpoiled) this.discarded++
      else this.#keep(text, known)
      return known
    } finally {
      if (this.#loads.get(text) === load) this.#loads.delete(text)
    }
  }

  async #ask(key: RecordKey): Promise<Known> {
    // Whole numbers take no memory of their own, here and in every session.
    const readAt = Math.floor(this.#trust.now())
    const { epoch } = this.#trust
    const stored = await this.#withTimeout(this.#getStored(key), key)
    return { account: this.#judge(key, stored), readAt, epoch }
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
    if (known.account !== undefined) {
      this.#absent.delete(text)
      this.#present.set(text, known)
    } else {
      this.#present.delete(text)
      if (text.length <= MAX_ABSENT_LENGTH) this.#absent.set(text, known)
    }
  }

  #withTimeout<T>(promise: Promise<T>, key: RecordKey): Promise<T> {
    const { readTimeoutMs } = this.#settings
    return new Promise((resolve, reject) => {
      const giveUp: GiveUp = error => {
        leave()
        reject(error)
      }
      const leave = () => {
        clearTimeout(timer)
        this.#waiting.delete(giveUp)
      }
      const late = () =>
        giveUp(new StoreTimeout(`no answer for ${describeKey(key)} within ${readTimeoutMs} ms`, readTimeoutMs))
      const timer = setTimeout(late, readTimeoutMs)
      this.#waiting.add(giveUp)
      promise.then(stored => {
        leave()
        resolve(stored)
      }, giveUp)
    })
  }
}

type StoredReply = Pick<StoredRecord, 'record' | 'expiresAtMs'> | RecordInvalid | undefined

function hasEnded({ account }: Known, now: number): boolean {
  return account !== undefined && !(account instanceof RecordInvalid) && now >= account.endsAt
}
