import { setTimeout as pause } from 'node:timers/promises'
import type { DenyReason } from '../acl/types.js'
import type { FormerHolder } from '../authorizer/types.js'
import { OutcomeUnknown, StoreTimeout, StoreUnavailable, WardenError } from '../errors.js'
import type { Context } from './context.js'
import { type MaybePromise, orElse, whenKnown } from './maybe-promise.js'
import type { Member } from './members.js'
import { type Ownership, settleOwner } from './owners.js'
import { KeyedQueue } from './queue.js'
import type { Ruling } from './registry.js'
import { type Admitted, type Claimed, settleClaim, withoutNode } from './settle.js'
import { wipeSession } from './stored.js'

/** Waits between two looks at what another node does, in milliseconds. */
const MIN_WAIT_MS = 10
const MAX_WAIT_MS = 250

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
   *
   * @param isWanted Whether the client is still there.
   */
  claim(member: Member, isWanted: () => boolean): MaybePromise<DenyReason | undefined> {
    if (this.#context.registry.isLeased) return this.#claim(member, isWanted, MIN_WAIT_MS)
    return this.#renew().then(() => this.#claim(member, isWanted, MIN_WAIT_MS))
  }

  /** A member that held its client id is gone. */
  released({ client }: Member): void {
    void this.#follow(client.id, () => this.#release(client.id))
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

  #claim(member: Member, isWanted: () => boolean, waitMs: number): MaybePromise<DenyReason | undefined> {
    const attempted = this.#queue.runNow(member.client.id, () => {
      return isWanted() ? this.#attempt(member, isWanted) : 'closed'
    })
    return whenKnown(attempted, outcome => {
      if (outcome !== 'wait') return outcome
      // Not in the queue: what the other node waits for may stand behind.
      return pause(waitMs).then(() => this.#claim(member, isWanted, Math.min(2 * waitMs, MAX_WAIT_MS)))
    })
  }

  #attempt(member: Member, isWanted: () => boolean): MaybePromise<DenyReason | 'wait' | undefined> {
    const { members } = this.#context
    const { client, session } = member
    return whenKnown(this.#ask(member), claimed => {
      if (claimed.kind === 'wait') return 'wait'
      if (claimed.kind === 'refused') return session.refuse('connect', client.id, 'client_id_taken').reason
      const holder = members.holder(client.id)
      // Not before the client id is its own: whom it evicts must not be cut for a login that is then refused.
      if (!session.confirm()) return this.#withdraw(member, isWanted)
      if (claimed.isForeign) holder?.client.close()
      // Registered while the old one is still being taken down, the new client would be unregistered with it.
      const ended = holder?.client.closed ? holder.ended() : undefined
      return whenKnown(ended, () => {
        return members.hold(member) ? this.#settle(member, claimed, isWanted, holder) : this.#withdraw(member, isWanted)
      })
    })
  }

  #settle(
    member: Member,
    claimed: Admitted,
    isWanted: () => boolean,
    holder: Member | undefined,
  ): MaybePromise<undefined> {
    const { sleepers, authorizer } = this.#context
    const { client, session } = member
    if (member.joining !== undefined) member.joining.endsStored = claimed.wasStored
    return whenKnown(claimed.isForeign ? this.#takeOut(member, isWanted) : undefined, () => {
      sleepers.delete(client.id)
      // Known to the authorizer already, unless it was under another mountpoint.
      if (claimed.isForeign && holder !== undefined) authorizer.tookOver(session, formerOf(this.#context, holder))
      for (const rival of claimed.rivals) authorizer.tookOver(session, rival)
      return undefined
    })
  }

  /** Gives back what was claimed in vain. */
  #withdraw({ client, session }: Member, isWanted: () => boolean): MaybePromise<DenyReason> {
    const { registry } = this.#context
    return whenKnown(
      registry.update<undefined>(client.id, held => this.#withdrawn(held)),
      () => {
        return isWanted() ? session.refuse('connect', client.id, 'client_id_taken').reason : 'closed'
      },
    )
  }

  #ask(member: Member): MaybePromise<Claimed> {
    const { registry, members } = this.#context
    const { id } = member.client
    return orElse(
      () => registry.update(id, held => settleClaim(this.#context, member, held)),
      error => {
        const known = registry.remembered(id)
        const owner = members.holder(id)?.owner ?? (known?.isForeign ? undefined : known?.owner)
        if (!isOutage(error) || owner === undefined || settleOwner(owner, member.owner) !== 'keep') throw error
        this.#doubt(id)
        return { kind: 'admitted', isForeign: false, wasStored: false, rivals: [] }
      },
    )
  }

  /** Has the clients of an evicted owner closed wherever they are, and wipes what is stored of it. */
  async #takeOut({ client }: Member, isWanted: () => boolean): Promise<void> {
    const { gate, persistence, registry } = this.#context
    const { id } = client
    let isWiped = false
    try {
      await this.#closeElsewhere(id, isWanted)
      await gate.exclusively(id, () => wipeSession(persistence, id))
      isWiped = true
    } finally {
      await registry.update(id, held => {
        if (held?.keeper !== registry.node) return KEPT
        const { keeper: _own, ...rest } = held
        return { outcome: undefined, entry: isWiped ? { ...rest, isForeign: false, isStored: !client.clean } : rest }
      })
    }
  }

  /** Resolves when no other living node holds the client id. */
  async #closeElsewhere(clientId: string, isWanted: () => boolean): Promise<void> {
    const { registry, broker } = this.#context
    for (let waitMs = MIN_WAIT_MS; ; waitMs = Math.min(2 * waitMs, MAX_WAIT_MS)) {
      const held = await registry.read(clientId)
      if (held === undefined || (await registry.others(held)).length === 0) return
      if (!isWanted()) throw new WardenError('the client went before its predecessor')
      // What a broker says of a client that it has registered: all others close theirs. Said again, since a client that
      // was about to be registered did not hear it.
      const topic = `$SYS/${registry.node}/new/clients`
      const payload = Buffer.from(clientId)
      broker.publish({ cmd: 'publish', topic, payload, qos: 0, retain: false }, null, () => {})
      await pause(waitMs)
    }
  }

  #release(clientId: string): MaybePromise<undefined> {
    const { members, gate, registry, sleepers } = this.#context
    if (members.holder(clientId) !== undefined) return undefined
    // When what it was storing is stored.
    return whenKnown(gate.written(clientId), () => {
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
    const running = orElse(
      () => this.#queue.runNow(clientId, task),
      error => {
        if (isOutage(error)) this.#doubt(clientId)
        else this.#context.fault(error, 'owners')
        return undefined
      },
    )
    if (!(running instanceof Promise)) return undefined
    const bounded = this.#context.attempt(running, 'owners')
    this.#pending.add(bounded)
    return bounded.finally(() => this.#pending.delete(bounded))
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

const KEPT = { outcome: undefined, entry: 'kept' } as const

function isOutage(error: unknown): boolean {
  return error instanceof StoreUnavailable || error instanceof StoreTimeout || error instanceof OutcomeUnknown
}
