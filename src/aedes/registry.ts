import { createHash, randomUUID } from 'node:crypto'
import { quote, WardenError } from '../errors.js'
import { type GrowingCache, growingCache } from '../growing-cache.js'
import type { LocalState, SharedState } from '../store/shared.js'
import type { MaybePromise } from './maybe-promise.js'
import { decodeOwnership, encodeOwnership, type Holding, type Ownership } from './owners.js'

/** An ownership, or what it is made of. */
type Entry = Ownership | Holding

/** What to make of an ownership: another one in its place, or none, or nothing. */
export interface Ruling<T> {
  readonly outcome: T
  readonly entry: Entry | 'removed' | 'kept'
}

/** Leaves everything as it is. */
export const KEPT: Ruling<undefined> = { outcome: undefined, entry: 'kept' }

/** What a registry is made with. */
export interface RegistryOptions {
  readonly cluster: string
  readonly leaseMs: number
  /** Most client ids that are remembered. */
  readonly max: number
  /** Id of this process among the nodes of the store. */
  readonly nodeId: string | undefined
}

/** Says what to make of what is known of a client id. */
export type Rule<T> = (held: Ownership | undefined) => MaybePromise<Ruling<T>>

/** Longest client id that is written as it is; others by their digest. */
const MAX_PLAIN_LENGTH = 256

const MAX_TRIES = 10

/** Value of a lease of a node that cannot be named. */
const ALIVE = 'alive'

/** Another node that holds a client id. */
export interface OtherHolder {
  readonly node: string
  /** Its id among the nodes of the store, where that is known. */
  readonly nodeId: string | undefined
}

/**
 * Where the nodes keep who owns which client id, and which of them are alive. Races are decided by the shared state.
 */
export class OwnerRegistry {
  /** Name of this node among all; new with every start, since its clients are. */
  readonly node: string = randomUUID()
  readonly #shared: SharedState
  readonly #prefix: string
  /** Where client ids are written as they are, and where by their digests. */
  readonly #plain: string
  readonly #digests: string
  readonly #leaseMs: number
  /** Value of the lease: that it is there says all but which node of the store it is. */
  readonly #lease: string
  /** What a client id was last known to be here: spares reading it, and is all that is known in an outage. */
  readonly #written: GrowingCache<Entry>
  #leasedAt = Number.NEGATIVE_INFINITY
  #renewing: Promise<boolean> | undefined

  constructor(shared: SharedState, { cluster, leaseMs, max, nodeId }: RegistryOptions) {
    this.#shared = shared
    this.#prefix = cluster === '' ? '' : `${cluster}/`
    this.#plain = `${this.#prefix}owner`
    this.#digests = `${this.#prefix}owner-sha256`
    this.#leaseMs = leaseMs
    this.#lease = nodeId ?? ALIVE
    this.#written = growingCache({ max })
  }

  /**
   * Changes what is known of a client id, as `rule` says. It is asked again whenever another node was quicker, and
   * never answers by anything but what is there now. Answers in the same turn where the owners are kept in this
   * process, and the rule does.
   *
   * @throws StoreUnavailable, StoreTimeout, OutcomeUnknown; WardenError when it comes to no end.
   */
  update<T>(clientId: string, rule: Rule<T>): MaybePromise<T> {
    const { local } = this.#shared
    return local === undefined ? this.#swap(clientId, rule) : this.#replace(local, clientId, rule)
  }

