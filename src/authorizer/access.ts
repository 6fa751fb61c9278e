import type { CompiledAcl } from '../acl/compile.js'
import type { Principal } from '../acl/types.js'
import type { Account } from './accounts.js'
import type { AccessGranted } from './types.js'

/** What the record of an account allows, as of `now` on the monotonic clock. */
export function recordAccess(principal: Principal, account: Account, now: number): AccessGranted {
  const { key, passhash, compiled, endsAt } = account
  return { allow: true, access: { principal, recordKey: key, passhash, compiled, leftMs: endsAt - now } }
}

/** What clients without a user name may do. */
export function anonymousAccess(principal: Principal, compiled: CompiledAcl): AccessGranted {
  const leftMs = Number.POSITIVE_INFINITY
  return { allow: true, access: { principal, recordKey: undefined, passhash: undefined, compiled, leftMs } }
}

/** The detail of an event: what asked, then what is wrong. */
export function joinDetail(via: string | undefined, detail: string | undefined): string | undefined {
  return via === undefined || detail === undefined ? (via ?? detail) : `${via}: ${detail}`
}
