import { topicNameProblem } from '../acl/topic.js'
import type { Allowed, PublishFacts, PublishModifiers, PublishProperties } from '../acl/types.js'
import type { MessageProperties, PublishPacket, Will } from './packets.js'

const APPLICABLE: ReadonlySet<string> = new Set(['topic', 'payload', 'qos', 'retain', 'properties'])

/** What a published message can carry. `willDelayInterval` belongs to a will that is still to be published. */
const APPLICABLE_PROPERTIES: ReadonlySet<string> = new Set([
  'userProperties',
  'messageExpiryInterval',
  'contentType',
  'payloadFormatIndicator',
  'responseTopic',
  'correlationData',
])

/** What the limits of rules are compared with. */
export function factsOf({ qos = 0, retain = false, payload }: Will): PublishFacts {
  return { qos, retain, payloadSize: Buffer.byteLength(payload) }
}

export function modifiersOf({ rule }: Allowed): PublishModifiers | undefined {
  return (rule as { readonly modifiers?: PublishModifiers }).modifiers
}

/** Tells whether everything that a rule makes of a message can be done. */
export function canApply(modifiers: PublishModifiers, { throttling }: { readonly throttling: boolean }): boolean {
  const { throttle, ...members } = modifiers
  if (throttle !== undefined && !throttling) return false
  if (!hasOnly(members, APPLICABLE) || !hasOnly(modifiers.properties ?? {}, APPLICABLE_PROPERTIES)) return false
  const { topic } = modifiers
  return topic === undefined || topicNameProblem(topic) === undefined
}

function hasOnly(members: object, known: ReadonlySet<string>): boolean {
  return Object.entries(members).every(([name, value]) => value === undefined || known.has(name))
}

/** Gives the message with what a rule says in place of what the client sent. */
export function rewrite(packet: PublishPacket, modifiers: PublishModifiers): PublishPacket {
  const { topic, payload, qos, retain, properties } = modifiers
  return {
    ...packet,
    ...(topic !== undefined && { topic }),
    ...(payload !== undefined && { payload: Buffer.from(payload) }),
    ...(qos !== undefined && { qos }),
    ...(retain !== undefined && { retain }),
    ...(properties !== undefined && { properties: { ...packet.properties, ...toWire(properties) } }),
  }
}

function toWire(properties: PublishProperties): MessageProperties {
  const { userProperties, messageExpiryInterval, contentType, payloadFormatIndicator } = properties
  const { responseTopic, correlationData } = properties
  return {
    ...(userProperties !== undefined && { userProperties: grouped(userProperties) }),
    ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
    ...(contentType !== undefined && { contentType }),
    ...(payloadFormatIndicator !== undefined && { payloadFormatIndicator: payloadFormatIndicator === 'utf8' }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData: Buffer.from(correlationData) }),
  }
}

/** `mqtt-packet` keeps user properties by name; it has no place for the order among different names. */
function grouped(pairs: readonly (readonly [name: string, value: string])[]): Record<string, string[]> {
  const values = new Map<string, string[]>()
  for (const [name, value] of pairs) values.set(name, [...(values.get(name) ?? []), value])
  return Object.fromEntries(values)
}
