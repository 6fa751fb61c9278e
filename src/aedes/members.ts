import { nextTurn, TURN } from '../authorizer/turn.js'
import type { Session } from '../authorizer/types.js'
import type { BrokerClient, Connect, StoredClient } from './broker.js'
import { type Holding, type Ownership, ownerOf, type SessionOwner } from './owners.js'
import type { Sleepers } from './sleepers.js'

/** Longest address that others are told. */
const MAX_ADDRESS = 64

/** What of a login is still open. */
interface Joining {
  /** Who held the client id before, as long as it is not certain that this one stays. */
  predecessor: Member | undefined
  /** Whether it owns what was stored before, and will have it removed. */
  endsStored: boolean
}

/** A client that logged in through this protection. */
export class Member implements Holding {
  readonly client: BrokerClient
  readonly session: Session
  readonly #node: string
  /** Subscriptions of a SUBSCRIBE that were granted and are still to be stored. */
  granted: Set<object> | undefined
  /** Until aedes has registered the client; before that it restores stored subscriptions. */
  joining: Joining | undefined = { predecessor: undefined, endsStored: false }
  isEnded = false
  #waiting: (() => void)[] | undefined

  /** @param node The name of this node among all. */
  constructor(client: BrokerClient, session: Session, node: string) {
    this.client = client
    this.session = session
    this.#node = node
  }

  get isRegistered(): boolean {
    return this.joining === undefined
  }

  get owner(): SessionOwner {
    return ownerOf(this.session)
  }

  /** That of its client id, where it holds that alone, and nothing was stored before. */
  get ownership(): Ownership {
    const { owner, client, session } = this
    const address = (session.address ?? '').slice(0, MAX_ADDRESS)
    return { owner, isStored: !client.clean, isForeign: false, holders: { [this.#node]: address } }
  }

  /** Resolves when aedes is done with the client: its subscriptions are down, its will is judged. */
  ended(): Promise<void> {
    if (this.isEnded) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting ??= []
      this.#waiting.push(resolve)
    })
  }

  /** @throws What closing the session throws; whoever waits for the end hears of it all the same. */
  end(): void {
    this.isEnded = true
    const waiting = this.#waiting
    this.#waiting = undefined
    for (const resolve of waiting ?? []) resolve()
    this.session.close()
  }
}

/** Looks at all members within the time that a session outlives its connection. */
const LOOKS = 2

/** A client, with the member that it is, or with the CONNECT of a login that is about to begin. */
type Marked = { [mark: symbol]: Member | Connect | undefined }

/**
 * The clients logged in, and which of them holds a client id. Every field and listener here is there for each of them.
 */
export class Members {
  /**
   * Under it clients keep their members: a weak map would be slower to ask, and larger. Their connections would do as
   * well, but a property more or less on a socket slows down every look at sockets that the streams of Node take.
   */
  readonly #mark: symbol = Symbol('member')
  readonly #holders: Map<string, Member> = new Map()
  /** Those that hold no client id any more, and those whose logins wait for one. */
  readonly #others: Map<Session, Member> = new Map()
  readonly #sleepers: Sleepers
  readonly #node: string
  /** Listener of every connection, which is its `this`. */
  readonly #onDrain: () => void
  /** Members whose connections were found to be over at the last look. */
  #lingering: Set<Member> = new Set()
  readonly #timer: NodeJS.Timeout
  /** Hears of members that were the last to hold their client ids. */
  onReleased: (member: Member) => void = () => {}
  /** Hears what closing a session throws; only one of another authorizer could. */
  onFault: (error: unknown) => void = () => {}

  /**
   * @param lingerMs How long a session outlives its connection at most, for the will to be judged.
   * @param sleepers Gets the members that leave a stored session behind.
   * @param node The name of this node among all.
   */
  constructor(lingerMs: number, sleepers: Sleepers, node: string) {
    this.#node = node
    this.#sleepers = sleepers
    const members = this
    this.#onDrain = function (this: unknown): void {
      const { client } = this as BrokerClient['conn']
      const member = client && members.of(client)
      if (member !== undefined && isLeft(member)) members.end(member)
    }
    this.#timer = setInterval(() => void this.#look(), lingerMs / LOOKS).unref()
  }