  #replace<T>(local: LocalState, clientId: string, rule: Rule<T>): MaybePromise<T> {
    const place = this.#placeOf(clientId)
    const held = local.get(...place) as Entry | undefined
    const ruled = rule(ownershipOf(held))
    return ruled instanceof Promise
      ? this.#replaceWhenRuled(local, clientId, rule, { place, held, ruled })
      : settled(local, place, ruled)
  }

  /** A rule that takes time is asked again where something else is there by then. */
  async #replaceWhenRuled<T>(local: LocalState, clientId: string, rule: Rule<T>, first: Asked<T>): Promise<T> {
    const { place } = first
    let { held, ruled } = first
    for (let tries = 1; ; tries++) {
      const ruling = await ruled
      const current = local.get(...place) as Entry | undefined
      if (current === held) return settled(local, place, ruling)
      if (tries === MAX_TRIES) throw changedAgain(clientId)
      held = current
      ruled = rule(ownershipOf(held))
    }
  }

  async #swap<T>(clientId: string, rule: Rule<T>): Promise<T> {
    const name = this.#nameOf(clientId)
    let held = this.remembered(clientId)
    // What was written is not kept: the same text is made of the same ownership.
    let text = held && encodeOwnership(held)
    let isRead = false
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { outcome, entry } = await rule(held)
      if (entry === 'kept') {
        const current = isRead ? text : await this.#shared.get(name)
        if (current === text) {
          if (isRead) this.#remember(clientId, held)
          return outcome
        }
        text = current
      } else {
        const next = entry === 'removed' ? undefined : entry
        const swap = await this.#shared.swap(name, text, next && encodeOwnership(ownershipOf(next)))
        if (swap.swapped) {
          this.#remember(clientId, next)
          return outcome
        }
        text = swap.current
      }
      held = text === undefined ? undefined : decodeOwnership(text, clientId)
      isRead = true
    }
    throw changedAgain(clientId)
  }

  /**
   * Removes what was entered for a holding that has nothing stored, without asking what that amounts to. Returns whether
   * it was still there as it was entered, and in this process: with nothing of others in it.
   */
  withdraw(clientId: string, holding: Holding): boolean {
    const { local } = this.#shared
    if (local === undefined) return false
    const place = this.#placeOf(clientId)
    if (local.get(...place) !== holding) return false
    local.set(...place, undefined)
    return true
  }

  /** What is there now. */
  async read(clientId: string): Promise<Ownership | undefined> {
    const { local } = this.#shared
    if (local !== undefined) return ownershipOf(local.get(...this.#placeOf(clientId)) as Entry | undefined)
    const text = await this.#shared.get(this.#nameOf(clientId))
    return text === undefined ? undefined : decodeOwnership(text, clientId)
  }

  /** What this node wrote or read last; others may have written since. */
  remembered(clientId: string): Ownership | undefined {
    return ownershipOf(this.#written.get(clientId))
  }

  /** The other nodes that hold a client id and are alive. */
  async others({ holders }: Ownership): Promise<readonly OtherHolder[]> {
    const alive: OtherHolder[] = []
    for (const node of Object.keys(holders)) {
      const lease = node === this.node ? undefined : await this.#shared.get(this.#leaseOf(node))
      if (lease !== undefined) alive.push({ node, nodeId: lease === ALIVE ? undefined : lease })
    }
    return alive
  }

  async isAlive(node: string): Promise<boolean> {
    return (await this.#shared.get(this.#leaseOf(node))) !== undefined
  }

  /** Whether this node counts as alive for some time to come; for good where none can die without all others. */
  get isLeased(): boolean {
    if (this.#shared.local !== undefined) return this.#leasedAt !== Number.NEGATIVE_INFINITY
    return performance.now() - this.#leasedAt < this.#leaseMs / 2
  }

  /** Prolongs the lease. Resolves with whether it had run out: others may then have disposed of what this node held. */
  renew(): Promise<boolean> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  /** Ends the lease. */
  async leave(): Promise<void> {
    await this.#renewing?.catch(() => {})
    await this.#shared.swap(this.#leaseOf(this.node), this.#lease, undefined)
  }

  async #renew(): Promise<boolean> {
    const name = this.#leaseOf(this.node)
    const isFirst = this.#leasedAt === Number.NEGATIVE_INFINITY
    const startedAt = performance.now()
    const options = this.#shared.local === undefined ? { ttlMs: this.#leaseMs } : {}
    const swap = await this.#shared.swap(name, isFirst ? undefined : this.#lease, this.#lease, options)
    // It has run out, or the first try was carried out and its answer was lost.
    if (!swap.swapped) await this.#shared.swap(name, swap.current, this.#lease, options)
    this.#leasedAt = startedAt
    return !swap.swapped && !isFirst
  }

  #remember(clientId: string, entry: Entry | undefined): void {
    if (entry === undefined) this.#written.delete(clientId)
    else this.#written.set(clientId, entry)
  }

  #leaseOf(node: string): string {
    return `${this.#prefix}node:${node}`
  }

  #nameOf(clientId: string): string {
    return this.#placeOf(clientId).join(':')
  }

  #placeOf(clientId: string): Place {
    if (clientId.length <= MAX_PLAIN_LENGTH && clientId.isWellFormed()) return [this.#plain, clientId]
    return [this.#digests, createHash('sha256').update(clientId, 'utf16le').digest('hex')]
  }
}

/** Space and name. */
type Place = readonly [space: string, name: string]

/** What a rule was asked about, and is to answer. */
interface Asked<T> {
  readonly place: Place
  readonly held: Entry | undefined
  readonly ruled: MaybePromise<Ruling<T>>
}

function settled<T>(local: LocalState, [space, name]: Place, { outcome, entry }: Ruling<T>): T {
  if (entry !== 'kept') local.set(space, name, entry === 'removed' ? undefined : entry)
  return outcome
}

function ownershipOf(entry: Entry): Ownership
function ownershipOf(entry: Entry | undefined): Ownership | undefined
function ownershipOf(entry: Entry | undefined): Ownership | undefined {
  return entry !== undefined && 'ownership' in entry ? entry.ownership : entry
}

function changedAgain(clientId: string): WardenError {
  return new WardenError(`who owns client id ${quote(clientId)} changed again and again`)
}
