import { randomUUID } from 'node:crypto'

/**
 * What the webhook servers over one VerneMQ share, so that one of them carries out a change and another takes over when
 * it dies. Any store with expiring keys will do; {@link createRedisPeers} makes it from a Redis client. A call that fails, or
 * takes longer than a quarter of `takeoverMs`, is reported, and the server goes on alone.
 */
export interface EnforcementPeers {
  /** Sets a value where there is none, for `ttlMs` milliseconds (`SET name value NX PX ttlMs`); whether it did. */
  setIfAbsent(name: string, value: string, ttlMs: number): Promise<boolean>
  /** Sets a value for `ttlMs` milliseconds (`SET name value PX ttlMs`). */
  set(name: string, value: string, ttlMs: number): Promise<void>
  get(name: string): Promise<string | undefined>
  /** Counts a server among the live ones for `ttlMs` milliseconds from now. */
  join(id: string, ttlMs: number): Promise<void>
  /** Ids of the live servers. */
  members(): Promise<readonly string[]>
}

/** The calls made of a Redis client; one of `ioredis` has them. */
export interface RedisPeersClient {
  set(name: string, value: string, px: 'PX', ttlMs: number): Promise<unknown>
  set(name: string, value: string, px: 'PX', ttlMs: number, nx: 'NX'): Promise<unknown>
  get(name: string): Promise<string | null>
  zadd(name: string, score: number, member: string): Promise<unknown>
  zremrangebyscore(name: string, min: number, max: number): Promise<unknown>
  zrangebyscore(name: string, min: number, max: '+inf'): Promise<string[]>
}

/**
 * Makes {@link EnforcementPeers} from a client of `ioredis`, which stays the caller's. The prefix must be the same on
 * all servers over one VerneMQ, and their clocks should agree to a few seconds.
 *
 * Exported from `mqtt-warden/vernemq`.
 *
 * @param prefix Opens all names; must not begin as the keys of records do (`["`).
 */
export function createRedisPeers(client: RedisPeersClient, prefix: string = 'mqtt-warden:vernemq:'): EnforcementPeers {
  if (typeof client?.zadd !== 'function') throw new TypeError('"client" argument must be a Redis client')
  if (typeof prefix !== 'string' || prefix === '' || prefix.startsWith('[')) {
    throw new TypeError('"prefix" argument must be text that does not begin with "["')
  }
  const servers = `${prefix}servers`
  return {
    setIfAbsent: async (name, value, ttlMs) => (await client.set(prefix + name, value, 'PX', ttlMs, 'NX')) === 'OK',
    set: async (name, value, ttlMs) => {
      await client.set(prefix + name, value, 'PX', ttlMs)
    },
    get: async name => (await client.get(prefix + name)) ?? undefined,
    join: async (id, ttlMs) => {
      await client.zremrangebyscore(servers, 0, Date.now())
      await client.zadd(servers, Date.now() + ttlMs, id)
    },
    members: () => client.zrangebyscore(servers, Date.now(), '+inf'),
  }
}

/** A server that has no others beside it. */
export function createLonePeers(): EnforcementPeers {
  return {
    setIfAbsent: async () => true,
    set: async () => {},
    get: async () => undefined,
    join: async () => {},
    members: async () => [],
  }
}

/** Whose a piece of work is: this server's, another's that is at it, or nobody's any more since it is done. */
export type Share = 'mine' | 'held' | 'done'

const POLL_MS = 25

/**
 * One server's part in the sharing of work. A peer store that fails, or does not answer in a quarter of the time after
 * which another server takes over, is reported, and the work done twice at worst: four answers are waited for before it
 * is done.
 */
export class Shift {
  readonly id: string = randomUUID()
  readonly #peers: EnforcementPeers
  readonly #ttlMs: number
  readonly #onError: (error: unknown) => void
  #turn = 0

  constructor(peers: EnforcementPeers, ttlMs: number, onError: (error: unknown) => void) {
    this.#peers = peers
    this.#ttlMs = ttlMs
    this.#onError = onError
  }

  async join(): Promise<void> {
    await this.#ask(() => this.#peers.join(this.id, this.#ttlMs), undefined)
  }

  /** What stands for the work now: to tell later what is new. */
  peek(work: string): Promise<string | undefined> {
    return this.#ask(() => this.#peers.get(work), undefined)
  }

  /**
   * Asks for the work.
   *
   * @param before What stood for it when the change was heard of: if that is still there and says that it is done, it
   * was an earlier change to the same content.
   */
  async take(work: string, before: string | undefined): Promise<Share> {
    if (await this.takeFree(work)) return 'mine'
    const now = await this.peek(work)
    if (now?.startsWith('held') && !now.startsWith(`held ${this.id}`)) return 'held'
    if (now?.startsWith('done') && now !== before) return 'done'
    this.#turn++
    await this.renew(work)
    return 'mine'
  }

  /** Whether nobody had the work, and it is this server's now. */
  takeFree(work: string): Promise<boolean> {
    this.#turn++
    return this.#ask(() => this.#peers.setIfAbsent(work, this.#mark('held'), this.#ttlMs), true)
  }

  async isDone(work: string): Promise<boolean> {
    return (await this.peek(work))?.startsWith('done') === true
  }

  async renew(work: string): Promise<void> {
    await this.#ask(() => this.#peers.set(work, this.#mark('held'), this.#ttlMs), undefined)
  }

  /** Kept for longer than it takes the others to look. */
  async finish(work: string): Promise<void> {
    await this.#ask(() => this.#peers.set(work, this.#mark('done'), 2 * this.#ttlMs), undefined)
  }

  /** Tells the others that this server decides by what the record is now. */
  async confirm(record: string, digest: string): Promise<void> {
    await this.#ask(() => this.#peers.set(`seen ${this.id} ${record}`, digest, 2 * this.#ttlMs), undefined)
  }

  /** Waits until all live servers have confirmed; returns those that did not in time. */
  async unconfirmed(record: string, digest: string, timeoutMs: number): Promise<readonly string[]> {
    const deadline = performance.now() + timeoutMs
    let missing = (await this.#ask(() => this.#peers.members(), [])).filter(id => id !== this.id)
    while (missing.length > 0) {
      const seen = await Promise.all(
        missing.map(id => this.#ask(() => this.#peers.get(`seen ${id} ${record}`), undefined)),
      )
      missing = missing.filter((_id, index) => seen[index] !== digest)
      if (missing.length === 0 || performance.now() >= deadline) break
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
    return missing
  }

  /** Different for everything that is done, however often. */
  #mark(state: 'held' | 'done'): string {
    return `${state} ${this.id} ${this.#turn}`
  }

  async #ask<T>(question: () => Promise<T>, otherwise: T): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      const ms = this.#ttlMs / 4
      timer = setTimeout(() => reject(new Error(`"peers" did not answer within ${ms} ms`)), ms).unref()
    })
    try {
      return await Promise.race([question(), late])
    } catch (error) {
      this.#onError(error)
      return otherwise
    } finally {
      clearTimeout(timer)
    }
  }
}
