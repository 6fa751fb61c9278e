import { LOGINS_A_TURN, Turns } from '../authorizer/turns.js'
import type { Authorizer } from '../authorizer/types.js'
import { tellFault } from '../faults.js'
import { MemoryShared } from '../store/shared.js'
import type { Broker, Hooks, Persistence } from './broker.js'
import { Claims } from './claim.js'
import { withinDeadline } from './consult.js'
import { Members } from './members.js'
import type { Settings } from './options.js'
import { PermittedState } from './permitted.js'
import { SubscriptionGate } from './persistence.js'
import { OwnerRegistry } from './registry.js'
import { Sleepers } from './sleepers.js'
import { Upkeep } from './upkeep.js'

/** What the parts of one protection share. */
export class Context {
  readonly broker: Broker
  readonly authorizer: Authorizer
  readonly settings: Settings
  readonly members: Members
  readonly sleepers: Sleepers
  /** Hooks of the broker's owner; they run after ours. */
  readonly guests: Partial<Hooks> = {}
  /**
   * What a guest is being asked about: a guest that calls our hook in turn gets our verdict, and is not asked again.
   */
  readonly asked: WeakSet<object> = new WeakSet()
  readonly registry: OwnerRegistry
  readonly upkeep: Upkeep
  readonly claims: Claims
  readonly gate: SubscriptionGate
  /** For logins that have to wait anyway: of very many at once, few are begun in one turn. */
  readonly turns: Turns = new Turns(LOGINS_A_TURN)
  /** All but wills are refused from here on. */
  isClosed = false

  constructor(broker: Broker, authorizer: Authorizer, settings: Settings) {
    this.broker = broker
    this.authorizer = authorizer
    this.settings = settings
    this.sleepers = new Sleepers(settings.maxOwners)
    const { owners, cluster, nodeLeaseMs: leaseMs, maxOwners: max } = settings
    const shared = owners ?? authorizer.store.shared ?? new MemoryShared(max)
    const permitted = new PermittedState(shared, max, error => this.fault(error, 'owners'))
    this.registry = new OwnerRegistry(permitted, { cluster, leaseMs, max, nodeId: authorizer.store.nodeId })
    this.members = new Members(settings.deadlineMs, this.sleepers, this.registry.node)
    this.gate = new SubscriptionGate(this.members)
    this.upkeep = new Upkeep(this)
    this.claims = new Claims(this)
    this.members.onReleased = member => this.upkeep.released(member)
    this.members.onFault = error => this.fault(error, 'close')
  }

  /** The broker's persistence, with our gate before it. `listen()` has run when a client asks for anything. */
  get persistence(): Persistence {
    const { persistence } = this.broker
    if (persistence === undefined) throw new Error('the broker is not listening')
    this.gate.install(persistence)
    return persistence
  }

  fault(error: unknown, place: string): void {
    tellFault('aedes', 'onFault', () => this.settings.onFault(error, place))
  }

  /** Waits for work that nobody answers for, at most as long as the deadline. */
  attempt<T>(work: Promise<T>, place: string): Promise<T | undefined> {
    return withinDeadline(work, this.settings.deadlineMs, error => this.fault(error, place))
  }
}
