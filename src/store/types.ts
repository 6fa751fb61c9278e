import type { Semantics } from '../acl/types.js'
import type { AclRecord, RecordKey } from '../record/types.js'
import type { Limiter, LimiterLimits } from './limiter.js'
import type { SharedState } from './shared.js'

/**
 * News from a store. It carries no authority: it says what to forget, and the store stays the only truth.
 *
 * - `changed`: the record of one key may have changed, appeared or gone.
 * - `unknown`: anything may have changed (a link was lost, or everything was flushed).
 * - `link`: whether changes are being heard. `at` is the moment, on the clock of `performance.now()` in milliseconds,
 *   up to which everything that happened is known to have been heard; `live` events repeat as that moment moves on. It
 *   is `Infinity` where the store cannot become deaf (the memory store), and `-Infinity` where nothing was ever heard.
 * - `error`: something failed that no caller is waiting for, e.g. the link could not be armed or a listener threw. For
 *   people to read: what it means for the records is said by `link` and `unknown`.
 */
export type StoreEvent =
  | { readonly type: 'changed'; readonly key: RecordKey }
  | { readonly type: 'unknown' }
  | { readonly type: 'link'; readonly state: 'live' | 'blind'; readonly at: number }
  | { readonly type: 'error'; readonly error: unknown; readonly place: string }

/** One of the links that a store hears of changes through. */
export interface StoreLink {
  /** Which server it leads to, e.g. `10.0.0.5:6379`. */
  readonly server: string
  readonly state: 'live' | 'blind'
  /** Moment up to which all changes at that server have been heard, as in the `link` events of {@link StoreEvent}. */
  readonly at: number
}

/**
 * Which changes a store hears of: those that anybody makes; only those made through stores like it; or none. Where it
 * is not everything, a change may go unnoticed until the record is read again, which the authorizer does by its
 * `maxAgeMs`.
 */
export type Hearing = 'everything' | 'own writes' | 'nothing'

/** What a change of a record did to the sessions of one watcher, for receipts. What is left out is none. */
export interface ChangeEffects {
  /** Sessions that were ended. */
  readonly sessionsCut?: number
  /** Sessions whose subscriptions a broker elsewhere was made to judge anew. */
  readonly sessionsReauthorized?: number
  /** Subscriptions that were taken away, live or stored. */
  readonly subscriptionsDropped?: number
  /** Queued messages that were taken away. */
  readonly messagesDropped?: number
  /** Why the change is not in force yet, e.g. since the record could not be read. Left out when it is. */
  readonly failed?: string
  /**
   * Work that goes on after the change is in force, such as tidying sessions whose clients are away. Resolves with what
   * it did besides. No writer waits for it, save for a receipt, for as long as that has time.
   */
  readonly later?: Promise<ChangeEffects>
}

/** What a listener gives back: nothing or what it did, at once or when it is done. */
export type Reaction = void | ChangeEffects | Promise<void> | Promise<ChangeEffects | undefined>

/**
 * Hears what a store has to tell. May return a promise: `put` and `delete` of the same process wait for it before they
 * resolve (at most 5 seconds), so that who awaits a write finds local sessions deciding by it. With `changed` it may
 * give, or resolve with, what the change did. It must not throw; if it does, the others and the write go on, and an
 * `error` event says so.
 */
export type StoreListener = (event: StoreEvent) => Reaction

/** What a store should know of a watcher. */
export interface WatchOptions {
  /**
   * Says that the watcher decides by the records, and how long it goes on with what it knew when it hears nothing more,
   * in milliseconds. Receipts then wait for this process; should it vanish, for so long. Left out, it only listens.
   */
  readonly decidesForMs?: number
  /** Tells how many live sessions the watcher has now, for {@link NodeInfo}. Called now and then; must not throw. */
  readonly sessions?: () => number
}

