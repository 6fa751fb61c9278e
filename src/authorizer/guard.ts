import { hash } from 'node:crypto'
import type { Principal } from '../acl/types.js'
import { type GrowingCache, growingCache } from '../growing-cache.js'
import { type Limiter, type LimiterLimits, MemoryLimiter } from '../store/limiter.js'
import type { RecordStore } from '../store/types.js'
import type { Placed } from './address.js'
import { networkOf } from './network.js'
import type { Settings } from './options.js'

/** What is counted: an account from one address, an account, an address, and a known client by itself. */
type LimitName = 'pair' | 'account' | 'address' | 'own'

interface Limit {
  readonly name: LimitName
  readonly limits: LimiterLimits
  readonly limiter: Limiter
}

/** What refuses a login. */
export interface Block {
  readonly key: string
  readonly limit: Limit
}

/** How long a refusal is repeated without asking again, in milliseconds. */
const REPEAT_MS = 1_000

/** Most entries of each memory of the guard, about 200 bytes each. */
const MAX_REMEMBERED = 50_000

/** One who tries to log in. */
export class Visitor {
  /** Whether a client has logged in with this record from this address before. */
  isKnown = false
  readonly #principal: Principal
  readonly #record: string
  readonly #client: Placed
  #keys: Partial<Record<LimitName, string>> | undefined
  #network: string | undefined

  /** @param record The record asked for, or the one that decides where there is one. */
  constructor(principal: Principal, record: string, client: Placed) {
    this.#principal = principal
    this.#record = record
    this.#client = client
  }

  /** Whether it is known where the client is: if not, those of different places cannot be told apart. */
  get isPlaced(): boolean {
    return this.#client.address !== undefined
  }

  /** Names the record and the place it is used from, for what a visitor who proved a password leaves in memory. */
  get trace(): string {
    // Joined: see `encodeRecordKey`.
    return [this.#place.length, ' ', this.#place, this.#record].join('')
  }

  /** A key of fixed length, whatever names clients invent, that tells none of them. */
  keyOf(name: LimitName): string {
    this.#keys ??= {}
    this.#keys[name] ??= hash('sha256', JSON.stringify([name, ...this.#partsOf(name)]), 'base64url')
    return this.#keys[name]
  }

  get #place(): string {
    const { address } = this.#client
    this.#network ??= address === undefined ? '' : networkOf(address)
    return this.#network
  }

