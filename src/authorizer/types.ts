import type { CompiledAcl } from '../acl/compile.js'
import type {
  Acl,
  Action,
  Decision,
  Denied,
  DenyReason,
  Principal,
  PublishFacts,
  Semantics,
  SubscribeFacts,
} from '../acl/types.js'
import type { HasherStats } from '../password/types.js'
import type { RecordKey } from '../record/types.js'
import type { Hearing, Reaction, RecordStore } from '../store/types.js'
import type { AuthorizerEvents } from './events.js'

/** The last will of a CONNECT, checked as the PUBLISH it may become. */
export interface WillFacts extends PublishFacts {
  readonly topic: string
}

/** What a broker knows when a CONNECT arrives. */
export interface ConnectRequest {
  /** @default '' */
  readonly mountpoint?: string | undefined
  /** Client id, as assigned by the broker where the client sent none. Empty, `*`, or holding U+0000 it is refused. */
  readonly clientId: string
  /** Left out when the CONNECT has no user name: an anonymous client. `''` is a user name. */
  readonly username?: string | undefined
  /** As text or as bytes; bytes that are not UTF-8 are refused. */
  readonly password?: string | Uint8Array | undefined
  /**
   * Remote address, for events, for turns among logins that need a hash, and for limits of failed logins.
   *
   * A function is asked in the turn of the CONNECT where the password is not known yet, and while somebody guesses. Of a
   * client whose password was proven before it is asked when somebody wants to know, and else within about a second, or
   * when the session ends. It has to answer in the same turn; where it throws, or answers what is no text, the address is
   * not known.
   */
  readonly address?: string | (() => string | undefined) | undefined
  readonly will?: WillFacts | undefined
  /** Aborted when the client hangs up: the hash still waiting for a thread is then dropped. */
  readonly signal?: AbortSignal | undefined
  /**
   * Opens a session that takes its client id from nobody before {@link Session.confirm}: for adapters that have to ask
   * elsewhere, e.g. other nodes, whether it may. Refused at once is whoever could not take it here.
   *
   * @default false
   */
  readonly provisional?: boolean | undefined
  /** What asks, e.g. `auth_on_register`; opens the `detail` of events. */
  readonly via?: string | undefined
}

/** Who asks, for callers whose broker has logged the client in. */
export interface AccessRequest {
  /** @default '' */
  readonly mountpoint?: string | undefined
  readonly clientId: string
  /** Left out for an anonymous client, who is then judged by the option `anonymous`. */
  readonly username?: string | undefined
}

/**
 * What an account may do at this moment, for adapters that keep no session. Nothing brings it up to date: decide with
 * it at once, and ask anew the next time.
 */
export interface Access {
  readonly principal: Principal
  /** Key of the record that decides: the exact one, or the `*` one. `undefined` for an anonymous client. */
  readonly recordKey: RecordKey | undefined
  /** Password hash of that record, to tell whether it is still the same. */
  readonly passhash: string | undefined
  /** The rules. Its decisions report nothing: hand a refusal to {@link Authorizer.refuse}. */
  readonly compiled: CompiledAcl
  /** Milliseconds until the record ends by itself; `Infinity` for never. */
  readonly leftMs: number
}

/** A login or a look-up was granted. */
export interface AccessGranted {
  readonly allow: true
  readonly access: Access
}

/** A look-up was refused. */
export interface AccessRefused extends Denied {
  /** As in {@link DeniedEvent}: not for the client. */
  readonly detail?: string
}

/** A refusal of an adapter that keeps no session. */
export interface Refusal {
  readonly principal: Principal
  readonly action: Action
  /** Topic name, or topic filter of a `subscribe`. */
  readonly subject?: string
  readonly decision: Denied
  readonly address?: string
  readonly detail?: string
}

/** A login was granted. */
export interface Authenticated {
  readonly allow: true
  readonly session: Session
}

/** Why a session ended before its client did. */
export type RevokeCause = 'deleted' | 'password' | 'expired' | 'client_id_taken'

/** A change of what a live session may do. */
export interface SessionChange {
  readonly session: Session
  /** The rules up to now. */
  readonly previous: Acl
  /** The rules from now on. */
  readonly acl: Acl
}

/**
 * A client that is logged in. Holds the compiled rules, so that its decisions are synchronous.
 *
 * Close it when the client is gone: until then it follows the changes of its record.
 */
