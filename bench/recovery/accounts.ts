import type { AuthorizerOptions } from 'mqtt-warden'
import { encodeRecordKey } from 'mqtt-warden'

/** Shorter than the default ones in proportion, so that outages of every length pass within a bench. */
export const LIMITS = {
  staleWindowMs: 4_000,
  outageGraceMs: 16_000,
} as const satisfies Partial<AuthorizerOptions>

/** What every record allows. */
export const RIGHT = 'right'
/** With a number behind it, what the records allow that were written while the link was cut. */
export const FRESH = 'fresh'

export function usernameOf(account: number): string {
  return `account-${account}`
}

/** Name of the one record of an account in Redis. */
export function nameOf(account: number): string {
  return encodeRecordKey({ mountpoint: '', clientId: '*', username: usernameOf(account) })
}

/** Text of a record. */
export function textOf(version: number): string {
  const rules = [RIGHT, FRESH + version].map(pattern => ({ pattern }))
  return JSON.stringify({ passhash: `$2a$04$${'a'.repeat(53)}`, publish_acl: rules, subscribe_acl: rules })
}
