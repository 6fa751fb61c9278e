import type { Session } from '../authorizer/types.js'
import type { BrokerClient, StoredClient } from './broker.js'
import { ownerOf, type SessionOwner } from './owners.js'
import type { Sleepers } from './sleepers.js'

/** A client that logged in through this protection. */
export class Member {
  readonly client: BrokerClient
  readonly session: Session
  readonly owner: SessionOwner
  /** Subscriptions of a SUBSCRIBE that were granted and are still to be stored. */
  granted: Set<object> | undefined
  /** aedes has registered the client; before that it restores stored subscriptions. */
  isRegistered = false
  isEnded = false
  /** Whether it owns what was stored before, and will have it removed. */
  endsStored = false
  /** Who held the client id before, as long as it is not certain that this one stays. */
  predecessor: Member | undefined
  #waiting: (() => void)[] | undefined

  constructor(client: BrokerClient, session: Session) {
    this.client = client
    this.session = session
    this.owner = ownerOf(session)
  }

  /** Resolves when aedes is done with the client: its subscriptions are down, its will is judged. */
  ended(): Promise<void> {
    if (this.isEnded) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting ??= []
      this.#waiting.push(resolve)
    })
  }

  end(): void {
    this.isEnded = true
    this.session.close()
    for (const resolve of this.#waiting ?? []) resolve()
    this.#waiting = undefined
  }
}

/** The clients logged in, and which of them holds a client id. */
export class Members {
  readonly #byClient: WeakMap<StoredClient, Member> = new WeakMap()
  readonly #bySession: WeakMap<Session, Member> = new WeakMap()
  readonly #live: Set<Member> = new Set()
  readonly #holders: Map<string, Member> = new Map()
  readonly #lingerMs: number
  readonly #sleepers: Sleepers
  /** Hears of members that were the last to hold their client ids. */
  onReleased: (member: Member) => void = () => {}

  /**
   * @param lingerMs How long a session outlives its connection at most, for the will to be judged.
   * @param sleepers Gets the members that leave a stored session behind.
   */
  constructor(lingerMs: number, sleepers: Sleepers) {
    this.#lingerMs = lingerMs
    this.#sleepers = sleepers
  }

  /** The member a client is or was; its session refuses everything once it has ended. */
  of(client: StoredClient): Member | undefined {
    return this.#byClient.get(client)
  }

  bySession(session: Session): Member | undefined {
    return this.#bySession.get(session)
  }

  live(): readonly Member[] {
    return [...this.#live]
  }

  /** Takes a client in; it ends with its connection. */
  add(client: BrokerClient, session: Session): Member {
    const member = new Member(client, session)
    this.#byClient.set(client, member)
    this.#bySession.set(session, member)
    this.#live.add(member)
    client.conn.on('close', () => this.#disconnected(member))
    return member
  }

  /** The member that holds a client id, also while its login is not finished. */
  holder(clientId: string): Member | undefined {
    return this.#holders.get(clientId)
  }

  holders(): Iterable<Member> {
    return this.#holders.values()
  }

  /** Returns whether the member is still there to hold it. */
  hold(member: Member): boolean {
    if (member.isEnded) return false
    member.predecessor = this.#holders.get(member.client.id)
    this.#holders.set(member.client.id, member)
    return true
  }

  /** aedes has registered the client, and closed the one before. */
  registered(member: Member): void {
    member.isRegistered = true
    member.predecessor = undefined
  }

  end(member: Member): void {
    if (member.isEnded) return
    this.#live.delete(member)
    const { client, owner, session } = member
    const { leftMs } = session
    if (this.#holders.get(client.id) !== member) {
      member.end()
      return
    }
    let heir = member.predecessor
    while (heir?.isEnded) heir = heir.predecessor
    member.predecessor = undefined
    member.end()
    if (heir !== undefined) {
      this.#holders.set(client.id, heir)
      return
    }
    this.#holders.delete(client.id)
    // The rules for anonymous clients never change.
    if (!client.clean && owner.kind !== 'anonymous') this.#sleepers.add(client.id, owner, leftMs)
    this.onReleased(member)
  }

  /**
   * aedes judges the will after it took the subscriptions down, which may be later than this. It then says
   * `clientDisconnect`, on which the member is ended; but not of a client whose login it had not finished. That one it
   * shows by a last `drain`. The timer is for a message emitter that hangs.
   */
  #disconnected(member: Member): void {
    const { connected, connecting, conn } = member.client
    if (!connected && !connecting) {
      this.end(member)
      return
    }
    const timer = setTimeout(() => this.end(member), this.#lingerMs).unref()
    void member.ended().then(() => clearTimeout(timer))
    conn.once('drain', () => this.end(member))
  }
}
