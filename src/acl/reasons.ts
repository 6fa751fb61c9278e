import type { DenyReason } from './types.js'

/** What one reason becomes on the wire and in words. */
export interface ReasonRow {
  /** MQTT 5 reason code of CONNACK (section 3.2.2.2). */
  readonly connack5: number
  /** MQTT 3.1 and 3.1.1 return code of CONNACK (3.1.1 section 3.2.2.3). */
  readonly connack3: 2 | 3 | 4 | 5
  /**
   * MQTT 5 reason code of DISCONNECT, and of PUBACK, PUBREC or SUBACK where the reason answers a PUBLISH or SUBSCRIBE.
   * SUBACK of MQTT 3.1.1 knows only 0x80.
   */
  readonly code5: number
  /** For people; goes behind "refused: ". */
  readonly text: string
}

const NOT_AUTHORIZED = 0x87
const SERVER_UNAVAILABLE = 0x88
const SERVER_BUSY = 0x89
const IMPLEMENTATION_SPECIFIC = 0x83

function row(connack5: number, connack3: ReasonRow['connack3'], code5: number, text: string): ReasonRow {
  return Object.freeze({ connack5, connack3, code5, text })
}

/**
 * Every {@link DenyReason} with its MQTT codes and its wording: the one table that adapters, the command line and the
 * documentation read.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 */
export const reasons: Readonly<Record<DenyReason, ReasonRow>> = Object.freeze({
  bad_credentials: row(0x86, 4, NOT_AUTHORIZED, 'user name, client id or password is wrong'),
  anonymous_refused: row(0x86, 4, NOT_AUTHORIZED, 'a client without a user name is not accepted'),
  client_id_refused: row(0x85, 2, NOT_AUTHORIZED, 'the client id is not acceptable'),
  client_id_taken: row(0x85, 2, 0x8e, 'the client id belongs to another account'),
  record_invalid: row(NOT_AUTHORIZED, 5, NOT_AUTHORIZED, 'the record of the account cannot be used'),
  store_unavailable: row(SERVER_UNAVAILABLE, 3, IMPLEMENTATION_SPECIFIC, 'the store of the records cannot be asked'),
  busy: row(SERVER_BUSY, 3, IMPLEMENTATION_SPECIFIC, 'too many logins are waiting'),
  deadline: row(SERVER_UNAVAILABLE, 3, IMPLEMENTATION_SPECIFIC, 'the decision took too long'),
  throttled: row(0x9f, 3, 0x96, 'too many failed logins'),
  expired: row(NOT_AUTHORIZED, 5, NOT_AUTHORIZED, 'the record of the account has expired'),
  revoked: row(NOT_AUTHORIZED, 5, NOT_AUTHORIZED, 'the session was revoked'),
  closed: row(SERVER_UNAVAILABLE, 3, IMPLEMENTATION_SPECIFIC, 'the session or the authorizer is closed'),
  topic_invalid: row(0x90, 5, 0x90, 'the topic name is not valid'),
  filter_invalid: row(NOT_AUTHORIZED, 5, 0x8f, 'the topic filter is not valid'),
  too_deep: row(0x90, 5, NOT_AUTHORIZED, 'the topic has too many levels'),
  no_matching_rule: row(NOT_AUTHORIZED, 5, NOT_AUTHORIZED, 'no rule allows it'),
  shared_subscription_unsupported: row(NOT_AUTHORIZED, 5, 0x9e, 'the broker has no shared subscriptions'),
  modifiers_unsupported: row(
    IMPLEMENTATION_SPECIFIC,
    5,
    IMPLEMENTATION_SPECIFIC,
    'the broker cannot apply the modifiers of the rule',
  ),
})