export interface Session {
  readonly principal: Principal
  /** Remote address as given to `authenticate`; `undefined` where none was, or it cannot be told any more. */
  readonly address: string | undefined
  /** Key of the record that decides: the exact one, or the `*` one. `undefined` for an anonymous client. */
  readonly recordKey: RecordKey | undefined
  /** Milliseconds until the record ends by itself; `Infinity` for never. */
  readonly leftMs: number
  /** The rules in force. */
  readonly acl: Acl
  /** Decides; sends nothing. Whether the client may publish to this topic name. */
  authorizePublish(topic: string, facts?: PublishFacts): Decision
  /**
   * Decides; sends nothing. Whether the client may hold this subscription.
   *
   * @param detail What the `denied` event of a refusal tells besides, e.g. that the client had the subscription before.
   */
  authorizeSubscribe(filter: string, facts?: SubscribeFacts, detail?: string): Decision
  /** Decides; sends nothing. Whether a message of this topic name may be handed to the client. */
  authorizeReceive(topic: string): Decision
  /**
   * Makes a refusal that the adapter itself decided (what its broker cannot do) visible like any other: reports it as a
   * `denied` event and returns it.
   */
  refuse(action: Action, subject: string, reason: DenyReason, detail?: string): Denied
  /**
   * Aborts when the client must be cut; the reason is a {@link RevokeCause}. Its listeners must not throw. Made when it
   * is first read, and takes most of a kilobyte: with many sessions, {@link onRevoked} is the lighter way.
   */
  readonly revoked: AbortSignal
  /** Why the client must be cut; `undefined` as long as it need not be. */
  readonly revokeCause: RevokeCause | undefined
  /**
   * Calls `listener` when the client must be cut, at once if it must be already, and returns what ends it. What it did
   * about it, e.g. stored subscriptions that it removed, it may return or resolve with, as in {@link onChange}. What it
   * throws becomes an `error` event.
   */
  onRevoked(listener: (cause: RevokeCause, session: Session) => Reaction): () => void
  /**
   * Calls `listener` after the rules were replaced, and returns what ends it. Writers in this process wait for a
   * promise it returns; the next change does not, and calls it again. What it did about the change, e.g. subscriptions
   * that it took away, it may return or resolve with: receipts tell it. What it throws becomes an `error` event.
   */
  onChange(listener: (change: SessionChange) => Reaction): () => void
  /**
   * Takes the client id, for a session that was opened with `provisional`: revokes the session that holds it by another
   * record. Returns whether it has it: not one that has ended, nor one that came too late. May be called again.
   */
  confirm(): boolean
  /** Ends the session; later decisions answer `closed` (or `revoked`). May be called again. */
  close(): void
}

/** How fresh the authorizer's knowledge is. */
export interface Freshness {
  /** Whether changes are being heard. */
  readonly state: 'live' | 'blind'
  /** The longest, in milliseconds, that a revoked right can survive if the link froze this instant. */
  readonly boundMs: number
  /** The terms `boundMs` is computed from, in milliseconds. */
  readonly terms: {
    readonly staleWindowMs: number
    readonly readTimeoutMs: number
    readonly outageGraceMs: number
    readonly maxAgeMs: number
  }
  /**
   * Milliseconds since the moment up to which all changes are known to have been heard; `Infinity` before the first.
   */
  readonly ageMs: number
  /**
   * Which changes the store hears of. With `'own writes'`, those of others count when a record is next read: `boundMs`
   * is then `maxAgeMs`.
   */
  readonly hears: Hearing
  /** The links to the servers of the store, where it has any; `ageMs` as above, for each. */
  readonly links: readonly LinkFreshness[]
}

/** How one link to a server of the store stands. */
export interface LinkFreshness {
  /** Which server, e.g. `10.0.0.5:6379`. */
  readonly server: string
  readonly state: 'live' | 'blind'
  readonly ageMs: number
}

/** Sizes and counts at this moment; counts run from the start. */
export interface AuthorizerStats {
  readonly sessions: number
  /** Records held in the cache. */
  readonly records: number
  /** Keys held as absent. */
  readonly absent: number
  /** Reads of the store under way. */
  readonly loading: number
  /** Look-ups answered by what is held; a login whose password is not proven yet looks twice. */
  readonly hits: number
  readonly misses: number
  /** Replies of the store thrown away because the record had changed meanwhile. */
  readonly discarded: number
  readonly logins: { readonly allowed: number; readonly denied: number }
  /** Logins refused because too many had failed; `denied` counts them as well. */
  readonly throttled: number
  readonly hashing: HasherStats
  /** Logins that needed no hash of their own, since one for the same password was under way. */
  readonly sharedHashes: number
  /** Records that were given a new hash of the same password. */
  readonly rehashed: number
  readonly verifiedPasswords: number
}