/** Conditions of a write, and what to wait for after it. */
export interface WriteOptions {
  /**
   * Writes only if the record that is stored now has this digest (see {@link WriteResult.digest}); `null` demands that
   * there is none. Otherwise `RecordConflict` is thrown and nothing is written.
   */
  readonly ifMatch?: string | null
  /**
   * Waits until every live node has confirmed that its sessions decide by what was written, and has tidied the stored
   * ones whose clients are away, for at most `timeoutMs` milliseconds (1 to 600,000). A node that stays silent is named
   * in the result; it is no error.
   */
  readonly receipt?: { readonly timeoutMs: number }
  /**
   * Demands that this many replicas have the write, waiting for them as long as the store waits for an answer. With
   * fewer, `NotDurable` is thrown although the write stands. 1 to 100. A store without replicas has none.
   */
  readonly minReplicas?: number
}

/** What one node says about a write. */
export interface ReceiptRow {
  /** Id of the node, as in {@link NodeInfo}. */
  readonly node: string
  /** Digest of the record as this node itself read it afterwards; `null` when it found none, or could not read. */
  readonly digest: string | null
  /**
   * Sessions ended there since the change was heard; each is told in one receipt. From a webhook server, clients that
   * VerneMQ was told to disconnect: of one with a record of its own it does not say whether it was connected.
   */
  readonly sessionsCut: number
  /**
   * Subscriptions taken away there, live or stored, likewise; those of sessions whose clients are away are among them.
   */
  readonly subscriptionsDropped: number
  /** Queued messages taken away there from sessions whose clients are away, likewise. */
  readonly messagesDropped: number
  /**
   * Sessions whose subscriptions VerneMQ was made to judge anew from there, likewise; how many it dropped it does not
   * say. Left out when none.
   */
  readonly sessionsReauthorized?: number
  /** Milliseconds from the sending of the write to the moment at which it was known to be in force there. */
  readonly ms: number
  /** Why the change is not in force there; left out when it is. */
  readonly failed?: string
  /**
   * The node was still at work when the time was over, e.g. tidying sessions whose clients are away: the counts are
   * those so far. Nobody can use what is yet to be tidied. Left out when it was done.
   */
  readonly pending?: true
}

/** A node that did not answer in time. It may be dead, stand still, or be cut off and go on by what it knew. */
export interface SilentNode {
  /** Id of the node, as in {@link NodeInfo}. */
  readonly node: string
  /** Milliseconds since its last sign of life. */
  readonly seenMs: number
  /** Milliseconds until it is forgotten: by then it decides by nothing old, whatever became of it. */
  readonly leftMs: number
}

/** Who confirmed a write. */
export interface Receipt {
  /** Whether there is a node, all of them answered in time, and each has in force exactly what was written. */
  readonly confirmed: boolean
  readonly rows: readonly ReceiptRow[]
  /** Ids of the nodes that are taken for alive and did not answer in time. */
  readonly silent: readonly string[]
  /** The same nodes, with when each was last heard. */
  readonly silentNodes: readonly SilentNode[]
  /** Why the nodes could not be asked; left out when they could. The write stands all the same. */
  readonly failed?: string
}

/** A process that decides by the records of a store, as it announces itself. */
export interface NodeInfo {
  /** Names the process among all others: `<name>.<pid>.<random>`. */
  readonly id: string
  /** Name that it was given, or that of its host. */
  readonly name: string
  readonly pid: number
  /** Version of mqtt-warden that it runs; left out by one that does not tell. */
  readonly version?: string
  /** Live sessions that it had at its last sign of life; left out by one that does not tell. */
  readonly sessions?: number
  /** Unix milliseconds. */
  readonly startedAt: number
  /** Milliseconds since its last sign of life; one comes at least every 5 seconds. */
  readonly seenMs: number
  /** Milliseconds without a sign of life after which it is forgotten: by then it decides by nothing old. */
  readonly leaseMs: number
}

/** What a write did. */
export interface WriteResult {
  /** SHA-256 of the stored value in lower-case hex, or `null` after a `delete`. */
  readonly digest: string | null
  /** Whether there was a record before. */
  readonly replaced: boolean
  /**
   * What was perhaps not meant, e.g. an end that has passed, and what another reader of the record would stumble over,
   * e.g. VerneMQ over a key that holds a space.
   */
  readonly warnings: readonly string[]
  /** How many replicas are known to have the write, where `minReplicas` was given. */
  readonly replicas?: number
  /** Who confirmed the write, where a receipt was asked for. */
  readonly receipt?: Receipt
}

