import { StoreUnavailable } from '../errors.js'
import type { NodeIdentity } from '../store/identity.js'
import type { Listeners } from '../store/listeners.js'
import type { NodeInfo } from '../store/types.js'
import type { Command } from './client.js'
import type { Reply } from './connection.js'
import { lossOf } from './failure.js'
import type { KeySpace } from './keys.js'
import type { Sender } from './send.js'
import { within } from './time.js'

/** Times between two signs of life, in milliseconds. */
const RENEW = { min: 1_000, max: 5_000 }

/** Most nodes that are looked at. */
const MAX_NODES = '10000'

/** After it the list goes, should nobody be left to write it. Longer than any lease, in milliseconds. */
const LIST_MS = '172800000'

/** Member of the list that tells when it was lost, by a score above all leases. Older nodes take it for no node. */
const LOST = 'lost'
const LOST_SCORE = 1_000_000_000_000_000

/** Latest moment that a `Date` can hold, in Unix milliseconds. */
const MAX_DATE_MS = 8_640_000_000_000_000

/** Longest that a closing store waits for its lease to be gone, in milliseconds. */
const WITHDRAW_MS = 500

/** What leases need. */
export interface LeaseContext {
  readonly sender: Sender
  readonly keys: KeySpace
  readonly identity: NodeIdentity
  readonly listeners: Pick<Listeners, 'sessions'>
  /** Hears, again and again, what does not work; `place` is one for each thing. */
  failed(error: StoreUnavailable, place: string): void
}

/** What a node writes about itself, as one member of the list. What others leave out or add does not matter. */
type Announcement = NodeIdentity & Pick<NodeInfo, 'leaseMs' | 'sessions'>

/** A member of the list that this node has written. */
interface Member {
  readonly text: string
  readonly leaseMs: number
}

/** What stands in the list. */
export interface NodeList {
  readonly nodes: readonly NodeInfo[]
  /** Milliseconds since nodes were lost from it before their time, e.g. since everything was flushed. */
  readonly lostMs?: number
}

/**
 * The nodes that are alive: one sorted set, by the moment on the server's clock up to which each counts. Nobody's own
 * clock matters, and to list them costs what they are, not what else is in Redis.
 */
export class Leases {
  readonly #context: LeaseContext
  /** Set while this process counts itself among the nodes. */
  #leaseMs: number | undefined
  /** What stands in the list. */
  #listed: Member | undefined
  /** Up to when it does so, on the server's clock. */
  #listedUntil = 0
  /** What may stand there: its writing was not answered. It is written again before anything else is. */
  #sent: Member | undefined
  #timer: NodeJS.Timeout | undefined
  /** What was sent last; one follows the other. */
  #pending: Promise<void> = Promise.resolve()

  constructor(context: LeaseContext) {
    this.#context = context
  }

  /** Whether this process counts itself among the nodes. */
  get isHeld(): boolean {
    return this.#leaseMs !== undefined
  }

  /** Length of the lease that is held, in milliseconds. */
  get leaseMs(): number | undefined {
    return this.#leaseMs
  }

