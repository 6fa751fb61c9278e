import { StoreUnavailable } from '../errors.js'
import type { NodeIdentity } from '../store/identity.js'
import type { NodeInfo } from '../store/types.js'
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

/** Longest that a closing store waits for its lease to be gone, in milliseconds. */
const WITHDRAW_MS = 500

/** What leases need. */
export interface LeaseContext {
  readonly sender: Sender
  readonly keys: KeySpace
  readonly identity: NodeIdentity
  /** Hears, again and again, what does not work; `place` is one for each thing. */
  failed(error: StoreUnavailable, place: string): void
}

/** What a node writes about itself, as one member of the list. */
type Announcement = NodeIdentity & Pick<NodeInfo, 'leaseMs'>

/**
 * The nodes that are alive: one sorted set, by the moment on the server's clock up to which each counts. Nobody's own
 * clock matters, and to list them costs what they are, not what else is in Redis.
 */
export class Leases {
  readonly #context: LeaseContext
  #member: string | undefined
  #leaseMs = 0
  #timer: NodeJS.Timeout | undefined
  /** What was sent last; one follows the other. */
  #pending: Promise<void> = Promise.resolve()

  constructor(context: LeaseContext) {
    this.#context = context
  }

  /** Whether this process counts itself among the nodes. */
  get isHeld(): boolean {
    return this.#member !== undefined
  }

  /** Length of the lease that is held. */
  get leaseMs(): number | undefined {
    return this.isHeld ? this.#leaseMs : undefined
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
    if (this.#member !== undefined && leaseMs === this.#leaseMs) return
    this.#withdraw()
    this.#leaseMs = leaseMs
    this.#member = JSON.stringify({ ...this.#context.identity, leaseMs } satisfies Announcement)
    this.#timer = setInterval(() => this.renew(), renewMs).unref()
    this.renew()
  }

  /** Gives a sign of life now, if this process is a node. */
  renew(): void {
    const member = this.#member
    if (member === undefined) return
    this.#pending = this.#pending.then(async () => {
      if (this.#member !== member) return
      try {
        await this.#write(member)
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
    this.#member = undefined
  }

  /** Resolves when a lease that was given up is gone, or shortly. */
  async settled(): Promise<void> {
    await within(this.#pending, WITHDRAW_MS, () => new Error('late')).catch(() => {})
  }

  async list(): Promise<readonly NodeInfo[]> {
    const { sender, keys } = this.#context
    const now = await this.#now()
    const range = ['zrangebyscore', keys.nodesKey, String(now), '+inf', 'withscores', 'limit', '0', MAX_NODES] as const
    const [reply] = await sender.send(keys.nodesKey, [range])
    const flat = (Array.isArray(reply) ? reply : []).map(String)
    return flat.flatMap((member, at) => {
      const node = at % 2 === 0 ? readAnnouncement(member) : undefined
      if (node === undefined) return []
      return [{ ...node, seenMs: Math.max(0, now - (Number(flat[at + 1]) - node.leaseMs)) }]
    })
  }

  async #write(member: string): Promise<void> {
    const { sender, keys } = this.#context
    const { nodesKey } = keys
    const now = await this.#now()
    await sender.send(nodesKey, [
      ['zadd', nodesKey, String(now + this.#leaseMs), member],
      ['zremrangebyscore', nodesKey, '-inf', `(${now}`],
      ['pexpire', nodesKey, LIST_MS],
    ])
  }

  #withdraw(): void {
    const member = this.#member
    this.abandon()
    if (member === undefined) return
    const { sender, keys } = this.#context
    this.#pending = this.#pending
      .then(() => sender.send(keys.nodesKey, [['zrem', keys.nodesKey, member]]))
      // It ends by itself.
      .then(
        () => {},
        () => {},
      )
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
    const { id, name, pid, startedAt, leaseMs } = JSON.parse(member) as Record<string, unknown>
    const isNamed = [id, name].every(text => typeof text === 'string' && /^[\w.-]{1,128}$/.test(text))
    const isCounted = [pid, startedAt, leaseMs].every(count => Number.isSafeInteger(count) && (count as number) >= 0)
    return isNamed && isCounted ? ({ id, name, pid, startedAt, leaseMs } as Announcement) : undefined
  } catch {
    return undefined
  }
}