/** Who held a client id on another node. */
export interface FormerHolder {
  readonly principal: Principal
  /** Where it came from, if that is known. Cut to 64 characters. */
  readonly address?: string
  /** Id of the node, as in `store.nodes()`, if that is known. Cut to 128 characters. */
  readonly nodeId?: string
  /** Whether it was the same account by the same record: only then it counts towards a `loop`. */
  readonly isOwn: boolean
}

/** Decides for a broker from the records of a store. Made by `createAuthorizer`. */
export interface Authorizer {
  readonly semantics: Semantics
  /** Where it reads the records, for adapters that must know of changes to records without a session. */
  readonly store: RecordStore
  /** Who wins when an account connects a second time with the same client id; see the option of this name. */
  readonly takeover: 'newest' | 'first'
  /**
   * Takes note that a session took its client id from a client on another node, for adapters that know of other nodes:
   * reports it as a `takeover` event, unless it belongs to a loop, which is told for itself. Never throws.
   */
  tookOver(session: Session, former: FormerHolder): void
  /**
   * Resolves when the store's watch is armed: from then on changes are heard (at once for a store that hears of none).
   * Not needed for decisions, which are right before too.
   *
   * @throws AuthorizerClosed, when closed meanwhile.
   */
  ready(): Promise<void>
  /**
   * Judges a CONNECT and opens a session. Never throws for anything a client sends; every fault is a refusal. Answers
   * within `connectTimeoutMs`, and at once when the authorizer is closed.
   */
  authenticate(request: ConnectRequest): Promise<Authenticated | Denied>
  /**
   * Judges a CONNECT like {@link authenticate}, within the turn, if all that takes is known: the record is held, and
   * the password was proven before. `undefined` where something has to be read, hashed or refused: then `authenticate`
   * it; also when the authorizer is closed. Never throws for anything a client sends. For brokers whose clients come back
   * all at once; a promise and what hangs on it cost as much as the judgement.
   */
  authenticateNow(request: ConnectRequest): Authenticated | undefined
  /**
   * Judges a CONNECT like {@link authenticate}, but opens no session and claims no client id: for adapters to a broker
   * that keeps the sessions itself.
   */
  verify(request: ConnectRequest): Promise<AccessGranted | Denied>
  /**
   * Looks up what a client may do whose broker has checked the password. One look-up serves all filters of a SUBSCRIBE.
   * Never throws for anything a client sends; every fault is a refusal. Reports nothing: that is for {@link refuse}.
   *
   * What is held already is answered at once, without a promise, which matters to a server that is asked at every
   * PUBLISH; `await` serves both.
   */
  access(request: AccessRequest): AccessGranted | AccessRefused | Promise<AccessGranted | AccessRefused>
  /**
   * Makes a refusal that an adapter without sessions decided visible: reports it as a `denied` event and returns it.
   */
  refuse(refusal: Refusal): Denied
  /** Decides; sends nothing. For callers without a session, whose broker has checked the password. */
  authorizePublish(principal: Principal, topic: string, facts?: PublishFacts): Promise<Decision>
  /** Decides; sends nothing. For callers without a session. */
  authorizeSubscribe(principal: Principal, filter: string, facts?: SubscribeFacts): Promise<Decision>
  /** Decides; sends nothing. For callers without a session. */
  authorizeReceive(principal: Principal, topic: string): Promise<Decision>
  freshness(): Freshness
  stats(): AuthorizerStats
  /** Live sessions. A view: sessions opened or closed while iterating may or may not be seen. */
  sessions(): IterableIterator<Session>
  on<E extends keyof AuthorizerEvents>(event: E, listener: (event: AuthorizerEvents[E]) => void): this
  once<E extends keyof AuthorizerEvents>(event: E, listener: (event: AuthorizerEvents[E]) => void): this
  off<E extends keyof AuthorizerEvents>(event: E, listener: (event: AuthorizerEvents[E]) => void): this
  /** Ends the watch, the hashing threads and every session (without `revoked`). Leaves the store open. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
