import type { Emitter } from './emitter.js'
import type { TakeoverEvent } from './events.js'
import type { LoopWatch } from './loops.js'
import type { FormerHolder, Session } from './types.js'

/** Longest address of another node's client, and longest id of a node, that is told. */
const MAX_ADDRESS = 64
const MAX_NODE = 128

/** What takeovers are told with. */
export interface TakeoversParts {
  readonly loops: LoopWatch
  readonly emitter: Emitter
  /** Id of this process among the nodes. */
  readonly nodeId: string | undefined
}

/** Tells of client ids that change hands. What belongs to a loop is counted and left to the report of that. */
export class Takeovers {
  readonly #parts: TakeoversParts
  /** Sessions that took their client id from another one here. */
  readonly #told: WeakSet<Session> = new WeakSet()

  constructor(parts: TakeoversParts) {
    this.#parts = parts
  }

  /**
   * From a session of this authorizer.
   *
   * @param isOwn Whether it was opened by the same record.
   */
  here(to: Session, from: Session, isOwn: boolean): void {
    const { nodeId } = this.#parts
    this.#told.add(to)
    const addresses = [from.address, to.address] as const
    this.#tell(to, { former: from.principal, from, addresses, nodes: [nodeId, nodeId] }, isOwn)
  }

  /** From a client of another node. Two brokers over one authorizer are two nodes to their adapter, and one here. */
  elsewhere(to: Session, { principal, address, nodeId, isOwn }: FormerHolder): void {
    const own = this.#parts.nodeId
    if (nodeId === own && this.#told.has(to)) return
    const addresses = [address?.slice(0, MAX_ADDRESS), to.address] as const
    const { mountpoint, clientId, username } = principal
    const former = { mountpoint, clientId, username }
    this.#tell(to, { former, addresses, nodes: [nodeId?.slice(0, MAX_NODE), own] }, isOwn)
  }

  #tell(to: Session, event: Pick<TakeoverEvent, 'former' | 'from' | 'addresses' | 'nodes'>, isOwn: boolean): void {
    const { loops, emitter } = this.#parts
    if (isOwn && loops.takeover(to, event.addresses)) return
    if (!emitter.heard('takeover')) return
    emitter.emit('takeover', { at: Date.now(), principal: to.principal, session: to, to, ...event })
  }
}
