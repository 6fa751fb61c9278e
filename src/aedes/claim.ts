import type { DenyReason } from '../acl/types.js'
import type { FormerHolder } from '../authorizer/types.js'
import { OutcomeUnknown, StoreTimeout, StoreUnavailable } from '../errors.js'
import type { Context } from './context.js'
import { type MaybePromise, whenKnown } from './maybe-promise.js'
import type { Member } from './members.js'
import { type Ownership, settleOwner } from './owners.js'
import { KeyedQueue } from './queue.js'
import { KEPT, type Ruling } from './registry.js'
import { type Admitted, type Claimed, settleClaim, UNCONTESTED, withoutNode } from './settle.js'
import { type Claimant, takeOut } from './take-out.js'
import { Waits } from './waits.js'

/** What came of a try: why it is refused, if it is, or that another node works on what is stored. */
type Tried = DenyReason | 'wait' | undefined

/** Client ids that are looked after at the same time. */
const MAX_RECONCILING = 20

/**
 * Who holds which client id: here, and for the other nodes to see. aedes knows a session by its client id alone, and
 * would hand the queue of one account to another.
 *
 * While the shared state cannot be reached, nothing changes hands: only who is known here to own a client id gets in,
 * and what could not be written is put right, or the client cut, when the shared state is back.
 */
export class Claims {
  readonly #context: Context
  readonly #queue: KeyedQueue = new KeyedQueue()
  /** Client ids of which others may believe something that is not so. */
  readonly #doubtful: Set<string> = new Set()
  readonly #pending: Set<Promise<unknown>> = new Set()
  readonly #timer: NodeJS.Timeout

  constructor(context: Context) {
    this.#context = context
    const { nodeLeaseMs } = context.settings
    this.#timer = setInterval(() => void this.#look(), nodeLeaseMs / 3).unref()
  }

  /** Runs tasks that concern a client id one after the other. */
  run<T>(clientId: string, task: () => Promise<T>): Promise<T> {
    return this.#queue.run(clientId, task)
  }

