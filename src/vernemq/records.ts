import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Access } from '../authorizer/types.js'
import { watchWallClock } from '../authorizer/wall-clock.js'
import { RecordInvalid } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import { serializeRecord } from '../record/serialize.js'
import type { AclRecord, RecordKey } from '../record/types.js'
import type { RecordStore } from '../store/types.js'
import type { KnownRecord } from './change.js'
import { backoffMs, pause } from './work.js'

/** Longest time a timer can run. */
const MAX_TIMER_MS = 2_147_483_647

/** A record as it is now, or that there is none that can be used, with what tells it from others. */
export interface FoundRecord {
  readonly record: AclRecord | undefined
  readonly digest: string
}

/** The end of a record that is awaited. */
interface Ending {
  readonly key: RecordKey
  /** Unix milliseconds. */
  readonly at: number
  readonly timer: NodeJS.Timeout
}

/** What is remembered of records, to tell what a change took away, and when they end by themselves. */
export class Records {
  readonly #store: RecordStore
  readonly #known: LRUCache<string, KnownRecord>
  /** Keys of look-ups that are known already, by identity: sparing every publish the text of its key. */
  readonly #seen: WeakSet<RecordKey> = new WeakSet()
  readonly #endings: LRUCache<string, Ending>
  readonly #wasClockSet: () => boolean = watchWallClock(() => performance.now())
  readonly #onEnd: (key: RecordKey) => void

  constructor(store: RecordStore, max: number, onEnd: (key: RecordKey) => void) {
    this.#store = store
    this.#onEnd = onEnd
    this.#known = new LRUCache({ max })
    this.#endings = new LRUCache({ max, dispose: ({ timer }) => clearTimeout(timer) })
  }

  known(text: string): KnownRecord | undefined {
    return this.#known.get(text)
  }

  /** Takes note of a record that something was granted by. */
  observe({ recordKey, passhash, compiled, leftMs }: Access): void {
    if (recordKey === undefined || passhash === undefined || this.#seen.has(recordKey)) return
    this.#seen.add(recordKey)
    const text = encodeRecordKey(recordKey)
    this.#known.set(text, { passhash, acl: compiled.acl })
    this.#awaitEnd(recordKey, text, Date.now() + leftMs)
  }

  /** Takes note of what a record is now. */
  remember(key: RecordKey, text: string, record: AclRecord | undefined): KnownRecord | undefined {
    if (record === undefined) {
      this.forget(text)
      return undefined
    }
    const known = { passhash: record.passhash, acl: record }
    this.#known.set(text, known)
    this.#awaitEnd(key, text, (record.expiresAt ?? Infinity) * 1_000)
    return known
  }

  forget(text: string): void {
    this.#known.delete(text)
    this.#endings.delete(text)
  }

  /** The record as it is now; tried until it can be told, or until all is stopped. */
  async read(
    key: RecordKey,
    signal: AbortSignal,
    onFailure: (error: unknown, tries: number) => void,
  ): Promise<FoundRecord | undefined> {
    for (let tries = 1; !signal.aborted; tries++) {
      try {
        return await this.#find(key)
      } catch (error) {
        if (error instanceof RecordInvalid) return { record: undefined, digest: 'invalid' }
        onFailure(error, tries)
        await pause(backoffMs(tries), signal)
      }
    }
    return undefined
  }

  /** Awaits the ends anew where the clock of the system was set, or the machine slept. To be called now and then. */
  followClock(): void {
    if (!this.#wasClockSet()) return
    for (const [text, { key, at }] of [...this.#endings]) {
      if (at > Date.now()) this.#awaitEnd(key, text, at)
      else this.#onEnd(key)
    }
  }

  close(): void {
    this.#endings.clear()
  }

  async #find(key: RecordKey): Promise<FoundRecord> {
    if (this.#store.getStored !== undefined) {
      const stored = await this.#store.getStored(key)
      return { record: stored?.record, digest: stored?.digest ?? 'none' }
    }
    const record = await this.#store.get(key)
    if (record === undefined) return { record, digest: 'none' }
    return { record, digest: createHash('sha256').update(serializeRecord(record)).digest('hex') }
  }

  /** The end of a record that names it itself is a change that no store reports. */
  #awaitEnd(key: RecordKey, text: string, at: number): void {
    this.#endings.delete(text)
    const leftMs = at - Date.now()
    if (leftMs === Infinity || leftMs <= 0) return
    const timer = setTimeout(() => this.#onEnd(key), Math.min(leftMs + 1, MAX_TIMER_MS)).unref()
    this.#endings.set(text, { key, at, timer })
  }
}
