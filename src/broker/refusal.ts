import { type RefusalReason, type RefusingPacket, reasonCode, refusalText } from './codes.js'
import type { Settings } from './options.js'
import type { AnswerProperties, DisconnectPacket } from './packets.js'
import type { ClientTraits } from './session.js'

/** Bytes of an answer besides its reason string and its codes, and then some. */
const FRAME_BYTES = 20

/** Gives the properties of an answer that refuses, as a member to spread: none, or the reason in words. */
export function refusalProperties(
  { reasonStrings }: Settings,
  { wantsReasons, maximumPacketSize }: ClientTraits,
  reason: RefusalReason,
  codes = 1,
): { properties?: AnswerProperties } {
  if (!reasonStrings || !wantsReasons) return {}
  const reasonString = refusalText(reason)
  const fits = FRAME_BYTES + codes + Buffer.byteLength(reasonString) <= maximumPacketSize
  return fits ? { properties: { reasonString } } : {}
}

/** Gives the DISCONNECT that tells the reason; `undefined` for the versions that have none. */
export function disconnectPacket(
  settings: Settings,
  client: ClientTraits,
  reason: RefusalReason,
): DisconnectPacket | undefined {
  if (client.protocolVersion !== 5) return undefined
  return { cmd: 'disconnect', ...refusal(settings, client, reason, 'disconnect') }
}

/** Gives code and properties of a refusing MQTT 5 packet. */
export function refusal(
  settings: Settings,
  client: ClientTraits,
  reason: RefusalReason,
  packet: RefusingPacket,
): { reasonCode: number; properties?: AnswerProperties } {
  return { reasonCode: reasonCode(reason, packet), ...refusalProperties(settings, client, reason) }
}
