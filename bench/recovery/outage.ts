import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { eventually } from '../../test/helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../../test/helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../../test/helpers/tcp-proxy.js'
import { Child } from '../child.js'
import { nameOf, textOf } from './accounts.js'
import type { NodeArgument, Seen } from './node.js'

/** Accounts that lose their record in each outage. */
const REVOKED = 100
const BATCH = 5_000
const LIMIT_MS = 120_000
const LOOK_MS = 20
/** Rates are counted over this, in milliseconds. */
const RATE_MS = 500

/** How the line fails. */
export interface Outage {
  readonly how: 'cut' | 'frozen'
  readonly ms: number
}

/** What came of an outage. Times in nanoseconds. */
export interface Course {
  /** From the end of the outage until every session decides by what was written meanwhile. */
  readonly fresh: number
  /** The same until the link is live. */
  readonly live: number
  /** How long a right was granted that was taken in the outage; the bound that holds. */
  readonly survived: number
  readonly bound: number
  readonly seen: Seen
  /** Longest delay of the node's event loop, during the outage and from its end on. */
  readonly delayOut: number
  readonly delayBack: number
  /** Commands that Redis did a second when it did most, and in all. */
  readonly peak: number
  readonly commands: number
}

interface Look {
  readonly state: string
  readonly seen: Seen
}

/** A node whose line to Redis can be made to fail. */
export class Site {
  readonly #server: RedisServer
  readonly #line: TcpProxy
  readonly #admin: Redis
  readonly #node: Child
  readonly #accounts: number
  /** Accounts that have lost their records, the first ones. */
  #revoked = 0
  #version = 0

  static async open(accounts: number, clients: number): Promise<Site> {
    const server = await startRedisServer()
    const line = await startTcpProxy(server.port)
    const argument: NodeArgument = { url: `redis://127.0.0.1:${line.port}`, accounts, clients }
    const node = await Child.start(new URL('node.ts', import.meta.url), argument)
    const site = new Site(server, line, node, accounts)
    await site.#write()
    await node.ask('logIn')
    return site
  }

  private constructor(server: RedisServer, line: TcpProxy, node: Child, accounts: number) {
    this.#server = server
    this.#line = line
    this.#admin = new Redis(server.port)
    this.#node = node
    this.#accounts = accounts
  }

  /** Lets the line fail, has all records changed and some deleted meanwhile, and looks on until all is well again. */
  async suffer({ how, ms }: Outage): Promise<Course> {
    const { boundMs } = await this.#node.ask<{ boundMs: number }>('freshness')
    const revoked = Array.from({ length: REVOKED }, (_, at) => this.#revoked + at)
    this.#revoked += REVOKED
    await this.#node.ask('watch', revoked)
    const heal = this.#fail(how)
    const over = pause(ms)
    const revokedAt = now()
    await this.#admin.del(revoked.map(nameOf))
    await this.#write()
    await over
    const delayOut = await this.#node.ask<number>('delay')

    const rate = new Rate(this.#admin)
    const healedAt = now()
    heal()
    await this.#until(({ state }) => state === 'live', 'the link is live')
    const live = now() - healedAt
    await this.#until(({ seen }) => seen.followed >= seen.left, 'all sessions are fresh')
    const fresh = now() - healedAt
    const { seen } = await this.#look()
    return {
      ...{ fresh: fresh * 1e6, live: live * 1e6, bound: boundMs * 1e6, seen, delayOut },
      survived: Math.max(0, seen.grantedAt - revokedAt) * 1e6,
      delayBack: await this.#node.ask<number>('delay'),
      ...(await rate.stop()),
    }
  }

  async close(): Promise<void> {
    await this.#node.stop()
    await this.#line.close()
    this.#admin.disconnect()
    await this.#server.stop()
  }

  #fail(how: Outage['how']): () => void {
    const line = this.#line
    if (how === 'frozen') {
      line.freeze()
      return () => line.resume()
    }
    line.refuse(true)
    line.cut()
    return () => line.refuse(false)
  }

  /** Writes all records anew, except those that were revoked. */
  async #write(): Promise<void> {
    const text = textOf(this.#version++)
    for (let from = this.#revoked; from < this.#accounts; from += BATCH) {
      const batch = this.#admin.pipeline()
      for (let at = from; at < Math.min(from + BATCH, this.#accounts); at++) batch.set(nameOf(at), text)
      await batch.exec()
    }
  }

  async #until(condition: (look: Look) => boolean, what: string): Promise<void> {
    const isMet = async (): Promise<boolean> => {
      await pause(LOOK_MS)
      return condition(await this.#look())
    }
    await eventually(isMet, what, LIMIT_MS)
  }

  async #look(): Promise<Look> {
    const { state } = await this.#node.ask<{ state: string }>('freshness')
    return { state, seen: await this.#node.ask<Seen>('seen') }
  }
}

/** Counts what a server does. */
class Rate {
  readonly #admin: Redis
  readonly #counts: { readonly at: number; readonly commands: number }[] = []
  readonly #counting: Promise<void>
  #isOver = false

  constructor(admin: Redis) {
    this.#admin = admin
    this.#counting = this.#count()
  }

  async stop(): Promise<Pick<Course, 'peak' | 'commands'>> {
    this.#isOver = true
    await this.#counting
    const rates = this.#counts.slice(1).map(({ at, commands }, before) => {
      const last = this.#counts[before]!
      return (commands - last.commands) / ((at - last.at) / 1_000)
    })
    return { peak: Math.max(...rates), commands: this.#counts.at(-1)!.commands - this.#counts[0]!.commands }
  }

  async #count(): Promise<void> {
    while (!this.#isOver) {
      const commands = Number(/total_commands_processed:(\d+)/.exec(await this.#admin.info('stats'))![1])
      this.#counts.push({ at: now(), commands })
      await pause(RATE_MS)
    }
  }
}

/** Milliseconds of the clock that all processes share. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
