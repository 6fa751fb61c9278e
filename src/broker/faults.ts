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
const MAX_FOUR_BYTES = 0xffff_ffff

/** Tells whether a value can be written as the property that it is of. */
type Check = (value: unknown) => boolean

/** The properties that a message goes on with (MQTT 5, section 3.3.2.3). */
const MESSAGE: readonly (readonly [name: keyof MessageProperties, check: Check])[] = [
  ['payloadFormatIndicator', value => typeof value === 'boolean'],
  ['messageExpiryInterval', isNumber],
  ['responseTopic', isText],
  ['correlationData', value => value instanceof Uint8Array],
  ['userProperties', areTexts],
  ['contentType', isText],
]

// `mqtt-packet` takes any property in any packet; a subscriber that gets one out of place hangs up (section 2.2.2.2).
const OF_PUBLISH: ReadonlyMap<string, Check> = new Map<string, Check>([...MESSAGE, ['topicAlias', isNumber]])
const OF_WILL: ReadonlyMap<string, Check> = new Map<string, Check>([...MESSAGE, ['willDelayInterval', isNumber]])

/** Tells what keeps a PUBLISH from being answered or sent on, whoever sent it. */
export function publishFault(packet: PublishPacket): ProtocolReason | undefined {
  const { qos, messageId, properties } = packet
  if (!isQos(qos) || (qos > 0 && !isMessageId(messageId))) return 'malformed_packet'
  // Only the broker says which subscription a message came by [MQTT-3.3.4-6].
  if (properties?.subscriptionIdentifier !== undefined) return 'protocol_error'
  return messageFault(packet, OF_PUBLISH)
}

/** Tells what keeps a will from being published. */
export function willFault(will: Will): ProtocolReason | undefined {
  return messageFault(will, OF_WILL)
}

/** Not every packet comes from a parser. */
function messageFault(message: Will, known: ReadonlyMap<string, Check>): ProtocolReason | undefined {
  if (typeof message !== 'object' || message === null) return 'malformed_packet'
  const { topic, payload, properties } = message
  if (typeof topic !== 'string') return 'malformed_packet'
  if (typeof payload !== 'string' && !((payload as unknown) instanceof Uint8Array)) return 'malformed_packet'
  return propertiesFault(properties, known)
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
function propertiesFault(
  properties: MessageProperties | undefined,
  known: ReadonlyMap<string, Check>,
): ProtocolReason | undefined {
  if (properties === undefined) return undefined
  if (typeof properties !== 'object' || properties === null) return 'malformed_packet'
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue
    if (Array.isArray(value) && name !== 'userProperties') return 'protocol_error'
    if (known.get(name)?.(value) !== true) return 'malformed_packet'
  }
  const { responseTopic } = properties
  // It must be a topic name [MQTT-3.3.2-14].
  return responseTopic !== undefined && topicNameProblem(responseTopic) !== undefined ? 'protocol_error' : undefined
}

function areTexts(properties: unknown): boolean {
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) return false
  return Object.entries(properties as UserProperties)
    .flat(2)
    .every(isText)
}

/** Without U+0000 [MQTT-1.5.4-2]. */
function isText(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\0')
}

function isNumber(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_FOUR_BYTES
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
