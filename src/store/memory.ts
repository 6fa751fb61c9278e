import type { Semantics } from '../acl/types.js'
import { RecordInvalid, RecordKeyInvalid, StoreUnavailable } from '../errors.js'
import { checkNames, integerOption } from '../options.js'
import type { AclRecord, RecordKey } from '../record/types.js'
import { createIdentity } from './identity.js'
import { type Limiter, type LimiterLimits, Limiters, MemoryLimiter } from './limiter.js'
import { Listeners, wholeWithin } from './listeners.js'
import { checkSemantics } from './options.js'
import { MemoryShared } from './shared.js'
import type {
  ChangeEffects,
  NodeInfo,
  Receipt,
  RecordStore,
  StoredRecord,
  StoreEvent,
  StoreListener,
  WatchOptions,
  WriteOptions,
  WriteResult,
} from './types.js'
import {
  checkWriteOptions,
  composeAnswer,
  composeReceipt,
  demandMatch,
  type PreparedKey,
  prepareKey,
  prepareRecord,
  settleWrite,
} from './write.js'

/** Options of {@link createMemoryStore}. */
export interface MemoryStoreOptions {
  /**
   * How the authorizer reads the records: by the rules of MQTT, or as a VerneMQ node would. The records themselves are
   * held to the strict rules in either case.
   *
   * @default 'strict'
   */
  readonly semantics?: Semantics
  /**
   * Most values of the shared state, e.g. client ids whose owners are known; of more, the one used longest ago is
   * forgotten. 1 to 10,000,000.
   *
   * @default 100_000
   */
  readonly maxShared?: number
}

const NAMES: ReadonlySet<string> = new Set(['semantics', 'maxShared'])

const MAX_SHARED = { fallback: 100_000, min: 1, max: 10_000_000 }

interface Entry {
  readonly key: RecordKey
  readonly record: AclRecord
  readonly digest: string
}

/** Options that were checked, each with its value. */
type Settings = Required<MemoryStoreOptions>

class MemoryStore implements RecordStore {
  readonly semantics: Semantics
  readonly shared: MemoryShared
  readonly nodeId: string
  readonly #entries: Map<string, Entry> = new Map()
  readonly #listeners: Listeners = new Listeners()
  readonly #identity = createIdentity()
  readonly #limiters: Limiters = new Limiters((_, limits) => new MemoryLimiter(limits))
  #closed = false

  constructor(entries: Iterable<readonly [RecordKey, AclRecord]>, { semantics, maxShared }: Settings) {
    this.semantics = semantics
    this.nodeId = this.#identity.id
    this.shared = new MemoryShared(maxShared)
    let place = 0
    for (const entry of entries) this.#admit(entry, `entries[${place++}]`)
  }

  async get(key: RecordKey): Promise<AclRecord | undefined> {
    return (await this.getStored(key))?.record
  }

  async getStored(key: RecordKey): Promise<StoredRecord | undefined> {
    this.#demandOpen()
    const entry = this.#entries.get(prepareKey(key).text)
    return entry === undefined ? undefined : { record: entry.record, digest: entry.digest }
  }

  async put(key: RecordKey, record: AclRecord, options?: WriteOptions): Promise<WriteResult> {
    this.#demandOpen()
    checkWriteOptions(options)
    const prepared = prepareKey(key)
    const { record: checked, digest, warnings } = prepareRecord(prepared.key, record)
    const replaced = this.#demandMatch(prepared, options)
    this.#entries.set(prepared.text, { key: prepared.key, record: checked, digest })
    return this.#settle(prepared, { digest, replaced, warnings }, options)
  }

  async delete(key: RecordKey, options?: WriteOptions): Promise<WriteResult> {
    this.#demandOpen()
    checkWriteOptions(options)
    const prepared = prepareKey(key)
    const replaced = this.#demandMatch(prepared, options)
    this.#entries.delete(prepared.text)
    return this.#settle(prepared, { digest: null, replaced, warnings: [] }, options)
  }

