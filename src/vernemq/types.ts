import type { Access } from '../authorizer/types.js'
import type { Endpoint, EndpointResponse, Respond } from '../endpoint/index.js'

/** Answers VerneMQ's hooks. The faces differ in how a request comes in, not in what is answered. */
export interface WebhookHandler extends Endpoint {
  /**
   * Answers one hook, for servers that have taken the request apart themselves. Checks the body, not who asks. Never
   * rejects.
   *
   * @param hook Value of the header `vernemq-hook`.
   * @param body The body as parsed JSON.
   */
  handle(hook: string, body: unknown): Promise<EndpointResponse>
  /** Answers one request that has passed the limits of an endpoint, for several adapters behind one port. */
  readonly respond: Respond
}

/** One client of VerneMQ. */
export interface VernemqClient {
  readonly mountpoint: string
  readonly clientId: string
}

/** A session as VerneMQ lists it. A client that is not connected has no user name there. */
export interface VernemqSession extends VernemqClient {
  readonly username: string | undefined
}

/** What can be done to a VerneMQ cluster from outside. Made by `createVernemqAdmin`. */
export interface VernemqAdmin {
  /** Origins of the HTTP listeners, one per node of the cluster. */
  readonly nodes: readonly string[]
  /** Longest time one call to one node takes, in milliseconds. */
  readonly timeoutMs: number
  /** Empties the webhook cache of one node. @throws VernemqAdminFailed (`ERR_VERNEMQ_ADMIN`). */
  clearCache(node: string): Promise<void>
  /** How many nodes the cluster has, as one of them sees it. @throws VernemqAdminFailed (`ERR_VERNEMQ_ADMIN`). */
  clusterSize(node: string): Promise<number>
  /**
   * Closes the connection of a client, on whichever node it is; no error when it has none.
   *
   * @param options `cleanup` also deletes its subscriptions and queued messages, connected or not.
   * @throws VernemqAdminFailed (`ERR_VERNEMQ_ADMIN`) when no node did it; `isPermanent` when none can.
   */
  disconnect(client: VernemqClient, options?: { readonly cleanup?: boolean }): Promise<void>
  /**
   * Has VerneMQ ask `auth_on_subscribe` again for every subscription of a client, and drop what is refused.
   *
   * @throws VernemqAdminFailed (`ERR_VERNEMQ_ADMIN`) when no node did it; `isPermanent` when none can.
   */
  reauthorize(client: VernemqClient & { readonly username: string }): Promise<void>
  /**
   * Sessions of the whole cluster, of one user name if told.
   *
   * @throws VernemqAdminFailed (`ERR_VERNEMQ_ADMIN`), also when there are more than fit.
   */
  sessions(of?: { readonly mountpoint: string; readonly username: string }): Promise<readonly VernemqSession[]>
}

/** How long a right may survive its end on VerneMQ, and what that is computed from. */
export interface VernemqFreshness {
  /**
   * The longest, in milliseconds, that a revoked right can survive, from the change of the record to its end on every
   * node; `Infinity` while no node of VerneMQ answers, since what a session has subscribed to can then not be ended.
   */
  readonly boundMs: number
  /** The terms, in milliseconds. */
  readonly terms: {
    /** Until a webhook server hears of a change, or asks the store again because it is deaf. */
    readonly hearMs: number
    /** Until the other webhook servers have confirmed that they dropped the record. */
    readonly confirmMs: number
    /** Until another server takes over from one that died over it. */
    readonly takeoverMs: number
    /** How late VerneMQ may still take an older answer into its cache. */
    readonly responseTimeoutMs: number
    /** The calls to VerneMQ. */
    readonly adminMs: number
    /** Until cached grants end by themselves; counts while the cache of a node cannot be cleared. */
    readonly cacheMs: number
  }
  readonly nodes: readonly VernemqNodeState[]
  /** Clients that still have to be disconnected or reauthorized. */
  readonly pending: number
}

/** What is known of one node of VerneMQ. */
export interface VernemqNodeState {
  readonly node: string
  /** `unproven` until its cache was cleared for the first time; nothing is cached meanwhile. */
  readonly state: 'clear' | 'unproven' | 'failing'
}

/** What goes wrong or is given up while rights are being enforced. */
export interface EnforcementFault {
  /**
   * What failed: clearing a webhook `cache`, `disconnect`, `reauthorize`, listing `sessions`, reading a `record`, a
   * call to `peers`, a `peer` that did not confirm in time; or a node of the `cluster` that `createVernemqAdmin` was
   * not told of, or an `overflow` of the queue.
   */
  readonly what:
    | 'cache'
    | 'disconnect'
    | 'reauthorize'
    | 'sessions'
    | 'record'
    | 'peers'
    | 'peer'
    | 'cluster'
    | 'overflow'
  readonly node?: string
  readonly client?: VernemqClient
  readonly error: unknown
  /** Tries so far; no more follow when `isGivenUp`. */
  readonly tries: number
  readonly isGivenUp: boolean
}

/** Carries changes of records to a VerneMQ cluster. Made by `enforceOnVernemq`. */
export interface VernemqEnforcement {
  /**
   * Resolves when the caches have been cleared and the sessions found at the start verified, or when that was tried
   * once; what failed is tried again. Also resolves when closed.
   */
  ready(): Promise<void>
  freshness(): VernemqFreshness
  /** Stops; what was not carried out is left to other servers. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
  /**
   * For the webhook handler: whether a grant may be cached for so many seconds, because every node's cache can be
   * cleared and changes are being heard.
   */
  mayCache(seconds: number): boolean
  /** For the webhook handler: something was granted on the strength of this record. */
  observe(access: Access): void
  /** For the webhook handler: a client logs in; its stored subscriptions are verified if it has any. */
  loggedIn(access: Access, isPersistent: boolean): void
}
