import type { RecordKey } from '../record/types.js'
import { isSamePassword } from '../store/rehash.js'
import type { Account } from './accounts.js'
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
export function rank(key: RecordKey | undefined): number {
  return key === undefined ? 0 : key.clientId === '*' ? 1 : 2
}

export function isSameKey(a: RecordKey | undefined, b: RecordKey | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.mountpoint === b.mountpoint && a.clientId === b.clientId && a.username === b.username
}
