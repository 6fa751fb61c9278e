import type { Acl } from '../acl/types.js'
import type { RecordKey } from '../record/types.js'
import type { SessionOwner } from './owners.js'

/** Stored sessions whose clients are away, found by the account they belong to. */
export class Sleepers {
  readonly #owners: Map<string, SessionOwner> = new Map()
  readonly #byAccount: Map<string, Set<string>> = new Map()
  /** Moments of the monotonic clock at which accounts end; those that do. */
  readonly #ends: Map<string, number> = new Map()
  /** Rules that sessions were last tidied by. They live only as long as others need them. */
  readonly #tidiedBy: Map<string, WeakRef<Acl>> = new Map()
  readonly #max: number

  /** @param max Beyond it, the one longest asleep is no longer followed. */
  constructor(max: number) {
    this.#max = max
  }

  /** Those whose clients are away, the one longest asleep first; follows what changes meanwhile. */
  clientIds(): Iterator<string> {
    return this.#owners.keys()
  }

  ownerOf(clientId: string): SessionOwner | undefined {
    return this.#owners.get(clientId)
  }

  /** @param leftMs Milliseconds until the account ends; `Infinity` for never. */
  add(clientId: string, owner: SessionOwner, leftMs: number): void {
    this.delete(clientId)
    this.#owners.set(clientId, owner)
    this.expectEnd(clientId, leftMs)
    const account = accountText(owner)
    const clientIds = this.#byAccount.get(account)
    if (clientIds === undefined) this.#byAccount.set(account, new Set([clientId]))
    else clientIds.add(clientId)
    if (this.#owners.size <= this.#max) return
    const [longestAsleep] = this.#owners.keys()
    this.delete(longestAsleep!)
  }

  /** Takes note of when the account of a sleeping session ends. */
  expectEnd(clientId: string, leftMs: number): void {
    if (!this.#owners.has(clientId)) return
    if (Number.isFinite(leftMs)) this.#ends.set(clientId, performance.now() + leftMs)
    else this.#ends.delete(clientId)
  }

  /** Takes note that nothing is stored which these rules do not cover. */
  tidied(clientId: string, acl: Acl): void {
    if (this.#owners.has(clientId)) this.#tidiedBy.set(clientId, new WeakRef(acl))
  }

  /** Whether these rules are those that a session was last tidied by: who is told twice of a change does it once. */
  isTidy(clientId: string, acl: Acl): boolean {
    return this.#tidiedBy.get(clientId)?.deref() === acl
  }

  /** Client ids of the sessions whose accounts have ended. */
  overdue(): readonly string[] {
    const now = performance.now()
    return [...this.#ends].filter(([, endsAt]) => now >= endsAt).map(([clientId]) => clientId)
  }

  /** Client ids of the sessions whose accounts are to end. */
  ending(): readonly string[] {
    return [...this.#ends.keys()]
  }

  delete(clientId: string): void {
    const owner = this.#owners.get(clientId)
    if (owner === undefined) return
    this.#owners.delete(clientId)
    this.#ends.delete(clientId)
    this.#tidiedBy.delete(clientId)
    const account = accountText(owner)
    const clientIds = this.#byAccount.get(account)
    clientIds?.delete(clientId)
    if (clientIds?.size === 0) this.#byAccount.delete(account)
  }

  /** Client ids of the sessions that a record concerns. */
  concernedBy({ mountpoint, username, clientId }: RecordKey): readonly string[] {
    const clientIds = this.#byAccount.get(accountText({ mountpoint, username }))
    if (clientIds === undefined) return []
    if (clientId === '*') return [...clientIds]
    return clientIds.has(clientId) ? [clientId] : []
  }
}

function accountText({ mountpoint, username }: Pick<SessionOwner, 'mountpoint' | 'username'>): string {
  return JSON.stringify([mountpoint, username])
}
