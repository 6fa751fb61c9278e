import { reasons } from '../acl/reasons.js'
import type { DenyReason } from '../acl/types.js'

/**
 * A reason that no record decides, named as MQTT 5 names its reason codes (section 2.4).
 *
 * - `malformed_packet`: a member that the parser let through and nobody could send on.
 * - `protocol_error`: e.g. a SUBSCRIBE without a filter, or an empty topic name without a known alias.
 * - `unsupported_protocol_version`: not MQTT 3.1, 3.1.1 or 5.
 * - `server_shutting_down`, `session_taken_over`: for the broker to say, with `disconnect`.
 * - `bad_authentication_method`: enhanced authentication, for which records have nothing.
 * - `topic_alias_invalid`: 0, or above the maximum the CONNACK told.
 * - `quota_exceeded`: a SUBSCRIBE with more topic filters than the `maxFilters` option allows.
 */
export type ProtocolReason =
  | 'malformed_packet'
  | 'protocol_error'
  | 'unsupported_protocol_version'
  | 'server_shutting_down'
  | 'bad_authentication_method'
  | 'session_taken_over'
  | 'topic_alias_invalid'
  | 'quota_exceeded'

/** Why an answer refuses. */
export type RefusalReason = DenyReason | ProtocolReason

/** Packets of MQTT 5 that carry a refusal. */
export type RefusingPacket = 'connack' | 'puback' | 'pubrec' | 'suback' | 'disconnect'

const UNSPECIFIED_ERROR = 0x80

const PROTOCOL: Readonly<Record<ProtocolReason, { readonly code5: number; readonly text: string }>> = {
  malformed_packet: { code5: 0x81, text: 'the packet is malformed' },
  protocol_error: { code5: 0x82, text: 'the packet breaks the protocol' },
  unsupported_protocol_version: { code5: 0x84, text: 'the protocol version is not supported' },
  server_shutting_down: { code5: 0x8b, text: 'the broker is shutting down' },
  bad_authentication_method: { code5: 0x8c, text: 'enhanced authentication is not supported' },
  session_taken_over: { code5: 0x8e, text: 'the client id has connected anew' },
  topic_alias_invalid: { code5: 0x94, text: 'the topic alias is not valid' },
  quota_exceeded: { code5: 0x97, text: 'the packet has too many topic filters' },
}

const ACK_CODES: ReadonlySet<number> = new Set([0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])

/**
 * Refusals a packet may carry: MQTT 5 sections 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.9.3 and 3.14.2.1. Clients hang up on
 * others.
 */
const CODES: Readonly<Record<RefusingPacket, ReadonlySet<number>>> = {
  connack: new Set([...range(0x80, 0x8a), 0x8c, 0x90, 0x95, 0x97, ...range(0x99, 0x9d), 0x9f]),
  puback: ACK_CODES,
  pubrec: ACK_CODES,
  suback: new Set([0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]),
  disconnect: new Set([...range(0x80, 0x83), 0x87, 0x89, 0x8b, ...range(0x8d, 0x90), ...range(0x93, 0xa2)]),
}

/**
 * Gives the MQTT 5 reason code of a refusal: the one of the table of reasons, or 0x80 (unspecified error) where MQTT
 * does not let this packet carry it.
 */
export function reasonCode(reason: RefusalReason, packet: RefusingPacket): number {
  const code = isOfProtocol(reason)
    ? PROTOCOL[reason].code5
    : reasons[reason][packet === 'connack' ? 'connack5' : 'code5']
  return CODES[packet].has(code) ? code : UNSPECIFIED_ERROR
}

/** Gives the return code of an MQTT 3.1 or 3.1.1 CONNACK (3.1.1 section 3.2.2.3). */
export function returnCode(reason: RefusalReason): number {
  return isOfProtocol(reason) ? (reason === 'unsupported_protocol_version' ? 1 : 5) : reasons[reason].connack3
}

/** Says a refusal to a client: what the table of reasons says, and nothing of whom or what was asked for. */
export function refusalText(reason: RefusalReason): string {
  return `refused: ${isOfProtocol(reason) ? PROTOCOL[reason].text : reasons[reason].text}`
}

/** Tells whether a refusal ends the connection, whatever was asked for: the session is no more. */
export function isOver(reason: RefusalReason): boolean {
  return reason === 'revoked' || reason === 'closed'
}

function isOfProtocol(reason: RefusalReason): reason is ProtocolReason {
  return Object.hasOwn(PROTOCOL, reason)
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
