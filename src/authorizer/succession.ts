import type { Principal } from '../acl/types.js'
import type { RecordKey } from '../record/types.js'
import { isSamePassword } from '../store/rehash.js'
import type { Account } from './accounts.js'
import type { LiveSession } from './session.js'
import type { SessionIndex } from './session-index.js'
import type { Takeovers } from './takeovers.js'
import type { RevokeCause } from './types.js'

/** The store drops an expired record at its own pace, and may be heard of that a little before its moment. */
const EXPIRY_SLACK_MS = 100

/** Why a session must end, given the record that decides for it now; `undefined` where it need not. */
export function causeToRevoke(
  before: Account | undefined,
  account: Account | undefined,
  now: number,
): RevokeCause | undefined {
  if (before === undefined) return 'deleted'
  if (account === undefined) return now >= before.endsAt - EXPIRY_SLACK_MS ? 'expired' : 'deleted'
  // Another record decides: its password was not proven by this client.
  if (!isSameKey(account.key, before.key)) return account.key.clientId === '*' ? 'deleted' : 'password'
  if (!isSamePassword(before.passhash, account)) return 'password'
  return now >= account.endsAt ? 'expired' : undefined
}

/** Of two records under which a client id is held, the one of higher rank displaces the other. */
function rank(key: RecordKey | undefined): number {
  return key === undefined ? 0 : key.clientId === '*' ? 1 : 2
}

function isSameKey(a: RecordKey | undefined, b: RecordKey | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.mountpoint === b.mountpoint && a.clientId === b.clientId && a.username === b.username
}

/** What a succession is settled with. */
export interface SuccessionParts {
  readonly index: SessionIndex
  readonly takeovers: Takeovers
  readonly policy: 'newest' | 'first'
}

/** Which session of several holds a client id. */
export class Succession {
  readonly #parts: SuccessionParts

  constructor(parts: SuccessionParts) {
    this.#parts = parts
  }

  /**
   * Decides whether a newcomer may hold a client id: the same record takes it over, unless the first is to be kept; an
   * exact record displaces a `*` one, and either an anonymous client, never the reverse; any other newcomer is refused.
   */
  isOpenTo(principal: Principal, key: RecordKey | undefined): boolean {
    return this.#mayDisplace(this.#parts.index.holder(principal), key)
  }

  /**
   * Gives a session its client id. Returns whether it may have it; the session that it displaces, and that must end, if
   * another record opened it.
   */
  confirm(session: LiveSession): boolean | LiveSession {
    const { index, takeovers } = this.#parts
    const { principal, recordKey, isEnded, isProvisional } = session
    if (isEnded || !isProvisional) return !isEnded
    const holder = index.holder(principal)
    if (!this.#mayDisplace(holder, recordKey)) return false
    index.hold(session)
    if (holder === undefined) return true
    const isOwn = isSameKey(recordKey, holder.recordKey)
    takeovers.here(session, holder, isOwn)
    return isOwn || holder
  }

  #mayDisplace(holder: LiveSession | undefined, key: RecordKey | undefined): boolean {
    if (holder === undefined || rank(key) > rank(holder.recordKey)) return true
    return this.#parts.policy === 'newest' && isSameKey(key, holder.recordKey)
  }
}
