import type { RateLimiterRes } from 'rate-limiter-flexible'
import RateLimiterRedis from 'rate-limiter-flexible/lib/RateLimiterRedis.js'
import { inSeconds, type LimiterLimits, MemoryLimiter, type OwnLimiter } from '../store/limiter.js'
import type { Command } from './client.js'
import type { Reply } from './connection.js'

/** Sends commands about one key to the server that has it. */
type Send = (redisKey: Buffer, commands: readonly Command[]) => Promise<readonly Reply[]>

/** What a limiter in Redis needs. */
export interface RedisLimiterContext {
  readonly send: Send
  /** Start of the names of its keys. */
  readonly prefix: string
  /** Hears why it counts in memory. */
  failed(error: unknown): void
  /** Overrides `MAX_BEGUN`. */
  readonly maxBegun?: number
}

/**
 * Most keys that one process begins to count in Redis within the life of one: somebody who invents names must not fill
 * it. More are counted in the memory of the process.
 */
const MAX_BEGUN = 100_000

/** Counts in Redis, for all nodes, one key for each; in memory as long as Redis does not answer. */
export class RedisLimiter implements OwnLimiter {
  readonly #limiter: RateLimiterRedis
  readonly #points: number
  readonly #memory: MemoryLimiter
  readonly #failed: (error: unknown) => void
  readonly #lifeMs: number
  readonly #maxBegun: number
  /** Keys begun since some moment, and in the same time before it: those of earlier have ended. */
  #begun = { since: 0, count: 0, before: 0 }

  constructor(limits: LimiterLimits, { send, prefix, failed, maxBegun = MAX_BEGUN }: RedisLimiterContext) {
    this.#points = limits.points
    this.#memory = new MemoryLimiter(limits)
    this.#failed = failed
    this.#maxBegun = maxBegun
    this.#lifeMs = Math.max(limits.windowMs, limits.blockMs) + 1_000
    this.#limiter = new RateLimiterRedis({
      // It blocks what exceeds its points, and ours is what uses them up: one fewer there.
      points: limits.points - 1,
      duration: inSeconds(limits.windowMs),
      blockDuration: inSeconds(limits.blockMs),
      keyPrefix: prefix,
      storeClient: clientOver(send),
      useRedisPackage: true,
    })
  }

  async spend(key: string): Promise<number> {
    if (this.#isFull()) return this.#memory.spend(key)
    try {
      const { consumedPoints, isFirstInDuration } = await this.#consume(key)
      if (isFirstInDuration) this.#begun.count++
      return consumedPoints
    } catch (error) {
      this.#failed(error)
      return this.#memory.spend(key)
    }
  }

  async isSpent(key: string): Promise<boolean> {
    if (await this.#memory.isSpent(key)) return true
    try {
      const counted = await this.#limiter.get(key)
      return counted !== null && counted.consumedPoints >= this.#points
    } catch (error) {
      this.#failed(error)
      return false
    }
  }

  close(): void {
    this.#memory.close()
  }

  /** Counts one. The library rejects with the count when there are too many. */
  async #consume(key: string): Promise<RateLimiterRes> {
    try {
      return await this.#limiter.consume(key)
    } catch (outcome) {
      if (outcome instanceof Error) throw outcome
      return outcome as RateLimiterRes
    }
  }

  #isFull(): boolean {
    const now = performance.now()
    const { since, count } = this.#begun
    if (now - since > this.#lifeMs) {
      this.#begun = { since: now, count: 0, before: now - since > 2 * this.#lifeMs ? 0 : count }
    }
    return this.#begun.count + this.#begun.before >= this.#maxBegun
  }
}

/** What `rate-limiter-flexible` uses of a client of the package `redis`: it then needs no class, and no pipeline. */
function clientOver(send: Send): object {
  return {
    async eval(script: string, given: { keys: readonly string[]; arguments: readonly string[] }): Promise<Reply> {
      const [key = ''] = given.keys
      const [reply] = await send(Buffer.from(key), [['eval', script, '1', key, ...given.arguments]])
      return reply as Reply
    },
    multi: () => transactionOver(send),
  }
}

function transactionOver(send: Send): object {
  const commands: Command[] = []
  const transaction = {
    get(key: string) {
      commands.push(['get', key])
      return transaction
    },
    set(key: string, value: number, { EX }: { EX: number }) {
      commands.push(['set', key, String(value), 'ex', String(EX)])
      return transaction
    },
    pTTL(key: string) {
      commands.push(['pttl', key])
      return transaction
    },
    async exec(): Promise<readonly Reply[]> {
      const [, key = ''] = commands[0] ?? ['']
      const replies = await send(Buffer.from(key), [['multi'], ...commands, ['exec']])
      return replies.at(-1) as readonly Reply[]
    },
  }
  return transaction
}