  /** The member a client is or was; its session refuses everything once it has ended. */
  of(client: StoredClient): Member | undefined {
    const found = (client as object as Marked)[this.#mark]
    return found instanceof Member ? found : undefined
  }

  /** Keeps the CONNECT of a client, password included, until it logs in: nothing else has the will before that is stored. */
  expect(client: BrokerClient, connect: Connect): void {
    ;(client as object as Marked)[this.#mark] = connect
  }

  /** The CONNECT of a client, once. */
  expected(client: BrokerClient): Connect | undefined {
    const marked: Marked = client as object as Marked
    const found = marked[this.#mark]
    if (found === undefined || found instanceof Member) return undefined
    marked[this.#mark] = undefined
    return found
  }

  bySession(session: Session): Member | undefined {
    const holder = this.#holders.get(session.principal.clientId)
    return holder?.session === session ? holder : this.#others.get(session)
  }

  live(): readonly Member[] {
    return [...this.#holders.values(), ...this.#others.values()]
  }

  /**
   * Takes a client in; it ends with its connection. aedes takes the subscriptions down then, judges the will, and has
   * every connection emit a last `drain`; `clientDisconnect` it says of those only that are still registered. Nobody else
   * listens for `drain` as a rule, while a second listener for `close` would cost each connection a list.
   */
  add(client: BrokerClient, session: Session): Member {
    const member = new Member(client, session, this.#node)
    ;(client as object as Marked)[this.#mark] = member
    client.conn.on('drain', this.#onDrain)
    return member
  }

  /** Has a member followed whose login goes on for longer than a turn. */
  follow(member: Member): void {
    if (!member.isEnded && this.#holders.get(member.client.id) !== member) this.#others.set(member.session, member)
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
    const before = this.#holders.get(member.client.id)
    if (before !== undefined) this.#others.set(before.session, before)
    if (member.joining !== undefined) member.joining.predecessor = before
    this.#inherit(member)
    return true
  }

  /**
   * aedes has registered the client, and closed the one before: of two logins at once, not always the one that claimed
   * first. Returns whether the client id had been given up meanwhile.
   */
  registered(member: Member): boolean {
    member.joining = undefined
    const { id } = member.client
    const holder = this.#holders.get(id)
    // A later one that is still to be registered will close this one, or leave it the client id.
    if (member.isEnded || (holder !== undefined && holder !== member && !holder.isRegistered)) return false
    if (holder !== member) this.#holders.set(id, member)
    return holder === undefined
  }

  end(member: Member): void {
    if (member.isEnded) return
    const { client, session } = member
    if (this.#holders.get(client.id) !== member) {
      this.#others.delete(session)
      this.#close(member)
      return
    }
    let heir = member.joining?.predecessor
    while (heir?.isEnded) heir = heir.joining?.predecessor
    if (member.joining !== undefined) member.joining.predecessor = undefined
    this.#close(member)
    if (heir !== undefined) {
      this.#inherit(heir)
      return
    }
    this.#holders.delete(client.id)
    if (!client.clean) this.#leaveAsleep(member)
    this.onReleased(member)
  }

  #close(member: Member): void {
    try {
      member.end()
    } catch (error) {
      this.onFault(error)
    }
  }

  #leaveAsleep({ client, owner, session: { leftMs } }: Member): void {
    // The rules for anonymous clients never change.
    if (owner.kind !== 'anonymous') this.#sleepers.add(client.id, owner, leftMs)
  }

  #inherit(member: Member): void {
    this.#others.delete(member.session)
    this.#holders.set(member.client.id, member)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** Ends members whose connections were over at the last look already: the message emitter of aedes hangs. */
  async #look(): Promise<void> {
    const before = this.#lingering
    const lingering = new Set<Member>()
    this.#lingering = lingering
    let seen = 0
    for (const members of [this.#others, this.#holders]) {
      for (const member of members.values()) {
        if (before.has(member)) this.end(member)
        else if (member.client.closed) lingering.add(member)
        if (++seen % TURN === 0) await nextTurn()
      }
    }
  }
}

/** Whether aedes is done with a client. */
function isLeft({ client: { closed, connected, connecting } }: Member): boolean {
  return closed && !connected && !connecting
}
