import type { StoreUnavailable } from '../errors.js'
import { encodeRecordKey } from '../record/index.js'
import type { RecordKey } from '../record/types.js'
import { Listeners } from '../store/listeners.js'
import type { StoreEvent, StoreLink, StoreListener, WatchOptions } from '../store/types.js'
import { type AskContext, Asks } from './asks.js'
import { SelfCheck } from './check.js'
import type { KeySpace } from './keys.js'
import type { LinkEvents } from './link.js'
import type { Nodes, Watching } from './nodes.js'
import type { Invalidation, RedisSettings } from './options.js'

/** Counts of a Redis store since it was made. */
export interface RedisStoreStats {
  /** Whether changes are being heard. */
  readonly state: 'live' | 'blind'
  /** Times that everything heard up to some moment was proven. */
  readonly beats: number
  /** Times that everything had to be taken as changed: links that were set up, and flushes. */
  readonly unknowns: number
  /** Invalidations of keys that are no record keys, those of beats included. */
  readonly otherKeys: number
  /** Messages thrown away because they were no invalidation. */
  readonly droppedMessages: number
  /** Questions of writers that were answered, for their receipts. */
  readonly answeredAsks: number
  /** Questions that were not answered: malformed, too many, or Redis was away. */
  readonly droppedAsks: number
}

/** What a watch is put together from. */
export interface WatchParts extends Omit<AskContext, 'listeners' | 'failed'> {
  readonly nodes: Nodes
  readonly settings: RedisSettings
}

/** Where trouble with the links is said to be. */
const LINK = 'redis link'

/** Turns what the links hear into events for the listeners. Links exist only while somebody listens. */
export class Watch {
  readonly listeners: Listeners = new Listeners()
  readonly check: SelfCheck
  readonly asks: Asks
  readonly #nodes: Nodes
  readonly #keys: KeySpace
  readonly #invalidation: Invalidation
  readonly #counts = { beats: 0, unknowns: 0, otherKeys: 0, droppedMessages: 0 }
  #watching: Watching | undefined
  #state: 'live' | 'blind' = 'blind'
  #heardUntil = -Infinity
  /** Last trouble by place. */
  readonly #lastFailures: Map<string, string> = new Map()

  constructor({ nodes, settings, ...parts }: WatchParts) {
    this.#nodes = nodes
    this.#keys = parts.keys
    this.#invalidation = settings.invalidation
    this.check = new SelfCheck(nodes, parts.keys, settings)
    const failed = (error: StoreUnavailable, place: string): void => this.failed(error, place)
    this.asks = new Asks({ ...parts, listeners: this.listeners, failed })
  }

  add(listener: StoreListener, options?: WatchOptions): () => void {
    const begin = (tell: (event: StoreEvent) => void): void => {
      if (this.#state === 'live') tell({ type: 'link', state: 'live', at: this.#heardUntil })
    }
    const remove = this.listeners.add(listener, begin, options)
    if (this.#invalidation === 'none') this.#report()
    else this.#watching ??= this.#nodes.watch(this.#createEvents())
    this.asks.leases.set(this.listeners.decidesForMs)
    return () => {
      if (!remove()) return
      this.asks.leases.set(this.listeners.decidesForMs)
      if (this.listeners.size === 0) this.#stop()
    }
  }

  /** Tells the listeners of a change that this process made. Resolves when they have finished. */
  async changed(key: RecordKey, text: string): Promise<void> {
    const effects = this.listeners.dispatch({ type: 'changed', key })
    if (this.asks.leases.isHeld) this.asks.tallies.note(text, effects)
    await effects
  }

  links(): readonly StoreLink[] {
    return this.#watching?.links() ?? []
  }

  stats(): RedisStoreStats {
    return { state: this.#state, ...this.#counts, ...this.asks.counts }
  }

  /** Tells the listeners that this was all. Resolves when they have finished. */
  async close(): Promise<void> {
    this.asks.leases.abandon()
    const told = this.#blind()
    this.listeners.clear()
    this.#stop()
    await Promise.all([told, this.check.close()])
  }

  #stop(): void {
    this.#state = 'blind'
    void this.#watching?.stop()
    this.#watching = undefined
  }

  async #blind(): Promise<void> {
    if (this.#state === 'blind') return
    this.#state = 'blind'
    await this.listeners.dispatch({ type: 'link', state: 'blind', at: this.#heardUntil })
  }

  #createEvents(): LinkEvents {
    const counts = this.#counts
    return {
      changed: redisKey => {
        const key = this.#keys.recordKey(redisKey)
        if (key !== undefined) this.#heard(key)
        else {
          counts.otherKeys++
          const ask = this.#keys.askId(redisKey)
          if (ask !== undefined) this.asks.heard(ask)
        }
      },
      unknown: () => {
        counts.unknowns++
        this.listeners.tell({ type: 'unknown' })
        // The list of nodes may be gone with everything else.
        this.asks.leases.renew()
      },
      live: at => {
        counts.beats++
        this.#lastFailures.delete(LINK)
        if (this.#state === 'blind') this.#report()
        this.#state = 'live'
        this.#heardUntil = at
        this.listeners.tell({ type: 'link', state: 'live', at })
      },
      blind: () => void this.#blind(),
      failed: error => this.failed(error, LINK),
      dropped: () => counts.droppedMessages++,
    }
  }

  /** Has the servers looked at, whoever they are now. */
  #report(): void {
    void this.check.report(event => this.listeners.tell(event))
  }

  #heard(key: RecordKey): void {
    const event = { type: 'changed', key } as const
    if (this.asks.leases.isHeld) this.asks.tallies.note(encodeRecordKey(key), this.listeners.run(event))
    else this.listeners.tell(event)
  }

  /** Says each trouble once, not once for each attempt. */
  failed(error: StoreUnavailable, place: string): void {
    if (this.#lastFailures.get(place) === error.message) return
    this.#lastFailures.set(place, error.message)
    this.listeners.tell({ type: 'error', error, place })
  }
}