  #partsOf(name: LimitName): readonly string[] {
    const { mountpoint, username } = this.#principal
    if (name === 'own') return [this.#record, this.#place]
    if (name === 'address') return [this.#place]
    return name === 'account' ? [mountpoint, username] : [mountpoint, username, this.#place]
  }
}

/**
 * Keeps passwords from being guessed: refuses logins unheard where too many have failed.
 *
 * A client that has logged in before from the same address has an allowance of its own, so that others cannot use it
 * up. Whether an account exists makes no difference to what is counted and refused.
 */
export class Guard {
  readonly #strangers: readonly Limit[]
  /** Where the store has no limiters. */
  readonly #made: MemoryLimiter[] = []
  readonly #own: Limit | undefined
  readonly #unplaced: readonly Limit[]
  readonly #known: Limiter | undefined
  readonly #proven: number
  /** Known visitors, by their traces: not to be told to the store again, nor asked for. */
  readonly #marks: GrowingCache<true>
  /** What was refused a moment ago, by own keys. */
  readonly #blocks: GrowingCache<Block>
  /** Wrong passwords compared with what was proven while refusing, by the key that refuses. */
  readonly #tries: GrowingCache<number>
  /** When the last of them is forgotten: of those that nobody asks for, the cache itself takes no note. */
  #triesUntil = Number.NEGATIVE_INFINITY
  readonly #now: () => number
  /** Ways to refuse those whose passwords are being judged, by key. */
  readonly #underWay: Map<string, Set<() => void>> = new Map()

  constructor({ throttle, store, now }: Pick<Settings, 'throttle' | 'store' | 'now'>) {
    this.#now = now
    const limit = (name: LimitName, limits: LimiterLimits | undefined): Limit[] =>
      limits === undefined ? [] : [{ name, limits, limiter: this.#limiterOf(store, name, limits) }]
    this.#strangers = [
      ...limit('pair', throttle?.perPair),
      ...limit('account', throttle?.perAccount),
      ...limit('address', throttle?.perAddress),
    ]
    this.#unplaced = this.#strangers.filter(({ name }) => name === 'account')
    this.#own = limit('own', throttle?.perPair)[0]
    this.#proven = throttle?.proven ?? 0
    const knownMs = throttle?.knownMs ?? 0
    // lru-cache reads a start time of 0 as "never expires", and may reuse one reading of the clock for a while unless
    // told.
    const timed = { max: MAX_REMEMBERED, ttlResolution: 0, perf: { now: () => now() + 1 } }
    this.#marks = growingCache({ ...timed, ttl: Math.max(1, Math.floor(knownMs / 2)) })
    this.#blocks = growingCache({ ...timed, ttl: REPEAT_MS })
    this.#tries = growingCache({ ...timed, ttl: REPEAT_MS })
    const isOn = this.#strangers.length > 0 && knownMs > 0
    if (isOn) this.#known = this.#limiterOf(store, 'known', { points: 1, windowMs: knownMs, blockMs: knownMs })
  }

  /** Whether a proven password suffices, whoever brings it: most logins come while nobody guesses. */
  isQuiet(now: number = this.#now()): boolean {
    return this.#strangers.length === 0 || (this.#proven > 0 && now > this.#triesUntil)
  }

  /** Whether even a proven password has to be asked for: because too many wrong ones were compared with it. */
  isShut(visitor: Visitor): boolean {
    if (this.isQuiet()) return false
    if (this.#proven === 0) return true
    const isKnown = this.#marks.has(visitor.trace)
    return this.#limitsFor(visitor, isKnown).some(
      ({ name }) => (this.#tries.get(visitor.keyOf(name)) ?? 0) >= this.#proven,
    )
  }

  /** What refuses a login, if anything does. */
  async check(visitor: Visitor): Promise<Block | undefined> {
    if (this.#strangers.length === 0) return undefined
    const own = visitor.keyOf('own')
    const repeated = this.#blocks.get(own)
    if (repeated !== undefined) return repeated
    const limits = [...this.#limitsFor(visitor, true), ...this.#limitsFor(visitor, false)]
    const [isKnown, ...spent] = await Promise.all([
      this.#marks.has(visitor.trace) || (visitor.isPlaced && (this.#known?.isSpent(own) ?? false)),
      ...limits.map(({ name, limiter }) => limiter.isSpent(visitor.keyOf(name))),
    ])
    visitor.isKnown = isKnown
    const concerned = this.#limitsFor(visitor, isKnown)
    const limit = limits.find((candidate, index) => spent[index] && concerned.includes(candidate))
    if (limit === undefined) return undefined
    const block = { limit, key: visitor.keyOf(limit.name) }
    this.#blocks.set(own, block)
    return block
  }

  /** A login was refused by a block, and its password was none that was proven before. */
  missed({ key, limit }: Block): void {
    const tries = (this.#tries.get(key) ?? 0) + 1
    const { blockMs } = limit.limits
    this.#tries.set(key, tries, { ttl: blockMs, noUpdateTTL: true })
    this.#triesUntil = Math.max(this.#triesUntil, this.#now() + blockMs)
  }

  /**
   * Has `refuse` called if the points are used up while the password of the visitor is judged; returns what ends that.
   */
  attend(visitor: Visitor, refuse: () => void): () => void {
    const keys = this.#limitsFor(visitor).map(({ name }) => visitor.keyOf(name))
    for (const key of keys) {
      const others = this.#underWay.get(key)
      if (others === undefined) this.#underWay.set(key, new Set([refuse]))
      else others.add(refuse)
    }
    return () => {
      for (const key of keys) {
        const others = this.#underWay.get(key)
        if (others?.delete(refuse) && others.size === 0) this.#underWay.delete(key)
      }
    }
  }

  /** A login has failed. Resolves with whether so many have that this one is to be refused like those to come. */
  async failed(visitor: Visitor): Promise<boolean> {
    const outcomes = this.#limitsFor(visitor).map(async ({ name, limiter, limits }) => {
      const key = visitor.keyOf(name)
      const count = await limiter.spend(key)
      if (count >= limits.points) for (const refuse of [...(this.#underWay.get(key) ?? [])]) refuse()
      return count > limits.points
    })
    return (await Promise.all(outcomes)).includes(true)
  }

  /** A login has succeeded. Nobody waits for what the store makes of it. */
  passed(visitor: Visitor): void {
    if (this.#known === undefined || !visitor.isPlaced) return
    const { trace } = visitor
    if (this.#marks.has(trace)) return
    this.#marks.set(trace, true)
    void this.#spend(this.#known, visitor.keyOf('own'))
  }

  /** A limiter of a store is not to fail; one that does all the same has only not counted. */
  async #spend(limiter: Limiter, key: string): Promise<void> {
    try {
      await limiter.spend(key)
    } catch {}
  }

  close(): void {
    for (const limiter of this.#made) limiter.close()
  }

  #limiterOf(store: RecordStore, name: string, limits: LimiterLimits): Limiter {
    const shared = store.limiter?.(name, limits)
    if (shared !== undefined) return shared
    const made = new MemoryLimiter(limits)
    this.#made.push(made)
    return made
  }

  #limitsFor({ isPlaced, isKnown: wasKnown }: Visitor, isKnown: boolean = wasKnown): readonly Limit[] {
    if (!isPlaced) return this.#unplaced
    if (!isKnown) return this.#strangers
    return this.#own === undefined ? [] : [this.#own]
  }
}
