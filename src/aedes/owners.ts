import type { Session } from '../authorizer/types.js'
import { quote, WardenError } from '../errors.js'

/** Whose a client id is: the account that logged in with it, and by what kind of record. */
export interface SessionOwner {
  readonly mountpoint: string
  /** `''` for an anonymous client. */
  readonly username: string
  /** What decided the login: the record of exactly this client id, the one for every client id, or none. */
  readonly kind: 'exact' | 'wildcard' | 'anonymous'
}

/** What the nodes of a cluster know of one client id. Nodes are named by their leases. */
export interface Ownership {
  readonly owner: SessionOwner
  /** Whether something may be stored under the client id. */
  readonly isStored: boolean
  /** Whether that is of an owner before this one: nobody gets in before it is wiped. */
  readonly isForeign: boolean
  /** Node that works on what is stored; others wait for it. */
  readonly keeper?: string | undefined
  /** Nodes with a client that holds the id, and the address it came from; more than one only during a takeover. */
  readonly holders: Readonly<Record<string, string>>
}

/** Who holds a client id here: an ownership is made of it when one is asked for, and none is kept. */
export interface Holding {
  readonly ownership: Ownership
}

/** The last owner made: the clients of one account, which come in their thousands, share it. */
let latest: SessionOwner = { mountpoint: '', username: '', kind: 'anonymous' }

/** The owner that a login makes. */
export function ownerOf({ principal: { mountpoint, username }, recordKey }: Session): SessionOwner {
  const kind = recordKey === undefined ? 'anonymous' : recordKey.clientId === '*' ? 'wildcard' : 'exact'
  if (latest.kind !== kind || latest.username !== username || latest.mountpoint !== mountpoint) {
    latest = { mountpoint, username, kind }
  }
  return latest
}

const RANK = { anonymous: 0, wildcard: 1, exact: 2 } as const

/**
 * Decides what a newcomer may do with a client id that has an owner.
 *
 * The owner itself goes on (`keep`). A login by an exact record displaces one by `*`, and either displaces an anonymous
 * client (`evict`), never the reverse. Where the same account comes back by its `*` record, its exact one is gone, or
 * it would have decided: what belonged to it ends (`evict`). Everybody else is refused.
 */
export function settleOwner(owner: SessionOwner, newcomer: SessionOwner): 'keep' | 'evict' | 'refuse' {
  if (RANK[newcomer.kind] > RANK[owner.kind]) return 'evict'
  if (newcomer.mountpoint !== owner.mountpoint || newcomer.username !== owner.username) return 'refuse'
  if (newcomer.kind === owner.kind) return 'keep'
  return newcomer.kind === 'wildcard' ? 'evict' : 'refuse'
}

export function encodeOwnership({ owner, isStored, isForeign, keeper, holders }: Ownership): string {
  const { mountpoint, username, kind } = owner
  return JSON.stringify({ owner: { mountpoint, username, kind }, isStored, isForeign, keeper, holders })
}

/** @throws WardenError for what we would not have written: whoever did, it tells nothing. */
export function decodeOwnership(text: string, clientId: string): Ownership {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    found = undefined
  }
  if (!isOwnership(found)) throw new WardenError(`who owns client id ${quote(clientId)} cannot be read`)
  return found
}

function isOwnership(value: unknown): value is Ownership {
  if (!isObject(value) || !isObject(value.owner) || !isObject(value.holders)) return false
  const { owner, isStored, isForeign, keeper, holders } = value
  const areTexts = [owner.mountpoint, owner.username, keeper ?? ''].every(text => typeof text === 'string')
  const areFlags = typeof isStored === 'boolean' && typeof isForeign === 'boolean'
  const areAddresses = Object.values(holders).every(address => typeof address === 'string')
  return areTexts && areFlags && areAddresses && typeof owner.kind === 'string' && Object.hasOwn(RANK, owner.kind)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
