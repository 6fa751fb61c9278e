import type { DenyReason } from '../acl/types.js'
import type { FormerHolder } from '../authorizer/types.js'
import type { Context } from './context.js'
import { type MaybePromise, whenKnown } from './maybe-promise.js'
import type { Member } from './members.js'
import { settleOwner } from './owners.js'
import type { KeyedQueue } from './queue.js'
import { type Admitted, type Claimed, settleClaim, UNCONTESTED, withdrawn } from './settle.js'
import { takeOut } from './take-out.js'
import { isOutage } from './upkeep.js'
import { Waits } from './waits.js'

/** A member that is to hold its client id. */
export interface Claimant {
  readonly member: Member
  /** Whether its client is still there. */
  isWanted(): boolean
}

/** What came of a try: why it is refused, if it is, or that another node works on what is stored. */
type Tried = DenyReason | 'wait' | undefined

/**
 * Has the clients that log in claim their client ids. aedes knows a session by its client id alone, and would hand the
 * queue of one account to another.
 *
 * While the shared state cannot be reached, nothing changes hands: only who is known here to own a client id gets in.
 */
export class Claims {
  readonly #context: Context
  readonly #queue: KeyedQueue

  constructor(context: Context) {
    this.#context = context
    this.#queue = context.upkeep.queue
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

  async #claimWhenLeased(claimant: Claimant): Promise<DenyReason | undefined> {
    await this.#context.upkeep.renew()
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
      this.#context.registry.update<undefined>(client.id, held => withdrawn(this.#context.registry, held)),
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
    this.#context.upkeep.doubt(id)
    return UNCONTESTED
  }
}

function formerOf({ authorizer }: Context, { session: { principal, address } }: Member): FormerHolder {
  const { nodeId } = authorizer.store
  const place = { ...(address !== undefined && { address }), ...(nodeId !== undefined && { nodeId }) }
  return { principal, ...place, isOwn: false }
}
