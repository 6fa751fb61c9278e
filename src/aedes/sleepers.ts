import type { RecordKey } from '../record/types.js'
import type { SessionOwner } from './owners.js'

/** Stored sessions whose clients are away, found by the account they belong to. */
export class Sleepers {
  readonly #owners: Map<string, SessionOwner> = new Map()
  readonly #byAccount: Map<string, Set<string>> = new Map()
  readonly #max: number

  /** @param max Beyond it, the one longest asleep is no longer followed. */
  constructor(max: number) {
    this.#max = max
  }

  ownerOf(clientId: string): SessionOwner | undefined {
    return this.#owners.get(clientId)
  }

  add(clientId: string, owner: SessionOwner): void {
    this.delete(clientId)
    this.#owners.set(clientId, owner)
    const account = accountText(owner)
    const clientIds = this.#byAccount.get(account)
    if (clientIds === undefined) this.#byAccount.set(account, new Set([clientId]))
    else clientIds.add(clientId)
    if (this.#owners.size <= this.#max) return
    const [longestAsleep] = this.#owners.keys()
    this.delete(longestAsleep!)
  }

  delete(clientId: string): void {
    const owner = this.#owners.get(clientId)
    if (owner === undefined) return
    this.#owners.delete(clientId)
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
