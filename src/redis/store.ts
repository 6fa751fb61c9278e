import type { Semantics } from '../acl/types.js'
import { StoreUnavailable } from '../errors.js'
import { encodeRecordKey, parseRecord } from '../record/index.js'
import type { AclRecord, RecordKey } from '../record/types.js'
import type { NodeIdentity } from '../store/identity.js'
import { type Limiter, type LimiterLimits, Limiters } from '../store/limiter.js'
import { checkShared, type SharedState, type Swapped } from '../store/shared.js'
import type {
  Hearing,
  NodeInfo,
  RecordStore,
  StoredRecord,
  StoreLink,
  StoreListener,
  WatchOptions,
  WriteOptions,
  WriteResult,
} from '../store/types.js'
import {
  checkWriteOptions,
  digestOf,
  type PreparedKey,
  prepareKey,
  prepareRecord,
  settleWrite,
} from '../store/write.js'
import { lossOf, mayHaveWritten, readError, unavailable, writeError } from './failure.js'
import type { RedisFinding } from './findings.js'
import type { KeySpace } from './keys.js'
import { RedisLimiter } from './limiter.js'
import type { Nodes } from './nodes.js'
import type { Invalidation, RedisSettings } from './options.js'
import { Receipts } from './receipts.js'
import { type Done, RecordCommands } from './records.js'
import { Sender } from './send.js'
import { type RedisStoreStats, Watch } from './watch.js'

/** A record store on Redis. */
export interface RedisStore extends RecordStore {
  readonly nodeId: string
  readonly shared: SharedState
  readonly hears: Hearing
  limiter(name: string, limits: LimiterLimits): Limiter
  getStored(key: RecordKey): Promise<StoredRecord | undefined>
  readonly readsAtOnce: number
  nodes(): Promise<readonly NodeInfo[]>
  links(): readonly StoreLink[]
  /**
   * Looks at every server that has records: version, topology, eviction, the rights of the user, whether a change is
   * heard. Changes nothing. A watch does so by itself whenever it has become live, and tells what is wrong as `error`
   * events, each once.
   *
   * Never rejects while the store is open: a server that cannot be reached is a finding. Takes one connection per
   * server for a moment, and a second one for the link.
   */
  check(): Promise<readonly RedisFinding[]>
  /** Counts for monitoring. */
  stats(): RedisStoreStats
}

/** What a Redis store is put together from. */
export interface RedisStoreParts {
  readonly settings: RedisSettings
  readonly keys: KeySpace
  readonly nodes: Nodes
  readonly identity: NodeIdentity
}

/** A write that is to be carried out. */
interface Writing extends PreparedKey {
  /** Digest of what is written. */
  readonly digest: string | null
  readonly warnings: readonly string[]
  readonly options: WriteOptions | undefined
  write(redisKey: Buffer): Promise<Done>
}

const HEARS: { readonly [I in Invalidation]: Hearing } = {
  tracking: 'everything',
  channel: 'own writes',
  none: 'nothing',
}

export class RedisRecordStore implements RedisStore {
  readonly semantics: Semantics
  readonly nodeId: string
  readonly shared: SharedState
  readonly hears: Hearing
  readonly #settings: RedisSettings
  readonly #keys: KeySpace
  readonly #nodes: Nodes
  readonly #commands: RecordCommands
  readonly #watch: Watch
  readonly #limiters: Limiters
  readonly #receipts: Receipts
  #closing: Promise<void> | undefined