/** A record as it is stored, with what the store knows about it. */
export interface StoredRecord {
  readonly record: AclRecord
  /** SHA-256 of the stored value in lower-case hex, for {@link WriteOptions.ifMatch}. */
  readonly digest: string
  /** Unix milliseconds at which the store itself drops the record; left out when it never does. */
  readonly expiresAtMs?: number
}

/**
 * Where records live. The port that `createAuthorizer` reads through; `createMemoryStore` and `createRedisStore`
 * implement it, and any other may, if it passes the same tests.
 */
export interface RecordStore {
  /** How the store reads records; the authorizer follows it. */
  readonly semantics: Semantics
  /** Id of this process among the {@link nodes}. Optional: without it, events cannot name it. */
  readonly nodeId?: string
  /** Which changes `watch` tells of. Optional: `'everything'` where it is left out. */
  readonly hears?: Hearing
  /**
   * What the nodes over this store share beside the records. Optional: without it, what would be shared is known to one
   * process alone.
   */
  readonly shared?: SharedState
  /**
   * Resolves with the record of exactly this key, or `undefined` when there is none. Never falls back to `*`.
   *
   * @throws RecordInvalid (`ERR_RECORD_INVALID`) when there is a value that is no record.
   * @throws StoreUnavailable (`ERR_STORE_UNAVAILABLE`), StoreTimeout (`ERR_STORE_TIMEOUT`).
   */
  get(key: RecordKey): Promise<AclRecord | undefined>
  /**
   * Like {@link get}, with the moment at which the store drops the record by itself. Optional: without it records are
   * taken to have no expiry of the store's.
   */
  getStored?(key: RecordKey): Promise<StoredRecord | undefined>
  /**
   * How many reads may be under way for live sessions whose records are due, as all are after an outage: enough that
   * they do not take long, and so few that a login need not wait for them. 1 to 10,000, and may change at any time.
   * Optional: without it, 50.
   */
  readonly readsAtOnce?: number
  /**
   * Validates and writes a record, and resolves when every watcher in this process has finished with the news.
   *
   * @throws RecordInvalid, RecordKeyInvalid before anything is sent; RecordConflict when `ifMatch` does not hold;
   * StoreUnavailable when it was not written; OutcomeUnknown when that cannot be told; NotDurable when it was, and too
   * few replicas have it.
   */
  put(key: RecordKey, record: AclRecord, options?: WriteOptions): Promise<WriteResult>
  /**
   * Removes a record, if there is one; resolves and throws as {@link put}. Removing an exact record may un-hide the `*`
   * one.
   */
  delete(key: RecordKey, options?: WriteOptions): Promise<WriteResult>
  /** Yields the key of every record, in no order. A key written or removed meanwhile may or may not be among them. */
  scan(): AsyncIterable<RecordKey>
  /**
   * Gives a counter that all who use this store share, for the failed logins of all nodes. Optional: without it the
   * authorizer counts in the memory of its process.
   *
   * @param name What is counted, in lower-case letters.
   */
  limiter?(name: string, limits: LimiterLimits): Limiter
  /**
   * Begins to report changes to `listener` and returns what ends it. The first events are `link` `live` once changes
   * are heard, preceded by `unknown` if anything may have been missed. No event comes before `watch` has returned.
   *
   * @throws StoreUnavailable when the store is closed.
   */
  watch(listener: StoreListener, options?: WatchOptions): () => void
  /**
   * The links that the watch consists of now, one for each server. Optional: without it there is one without a name.
   */
  links?(): readonly StoreLink[]
  /**
   * Resolves with the processes that decide by these records at present. Optional: a store that is not shared knows
   * none but its own.
   */
  nodes?(): Promise<readonly NodeInfo[]>
  /**
   * Ends the watch (a last `link` `blind` tells the listeners) and closes what the store opened itself. Calls under way
   * are answered with `StoreUnavailable`; a write that was already sent, with `OutcomeUnknown`. May be called again.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