  /**
   * Makes a member the holder of its client id, before aedes loads anything that is stored under it. What an evicted
   * owner left is wiped here, when its clients are gone, on whichever node.
   */
  claim(claimant: Claimant): MaybePromise<DenyReason | undefined> {
    if (!this.#context.registry.isLeased) return this.#claimWhenLeased(claimant)
    const outcome = this.#try(claimant)
    return outcome instanceof Promise || outcome === 'wait' ? this.#insist(claimant, outcome) : outcome
  }

  /** A member that held its client id is gone. */
  released(member: Member): void {
    void this.#follow(member.client.id, () => this.#release(member.client.id, member))
  }

  /** aedes has registered a member, and has removed what was stored if it wanted a clean session. */
  registered(member: Member): void {
    const { client } = member
    const endsStored = client.clean && member.joining?.endsStored === true
    if (this.#context.members.registered(member)) this.#doubt(client.id)
    if (!endsStored) return
    void this.#follow(client.id, () => {
      return this.#context.registry.update(client.id, held => {
        if (held === undefined || this.#context.members.holder(client.id) !== member) return KEPT
        return { outcome: undefined, entry: { ...held, isStored: false } }
      })
    })
  }

  /** Resolves when everything is written, and no other node waits for this one. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#pending)
    await this.#context.registry.leave().catch(() => {})
  }

  async #claimWhenLeased(claimant: Claimant): Promise<DenyReason | undefined> {
    await this.#renew()
    return this.#insist(claimant, this.#try(claimant))
  }

  /** Tries again for as long as another node works on what is stored. */
  async #insist(claimant: Claimant, first: MaybePromise<Tried>): Promise<DenyReason | undefined> {
    const waits = new Waits()
    let outcome = await first
    while (outcome === 'wait') {
      // Not in the queue: what the other node waits for may stand behind.
      await waits.next()
      outcome = await this.#try(claimant)
    }
    return outcome
  }

  // Most clients find their ids free, and get them within the turn, a thousand in a row when they come back at once. What
  // has to wait goes on in methods of its own, so that nothing is set up for the time it might take.

  #try(claimant: Claimant): MaybePromise<Tried> {
    return this.#queue.runNow(claimant.member.client.id, () => this.#attempt(claimant))
  }

  #attempt(claimant: Claimant): MaybePromise<Tried> {
    if (!claimant.isWanted()) return 'closed'
    const claimed = this.#ask(claimant.member)
    return claimed instanceof Promise ? this.#takeLater(claimant, claimed) : this.#take(claimant, claimed)
  }

  async #takeLater(claimant: Claimant, claimed: Promise<Claimed>): Promise<Tried> {
    return this.#take(claimant, await claimed)
  }

  #take(claimant: Claimant, claimed: Claimed): MaybePromise<Tried> {
    const { client, session } = claimant.member
    if (claimed.kind === 'wait') return 'wait'
    if (claimed.kind === 'refused') return session.refuse('connect', client.id, 'client_id_taken').reason
    const holder = this.#context.members.holder(client.id)
    // Not before the client id is its own: whom it evicts must not be cut for a login that is then refused.
    if (!session.confirm()) return this.#withdraw(claimant)
    if (holder === undefined) return this.#hold(claimant, claimed)
    if (claimed.isForeign) holder.client.close()
    return holder.client.closed ? this.#holdAfter(holder, claimant, claimed) : this.#hold(claimant, claimed, holder)
  }

  /** Registered while the old one is still being taken down, the new client would be unregistered with it. */
  async #holdAfter(holder: Member, claimant: Claimant, claimed: Admitted): Promise<DenyReason | undefined> {
    await holder.ended()
    return this.#hold(claimant, claimed, holder)
  }

  #hold(claimant: Claimant, claimed: Admitted, before?: Member): MaybePromise<DenyReason | undefined> {
    const { member } = claimant
    const { members, sleepers, authorizer } = this.#context
    if (!members.hold(member)) return this.#withdraw(claimant)
    if (member.joining !== undefined) member.joining.endsStored = claimed.wasStored
    if (claimed.isForeign) return this.#replace(claimant, claimed, before)
    sleepers.delete(member.client.id)
    for (const rival of claimed.rivals) authorizer.tookOver(member.session, rival)
    return undefined
  }

  /** Comes in the place of another owner. */
  async #replace(claimant: Claimant, { rivals }: Admitted, before: Member | undefined): Promise<undefined> {
    const { client, session } = claimant.member
    const { sleepers, authorizer } = this.#context
    await takeOut(this.#context, claimant)
    sleepers.delete(client.id)
    // Known to the authorizer already, unless it was under another mountpoint.
    if (before !== undefined) authorizer.tookOver(session, formerOf(this.#context, before))
    for (const rival of rivals) authorizer.tookOver(session, rival)
  }

  /** Gives back what was claimed in vain. */
  #withdraw(claimant: Claimant): MaybePromise<DenyReason> {
    const { client, session } = claimant.member
    return whenKnown(
      this.#context.registry.update<undefined>(client.id, held => this.#withdrawn(held)),
      () => {
        return claimant.isWanted() ? session.refuse('connect', client.id, 'client_id_taken').reason : 'closed'
      },
    )
  }

  #ask(member: Member): MaybePromise<Claimed> {
    try {
      const claimed = this.#context.registry.update(member.client.id, held => settleClaim(this.#context, member, held))
      return claimed instanceof Promise ? this.#askLater(member, claimed) : claimed
    } catch (error) {
      return this.#assume(member, error)
    }
  }

  async #askLater(member: Member, claimed: Promise<Claimed>): Promise<Claimed> {
    try {
      return await claimed
    } catch (error) {
      return this.#assume(member, error)
    }
  }

  /** What is assumed in an outage: that who is known here to own a client id owns it still. */
  #assume(member: Member, error: unknown): Claimed {
    const { registry, members } = this.#context
    const { id } = member.client
    const known = registry.remembered(id)
    const owner = members.holder(id)?.owner ?? (known?.isForeign ? undefined : known?.owner)
    if (!isOutage(error) || owner === undefined || settleOwner(owner, member.owner) !== 'keep') throw error
    this.#doubt(id)
    return UNCONTESTED
  }

  #release(clientId: string, left?: Member): MaybePromise<undefined> {
    const { members, gate, registry, sleepers } = this.#context
    if (members.holder(clientId) !== undefined) return undefined
    // When what it was storing is stored.
    return whenKnown(gate.written(clientId), () => {
      if (left?.client.clean && registry.withdraw(clientId, left)) return undefined
      return registry.update<undefined>(clientId, held => {
        if (held !== undefined && this.#isElsewhere(clientId, held)) sleepers.delete(clientId)
        return this.#withdrawn(held)
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

  #withdrawn(held: Ownership | undefined): Ruling<undefined> {
    const { node } = this.#context.registry
    if (held === undefined || (!Object.hasOwn(held.holders, node) && held.keeper !== node)) return KEPT
    return { outcome: undefined, entry: withoutNode(node, held) }
  }

  /** Resolves with whether the shared state could be reached. */
  async #renew(): Promise<boolean> {
    const { registry, members } = this.#context
    try {
      const hadRunOut = await registry.renew()
      if (hadRunOut) for (const { client } of members.holders()) this.#doubt(client.id)
      return true
    } catch (error) {
      if (!isOutage(error)) this.#context.fault(error, 'owners')
      return false
    }
  }

  /** Prolongs the lease, and puts right what is in doubt. */
  async #look(): Promise<void> {
    if (!(await this.#renew())) return
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
    if (kind === 'wait') this.#doubt(clientId)
    if (kind !== 'refused') return undefined
    member.session.refuse('connect', clientId, 'client_id_taken')
    member.client.close()
    return undefined
  }

  /** Runs a task that nobody waits for; one that meets an outage is run again. */
  #follow(clientId: string, task: () => MaybePromise<undefined>): MaybePromise<undefined> {
    try {
      const running = this.#queue.runNow(clientId, task)
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
    if (isOutage(error)) this.#doubt(clientId)
    else this.#context.fault(error, 'owners')
  }

  #doubt(clientId: string): void {
    this.#doubtful.add(clientId)
    if (this.#doubtful.size <= this.#context.settings.maxOwners) return
    const [first] = this.#doubtful
    this.#doubtful.delete(first!)
  }
}

function formerOf({ authorizer }: Context, { session: { principal, address } }: Member): FormerHolder {
  const { nodeId } = authorizer.store
  const place = { ...(address !== undefined && { address }), ...(nodeId !== undefined && { nodeId }) }
  return { principal, ...place, isOwn: false }
}

function isOutage(error: unknown): boolean {
  return error instanceof StoreUnavailable || error instanceof StoreTimeout || error instanceof OutcomeUnknown
}