  /**
   * Counts this process among the nodes, or no more.
   *
   * @param decidesForMs How long it decides by what it knew when it hears nothing more: should it vanish, it counts for
   * so long after its last sign of life. `undefined` when it decides nothing.
   */
  set(decidesForMs: number | undefined): void {
    if (decidesForMs === undefined) {
      this.#withdraw()
      return
    }
    const renewMs = Math.ceil(Math.min(RENEW.max, Math.max(RENEW.min, decidesForMs / 3)))
    // One sign of life may be missed.
    const leaseMs = Math.ceil(decidesForMs) + 2 * renewMs
    if (leaseMs === this.#leaseMs) return
    clearInterval(this.#timer)
    this.#leaseMs = leaseMs
    this.#timer = setInterval(() => this.renew(), renewMs).unref()
    this.renew()
  }

  /** Gives a sign of life now, if this process is a node. */
  renew(): void {
    this.#pending = this.#pending.then(async () => {
      if (this.#leaseMs === undefined) return
      try {
        await this.#write(this.#leaseMs)
      } catch (error) {
        const cause = lossOf(error)
        const message = `receipts cannot know of this process: ${cause.message}`
        this.#context.failed(new StoreUnavailable(message, { cause }), 'receipts')
      }
    })
  }

  /** Stops giving signs of life. The lease stays: whoever watched is still deciding. */
  abandon(): void {
    clearInterval(this.#timer)
    this.#leaseMs = undefined
  }

  /** Resolves when the last sign of life is given, or a lease that was given up is gone; shortly in any case. */
  async settled(): Promise<void> {
    await within(this.#pending, WITHDRAW_MS, () => new Error('late')).catch(() => {})
  }

  async list(): Promise<readonly NodeInfo[]> {
    return (await this.look()).nodes
  }

  async look(): Promise<NodeList> {
    const { sender, keys } = this.#context
    const now = await this.#now()
    const range = ['zrangebyscore', keys.nodesKey, String(now), '+inf', 'withscores', 'limit', '0', MAX_NODES] as const
    const [reply] = await sender.send(keys.nodesKey, [range])
    const flat = (Array.isArray(reply) ? reply : []).map(String)
    const nodes = new Map<string, NodeInfo>()
    const lostAt = Number(flat[flat.indexOf(LOST) + 1]) - LOST_SCORE
    for (const [at, member] of flat.entries()) {
      const node = at % 2 === 0 ? readAnnouncement(member) : undefined
      if (node === undefined) continue
      const seenMs = Math.max(0, now - (Number(flat[at + 1]) - node.leaseMs))
      // One that is just saying something new may be there twice.
      if (seenMs <= (nodes.get(node.id)?.seenMs ?? Infinity)) nodes.set(node.id, { ...node, seenMs })
    }
    return { nodes: [...nodes.values()], ...(flat.includes(LOST) && { lostMs: Math.max(0, now - lostAt) }) }
  }

  async #write(leaseMs: number): Promise<void> {
    const { sender, keys } = this.#context
    const { nodesKey } = keys
    const now = await this.#now()
    const isCertain = this.#sent === undefined && now < this.#listedUntil
    const member = this.#sent ?? this.#announce(leaseMs)
    this.#sent = member
    const former = this.#listed
    const zrem: Command[] = former === undefined || former.text === member.text ? [] : [['zrem', nodesKey, former.text]]
    const [added, , , removed] = await sender.send(nodesKey, [
      ['zadd', nodesKey, String(now + member.leaseMs), member.text],
      ['zremrangebyscore', nodesKey, '-inf', `(${now}`],
      ['pexpire', nodesKey, LIST_MS],
      ...zrem,
    ])
    this.#listed = member
    this.#listedUntil = now + member.leaseMs
    this.#sent = undefined
    // Others may be gone from it as well, and may not be back for as long as they go on by what they knew.
    const isLost = former !== undefined && (zrem.length > 0 ? removed === 0 : added === 1)
    if (isLost && isCertain) await sender.send(nodesKey, [['zadd', nodesKey, String(LOST_SCORE + now), LOST]])
  }

  #announce(leaseMs: number): Member {
    const { identity, listeners } = this.#context
    const { sessions } = listeners
    const announcement: Announcement = { ...identity, leaseMs, ...(sessions !== undefined && { sessions }) }
    return { text: JSON.stringify(announcement), leaseMs }
  }

  #withdraw(): void {
    if (this.#leaseMs === undefined) return
    this.abandon()
    this.#pending = this.#pending
      .then(async () => {
        const { sender, keys } = this.#context
        const texts = [this.#listed, this.#sent].flatMap(member => member?.text ?? [])
        if (texts.length > 0) await sender.send(keys.nodesKey, [['zrem', keys.nodesKey, ...texts]])
        this.#listed = this.#sent = undefined
        this.#listedUntil = 0
      })
      // It ends by itself.
      .catch(() => {})
  }

  /** Unix milliseconds on the server that has the list. */
  async #now(): Promise<number> {
    const [reply] = await this.#context.sender.send(this.#context.keys.nodesKey, [['time']])
    const [seconds, micros] = reply as readonly Reply[]
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
  }
}

/** What a member of the list says, if a node wrote it. */
function readAnnouncement(member: string): Announcement | undefined {
  try {
    const { id, name, pid, startedAt, leaseMs, version, sessions } = JSON.parse(member) as Record<string, unknown>
    const isText = (text: unknown): boolean => typeof text === 'string' && /^[\w.+-]{1,128}$/.test(text)
    const isCount = (count: unknown): boolean => {
      return Number.isSafeInteger(count) && (count as number) >= 0 && (count as number) <= MAX_DATE_MS
    }
    if (![id, name].every(isText) || ![pid, startedAt, leaseMs].every(isCount)) return undefined
    const more = { ...(isText(version) && { version }), ...(isCount(sessions) && { sessions }) }
    return { id, name, pid, startedAt, leaseMs, ...more } as Announcement
  } catch {
    return undefined
  }
}
