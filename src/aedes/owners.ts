import { LRUCache } from 'lru-cache'
import type { Session } from '../authorizer/types.js'

/** Whose a client id is: the account that logged in with it, and by what kind of record. Plain data, so that it can be stored. */
export interface SessionOwner {
  readonly mountpoint: string
  /** `''` for an anonymous client. */
  readonly username: string
  /** What decided the login: the record of exactly this client id, the one for every client id, or none. */
  readonly kind: 'exact' | 'wildcard' | 'anonymous'
}

/**
 * Remembers, for each persistent session the broker keeps, who owns it. Put your own in place of the built-in map to
 * keep owners across restarts, or to share them between the nodes of a cluster.
 *
 * A call that rejects refuses the login that needs it, with `store_unavailable`.
 */
export interface SessionOwners {
  get(clientId: string): SessionOwner | undefined | Promise<SessionOwner | undefined>
  set(clientId: string, owner: SessionOwner): unknown
  delete(clientId: string): unknown
}

/** Owners in memory: of more than `max`, the one that logged in longest ago is forgotten. */
export function createSessionOwners(max: number): SessionOwners {
  const owners = new LRUCache<string, SessionOwner>({ max })
  return owners
}

/** The owner that a login makes. */
export function ownerOf({ principal: { mountpoint, username }, recordKey }: Session): SessionOwner {
  const kind = recordKey === undefined ? 'anonymous' : recordKey.clientId === '*' ? 'wildcard' : 'exact'
  return { mountpoint, username, kind }
}

const RANK = { anonymous: 0, wildcard: 1, exact: 2 } as const

/**
 * Decides what a newcomer may do with a client id that has an owner.
 *
 * The owner itself goes on (`keep`). A login by an exact record displaces one by `*`, and either displaces an anonymous
 * client (`evict`), never the reverse. Where the same account comes back by its `*` record, its exact one is gone, or it
 * would have decided: what belonged to it ends (`evict`). Everybody else is refused.
 */
export function settleOwner(owner: SessionOwner, newcomer: SessionOwner): 'keep' | 'evict' | 'refuse' {
  if (RANK[newcomer.kind] > RANK[owner.kind]) return 'evict'
  if (newcomer.mountpoint !== owner.mountpoint || newcomer.username !== owner.username) return 'refuse'
  if (newcomer.kind === owner.kind) return 'keep'
  return newcomer.kind === 'wildcard' ? 'evict' : 'refuse'
}