  constructor({ settings, keys, nodes, identity }: RedisStoreParts) {
    this.semantics = settings.semantics
    this.nodeId = identity.id
    this.hears = HEARS[settings.invalidation]
    this.#settings = settings
    this.#keys = keys
    this.#nodes = nodes
    const sender = new Sender(nodes, settings.commandTimeoutMs)
    this.#commands = new RecordCommands(nodes, sender, settings.maxRecordBytes)
    this.#watch = new Watch({ nodes, keys, sender, identity, commands: this.#commands, settings })
    const { asks } = this.#watch
    this.#receipts = new Receipts({ sender, keys, asks, self: identity.id, announce: key => this.#announce(key) })
    this.#limiters = new Limiters((name, limits) => {
      const failed = (error: unknown) => this.#watch.failed(unavailable(error), `limiter ${name}`)
      const send: Sender['send'] = (...given) => sender.send(...given)
      return new RedisLimiter(limits, { send, prefix: keys.limiterPrefix(name), failed })
    })
    this.shared = { get: name => this.#getShared(name), swap: (...given) => this.#swapShared(...given) }
  }

  async get(key: RecordKey): Promise<AclRecord | undefined> {
    return (await this.getStored(key))?.record
  }

  async getStored(key: RecordKey): Promise<StoredRecord | undefined> {
    this.#demandOpen()
    const redisKey = this.#keys.redisKey(encodeRecordKey(key))
    // Taken before the read is sent, so as to end the record no later than Redis does.
    const readAtMs = Date.now()
    const value = await this.#reading(() => this.#commands.read(redisKey))
    if (value === undefined) return undefined
    const record = parseRecord(value.bytes, { semantics: this.semantics, maxBytes: this.#settings.maxRecordBytes })
    const stored = { record, digest: digestOf(value.bytes) }
    return value.ttlMs < 0 ? stored : { ...stored, expiresAtMs: readAtMs + value.ttlMs }
  }

  get readsAtOnce(): number {
    return this.#commands.readsAtOnce
  }

  async put(key: RecordKey, record: AclRecord, options?: WriteOptions): Promise<WriteResult> {
    this.#demandOpen()
    checkWriteOptions(options)
    const prepared = prepareKey(key)
    const { text, digest, warnings } = prepareRecord(prepared.key, record, { maxBytes: this.#settings.maxRecordBytes })
    const write = (redisKey: Buffer) => this.#commands.put(redisKey, text, options)
    return this.#writing({ ...prepared, digest, warnings, options, write })
  }

  async delete(key: RecordKey, options?: WriteOptions): Promise<WriteResult> {
    this.#demandOpen()
    checkWriteOptions(options)
    const write = (redisKey: Buffer) => this.#commands.delete(redisKey, options)
    return this.#writing({ ...prepareKey(key), digest: null, warnings: [], options, write })
  }

  async *scan(): AsyncGenerator<RecordKey> {
    this.#demandOpen()
    const pages = this.#commands.scan(this.#keys.recordGlob)
    for (;;) {
      const page = await this.#reading(() => pages.next())
      if (page.done) return
      for (const redisKey of page.value) {
        const key = this.#keys.recordKey(redisKey)
        if (key === undefined) continue
        yield key
        this.#demandOpen()
      }
    }
  }

  // The authorizer asks for these on its own: properties work in an object that inherits from the store, too.
  readonly limiter = (name: string, limits: LimiterLimits): Limiter => this.#limiters.get(name, limits)

  watch(listener: StoreListener, options?: WatchOptions): () => void {
    this.#demandOpen()
    return this.#watch.add(listener, options)
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    this.#demandOpen()
    return this.#reading(() => this.#watch.asks.leases.list())
  }

  readonly links = (): readonly StoreLink[] => this.#watch.links()

  async check(): Promise<readonly RedisFinding[]> {
    this.#demandOpen()
    return this.#watch.check.run()
  }

  stats(): RedisStoreStats {
    return this.#watch.stats()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    const told = this.#watch.close()
    await this.#watch.asks.leases.settled()
    await Promise.all([told, this.#nodes.close()])
    this.#limiters.close()
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      throw readError(error, this.#settings.commandTimeoutMs)
    }
  }

  async #getShared(name: string): Promise<string | undefined> {
    this.#demandOpen()
    checkShared(name, [])
    return this.#reading(() => this.#commands.readText(this.#keys.sharedKey(name)))
  }

  async #swapShared(...[name, expected, value, options]: Parameters<SharedState['swap']>): Promise<Swapped> {
    this.#demandOpen()
    checkShared(name, [expected, value], options?.ttlMs)
    try {
      return await this.#commands.swap(this.#keys.sharedKey(name), expected, value, options?.ttlMs)
    } catch (error) {
      throw writeError(error)
    }
  }

  /** Writes, and tells the listeners of this process itself: its caller is to find them finished. */
  async #writing({ text, key, digest, warnings, options, write }: Writing): Promise<WriteResult> {
    const redisKey = this.#keys.redisKey(text)
    const sentAt = performance.now()
    let done: Done
    try {
      done = await write(redisKey)
    } catch (error) {
      const meaning = writeError(error)
      if (mayHaveWritten(meaning)) await Promise.all([this.#announce(redisKey), this.#watch.changed(key, text)])
      throw meaning
    }
    const { timeoutMs } = options?.receipt ?? {}
    const [, more, receipt] = await Promise.all([
      this.#watch.changed(key, text),
      this.#announce(redisKey),
      timeoutMs && this.#receipts.collect({ key, text, digest, sentAt, timeoutMs }),
    ])
    const result = { digest, ...done, warnings: [...warnings, ...more] }
    return settleWrite(receipt ? { ...result, receipt } : result, options)
  }

  /** Tells the stores that would not hear of the write otherwise; resolves with what to warn of. */
  async #announce(redisKey: Buffer): Promise<readonly string[]> {
    if (this.hears !== 'own writes') return []
    try {
      await this.#commands.announce(Buffer.from(this.#keys.channel), redisKey)
      return []
    } catch (error) {
      return [`other processes were not told, and will not notice before maxAgeMs: ${lossOf(error).message}`]
    }
  }

  #demandOpen(): void {
    if (this.#closing !== undefined) throw new StoreUnavailable('store is closed')
  }
}