  async *scan(): AsyncGenerator<RecordKey> {
    this.#demandOpen()
    for (const { key } of [...this.#entries.values()]) {
      yield key
      this.#demandOpen()
    }
  }

  // A property, so that it works in an object that inherits from the store to replace some of its methods.
  readonly limiter = (name: string, limits: LimiterLimits): Limiter => this.#limiters.get(name, limits)

  watch(listener: StoreListener, options?: WatchOptions): () => void {
    this.#demandOpen()
    const begin = (tell: (event: StoreEvent) => void): void => tell({ type: 'link', state: 'live', at: Infinity })
    const remove = this.#listeners.add(listener, begin, options)
    return () => void remove()
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    this.#demandOpen()
    if (!this.#decides) return []
    const { sessions } = this.#listeners
    return [{ ...this.#identity, ...(sessions !== undefined && { sessions }), seenMs: 0, leaseMs: 0 }]
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const told = this.#listeners.dispatch({ type: 'link', state: 'blind', at: performance.now() })
    this.#listeners.clear()
    await told
    this.#entries.clear()
    this.#limiters.close()
    this.shared.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #decides(): boolean {
    return this.#listeners.decidesForMs !== undefined
  }

  /** Tells the listeners of a write, and what it did. */
  async #settle({ text, key }: PreparedKey, written: WriteResult, options?: WriteOptions): Promise<WriteResult> {
    const sentAt = performance.now()
    const effects = await this.#listeners.dispatch({ type: 'changed', key })
    const ms = performance.now() - sentAt
    const { timeoutMs } = options?.receipt ?? {}
    const whole = timeoutMs && (await wholeWithin(effects, timeoutMs - ms))
    const receipt = whole && this.#receipt(text, written.digest, { effects: whole, ms })
    const replicas = options?.minReplicas === undefined ? undefined : 0
    return settleWrite(
      { ...written, ...(replicas !== undefined && { replicas }), ...(receipt && { receipt }) },
      options,
    )
  }

  /** The word of this process, if anybody in it decides: there is no other that could. */
  #receipt(
    text: string,
    digest: string | null,
    { effects, ms }: { readonly effects: ChangeEffects; readonly ms: number },
  ): Receipt {
    const found = this.#entries.get(text)?.digest ?? null
    const rows = this.#decides
      ? [{ node: this.#identity.id, ...composeAnswer({ ...effects, digest: found }), ms: Math.round(ms) }]
      : []
    return composeReceipt(digest, { rows, silentNodes: [] })
  }

  /** Whether a record is stored; throws where the condition of the write does not hold. */
  #demandMatch({ text }: PreparedKey, options: WriteOptions | undefined): boolean {
    const stored = this.#entries.get(text)
    demandMatch(options?.ifMatch, stored?.digest ?? null)
    return stored !== undefined
  }

  #demandOpen(): void {
    if (this.#closed) throw new StoreUnavailable('store is closed')
  }

  #admit(entry: readonly [RecordKey, AclRecord], place: string): void {
    if (!Array.isArray(entry) || entry.length !== 2) {
      throw new TypeError(`"entries" argument must hold [key, record] pairs: ${place} is none`)
    }
    const { text, key } = locate(() => prepareKey(entry[0]), place)
    const { record, digest } = locate(() => prepareRecord(key, entry[1]), place)
    this.#entries.set(text, { key, record, digest })
  }
}

/** Puts the place of an entry before what a check of it says. */
function locate<T>(check: () => T, place: string): T {
  try {
    return check()
  } catch (error) {
    if (error instanceof RecordKeyInvalid) throw new RecordKeyInvalid(`${place}: ${error.message}`, { cause: error })
    if (!(error instanceof RecordInvalid)) throw error
    const problem = error.message.slice((error.path === '' ? 'record' : error.path).length + 2)
    throw new RecordInvalid(error.path === '' ? place : `${place}.${error.path}`, problem, { cause: error })
  }
}

/**
 * Makes a store that keeps its records in memory: for tests, examples, and brokers with a fixed set of accounts.
 *
 * Every record is validated and copied, at construction and by `put`; what `get` resolves with is deeply frozen.
 * Nothing expires by itself: a record's own `expiresAt` is the authorizer's business. The watch is live from the first
 * microtask after `watch`, for ever (`at` is `Infinity`), since nothing can come between the store and its listeners.
 *
 * Exported from `mqtt-warden`.
 *
 * @example
 * ```ts
 * const store = createMemoryStore([
 *   [{ mountpoint: '', clientId: '1528361231', username: '101' }, {
 *     passhash: await hashPassword('cats'),
 *     publishAcl: [{ pattern: 'plant/%c/#' }],
 *     subscribeAcl: [],
 *   }],
 * ])
 * ```
 *
 * @param entries Records to begin with. Of two with the same key the later one stays.
 *
 * @throws RecordInvalid (`ERR_RECORD_INVALID`), RecordKeyInvalid (`ERR_RECORD_KEY_INVALID`): the message opens with the
 * place, e.g. `entries[3].publishAcl[0].maxQos`. `TypeError` for a wrong option.
 */
export function createMemoryStore(
  entries: Iterable<readonly [RecordKey, AclRecord]> = [],
  options: MemoryStoreOptions = {},
): RecordStore {
  if (entries === null || typeof entries !== 'object' || typeof entries[Symbol.iterator] !== 'function') {
    throw new TypeError('"entries" argument must be an iterable of [key, record] pairs')
  }
  checkNames(options, NAMES, 'createMemoryStore')
  const semantics = checkSemantics(options.semantics)
  return new MemoryStore(entries, { semantics, maxShared: integerOption(options, 'maxShared', MAX_SHARED) })
}
