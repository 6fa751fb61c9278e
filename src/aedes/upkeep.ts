import { OutcomeUnknown, StoreTimeout, StoreUnavailable } from '../errors.js'
import type { Context } from './context.js'
import { type MaybePromise, whenKnown } from './maybe-promise.js'
import type { Member } from './members.js'
import { type Ownership, settleOwner } from './owners.js'
import { KeyedQueue } from './queue.js'
import { KEPT } from './registry.js'
import { settleClaim, withdrawn } from './settle.js'

/** Client ids that are looked after at the same time. */
const MAX_RECONCILING = 20

/**
 * Keeps what the other nodes are told true: which client ids are held here, and that this node is alive. What could not
 * be written in an outage is put right, or the client cut, when the shared state is back.
 */
export class Upkeep {
  /** Has what concerns a client id done one after the other. */
  readonly queue: KeyedQueue = new KeyedQueue()
  readonly #context: Context
  /** Client ids of which others may believe something that is not so. */
  readonly #doubtful: Set<string> = new Set()
  readonly #pending: Set<Promise<unknown>> = new Set()
  readonly #timer: NodeJS.Timeout

  constructor(context: Context) {
    this.#context = context
    const { nodeLeaseMs } = context.settings
    this.#timer = setInterval(() => void this.#look(), nodeLeaseMs / 3).unref()
  }

  /** aedes has registered a member, and has removed what was stored if it wanted a clean session. */
  registered(member: Member): void {
    const { client } = member
    const endsStored = client.clean && member.joining?.endsStored === true
    if (this.#context.members.registered(member)) this.doubt(client.id)
    if (!endsStored) return
    void this.#follow(client.id, () => {
      return this.#context.registry.update(client.id, held => {
        if (held === undefined || this.#context.members.holder(client.id) !== member) return KEPT
        return { outcome: undefined, entry: { ...held, isStored: false } }
      })
    })
  }

  /** A member that held its client id is gone. */
  released(member: Member): void {
    void this.#follow(member.client.id, () => this.#release(member.client.id, member))
  }

  /** Has a client id looked after as soon as the shared state can be reached. */
  doubt(clientId: string): void {
    this.#doubtful.add(clientId)
    if (this.#doubtful.size <= this.#context.settings.maxOwners) return
    const [first] = this.#doubtful
    this.#doubtful.delete(first!)
  }

  /** Prolongs the lease. Resolves with whether the shared state could be reached. */
  async renew(): Promise<boolean> {
    const { registry, members } = this.#context
    try {
      const hadRunOut = await registry.renew()
      if (hadRunOut) for (const { client } of members.holders()) this.doubt(client.id)
      return true
    } catch (error) {
      if (!isOutage(error)) this.#context.fault(error, 'owners')
      return false
    }
  }

  /** Resolves when everything is written, and no other node waits for this one. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#pending)
    await this.#context.registry.leave().catch(() => {})
  }

  #release(clientId: string, left?: Member): MaybePromise<undefined> {
    const { members, gate, registry, sleepers } = this.#context
    if (members.holder(clientId) !== undefined) return undefined
    // When what it was storing is stored.
    return whenKnown(gate.written(clientId), () => {
      if (left?.client.clean && registry.withdraw(clientId, left)) return undefined
      return registry.update<undefined>(clientId, held => {
        if (held !== undefined && this.#isElsewhere(clientId, held)) sleepers.delete(clientId)
        return withdrawn(registry, held)
      })
    })
  }

  /** Whether what this node left behind has gone to another owner, or with its own to another node. */
  #isElsewhere(clientId: string, { owner, holders }: Ownership): boolean {
    const { sleepers, registry } = this.#context
    const asleep = sleepers.ownerOf(clientId)
    if (asleep === undefined) return false
    return settleOwner(owner, asleep) !== 'keep' || Object.keys(holders).some(node => node !== registry.node)
  }

  /** Prolongs the lease, and puts right what is in doubt. */
  async #look(): Promise<void> {
    if (!(await this.renew())) return
    const doubtful = [...this.#doubtful]
    const work = async (): Promise<void> => {
      for (let id = doubtful.pop(); id !== undefined; id = doubtful.pop()) {
        const clientId = id
        this.#doubtful.delete(clientId)
        await this.#follow(clientId, () => this.#reconcile(clientId))
      }
    }
    await Promise.all(Array.from({ length: MAX_RECONCILING }, work))
  }

  /** Writes how things are; where the client id has another owner by now, the client here is cut. */
  async #reconcile(clientId: string): Promise<undefined> {
    const { registry, members } = this.#context
    const member = members.holder(clientId)
    if (member === undefined) return this.#release(clientId)
    const { kind } = await registry.update(clientId, async held => {
      const ruling = await settleClaim(this.#context, member, held)
      // Whoever would have to evict somebody logs in again.
      if (ruling.outcome.kind !== 'admitted' || !ruling.outcome.isForeign) return ruling
      return { outcome: { kind: 'refused' as const }, entry: 'kept' as const }
    })
    if (kind === 'wait') this.doubt(clientId)
    if (kind !== 'refused') return undefined
    member.session.refuse('connect', clientId, 'client_id_taken')
    member.client.close()
    return undefined
  }

  /** Runs a task that nobody waits for; one that meets an outage is run again. */
  #follow(clientId: string, task: () => MaybePromise<undefined>): MaybePromise<undefined> {
    try {
      const running = this.queue.runNow(clientId, task)
      return running instanceof Promise ? this.#bound(clientId, running) : undefined
    } catch (error) {
      this.#unfollowed(clientId, error)
      return undefined
    }
  }

  #bound(clientId: string, running: Promise<undefined>): Promise<undefined> {
    const told = running.catch((error: unknown) => this.#unfollowed(clientId, error))
    const bounded = this.#context.attempt(told, 'owners').then(() => undefined)
    this.#pending.add(bounded)
    return bounded.finally(() => this.#pending.delete(bounded))
  }

  #unfollowed(clientId: string, error: unknown): void {
    if (isOutage(error)) this.doubt(clientId)
    else this.#context.fault(error, 'owners')
  }
}

/** Whether nothing is wrong but that the shared state cannot be reached. */
export function isOutage(error: unknown): boolean {
  return error instanceof StoreUnavailable || error instanceof StoreTimeout || error instanceof OutcomeUnknown
}
