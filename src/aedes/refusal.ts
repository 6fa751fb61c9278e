import { reasons } from '../acl/reasons.js'
import type { DenyReason } from '../acl/types.js'

/** What aedes gets for a refusal: tells the code of the CONNACK, and nothing that is not in the table of reasons. */
export interface RefusalError extends Error {
  readonly reason: DenyReason
  /** Return code of an MQTT 3.1.1 CONNACK; ignored outside of `authenticate`. */
  readonly returnCode: number
}

export function refusal(reason: DenyReason): RefusalError {
  const { connack3, text } = reasons[reason]
  return Object.assign(new Error(`refused: ${text}`), { reason, returnCode: connack3 })
}

/** Refusals that pass by themselves: what they concern is kept. */
const TRANSIENT: ReadonlySet<DenyReason> = new Set([
  'store_unavailable',
  'record_invalid',
  'busy',
  'deadline',
  'throttled',
  'expired',
  'revoked',
  'closed',
])

/** Tells whether a refusal follows from the rules, not from the state of the session or the store. */
export function isLasting(reason: DenyReason): boolean {
  return !TRANSIENT.has(reason)
}
