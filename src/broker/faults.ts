import { topicNameProblem } from '../acl/topic.js'
import type { Qos } from '../acl/types.js'
import type { ProtocolReason } from './codes.js'
import type {
  MessageProperties,
  PublishPacket,
  SubscribePacket,
  SubscriptionRequest,
  UserProperties,
  Will,
} from './packets.js'

const MAX_MESSAGE_ID = 65_535

/** Tells what keeps a PUBLISH from being answered or sent on, whoever sent it. */
export function publishFault(packet: PublishPacket): ProtocolReason | undefined {
  const { qos, messageId, properties } = packet
  if (!isQos(qos) || (qos > 0 && !isMessageId(messageId))) return 'malformed_packet'
  // Only the broker says which subscription a message came by [MQTT-3.3.4-6].
  if (properties?.subscriptionIdentifier !== undefined) return 'protocol_error'
  return messageFault(packet)
}

/** Tells what keeps a message, or a will, from being sent on. Not every packet comes from a parser. */
export function messageFault(message: Will): ProtocolReason | undefined {
  if (typeof message !== 'object' || message === null) return 'malformed_packet'
  const { topic, payload, properties } = message
  if (typeof topic !== 'string') return 'malformed_packet'
  if (typeof payload !== 'string' && !((payload as unknown) instanceof Uint8Array)) return 'malformed_packet'
  return propertiesFault(properties)
}

/** Tells what keeps a SUBSCRIBE from being answered. */
export function subscribeFault({ messageId, subscriptions }: SubscribePacket): ProtocolReason | undefined {
  if (!isMessageId(messageId) || !Array.isArray(subscriptions)) return 'malformed_packet'
  if (subscriptions.length === 0) return 'protocol_error'
  if (!subscriptions.every(isRequest)) return 'malformed_packet'
  return subscriptions.some(isForbidden) ? 'protocol_error' : undefined
}

/** Sections 3.8.3.1 and [MQTT-3.8.3-4] of MQTT 5. */
function isForbidden({ topic, nl, rh }: SubscriptionRequest): boolean {
  return (nl === true && topic.startsWith('$share/')) || (rh !== undefined && rh !== 0 && rh !== 1 && rh !== 2)
}

/**
 * Tells what is wrong with the properties of a message. `mqtt-packet` makes an array of a property given twice, and
 * `null` or -1 of one cut short; sent on, either would break the connections of the subscribers.
 */
function propertiesFault(properties: MessageProperties | undefined): ProtocolReason | undefined {
  if (properties === undefined) return undefined
  if (typeof properties !== 'object' || properties === null) return 'malformed_packet'
  const { userProperties, ...single } = properties
  const values = Object.values(single)
  if (values.some(Array.isArray)) return 'protocol_error'
  if (!values.every(isSound) || !areSound(userProperties)) return 'malformed_packet'
  const { responseTopic } = properties
  // It must be a topic name [MQTT-3.3.2-14].
  return responseTopic !== undefined && topicNameProblem(responseTopic) !== undefined ? 'protocol_error' : undefined
}

function areSound(properties: UserProperties | undefined): boolean {
  if (properties === undefined) return true
  if (typeof properties !== 'object' || properties === null) return false
  return Object.entries(properties).flat(2).every(isSound)
}

/** Text without U+0000 [MQTT-1.5.4-2], bytes, a flag, or a number that can be written. */
function isSound(value: unknown): boolean {
  if (typeof value === 'string') return !value.includes('\0')
  if (typeof value === 'number') return value >= 0
  return typeof value === 'boolean' || value === undefined || value instanceof Uint8Array
}

function isRequest(request: Partial<SubscriptionRequest> | null | undefined): boolean {
  return typeof request?.topic === 'string' && isQos(request.qos)
}

function isQos(qos: unknown): qos is Qos {
  return qos === 0 || qos === 1 || qos === 2
}

/** A packet that is acknowledged has an id of 1 to 65,535 [MQTT-2.2.1-3]; `mqtt-packet` lets 0 and -1 through. */
function isMessageId(messageId: number | undefined): messageId is number {
  return Number.isInteger(messageId) && messageId! > 0 && messageId! <= MAX_MESSAGE_ID
}
