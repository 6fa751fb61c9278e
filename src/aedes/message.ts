import { isTooDeep, topicNameProblem } from '../acl/topic.js'
import type { Allowed, DenyReason, PublishFacts, PublishModifiers } from '../acl/types.js'
import { type Broker, type Message, RESERVED_PREFIX } from './broker.js'

/** Begins the names that nobody can subscribe to. */
export const NOWHERE_PREFIX = '$warden/'

/**
 * Where refused messages go that must not be answered with an error. No subscription matches it, live or stored, so
 * that it is neither queued nor counted: aedes takes what overtakes another message on the way to a client for a
 * duplicate.
 */
export const NOWHERE: string = `${NOWHERE_PREFIX}refused`

const DOLLAR = 0x24

const APPLICABLE: ReadonlySet<string> = new Set(['topic', 'payload', 'qos', 'retain'])

/** What the limits of rules are compared with. */
export function factsOf({ qos, retain, payload }: Message): PublishFacts {
  return { qos, retain, payloadSize: typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length }
}

/** What no rule can allow: names of the broker's own, and those that make its matcher throw. */
export function topicProblem(topic: string, { maxTopicLevels }: Broker): DenyReason | undefined {
  if (topic.charCodeAt(0) === DOLLAR && topic.startsWith(RESERVED_PREFIX)) return 'no_matching_rule'
  return isTooDeep(topic, maxTopicLevels) ? 'too_deep' : undefined
}

export function modifiersOf({ rule }: Allowed): PublishModifiers | undefined {
  return (rule as { readonly modifiers?: PublishModifiers }).modifiers
}

/** Tells whether aedes can publish what a rule makes of a message. */
export function canApply(modifiers: PublishModifiers, broker: Broker): boolean {
  for (const [name, value] of Object.entries(modifiers)) {
    if (value !== undefined && !APPLICABLE.has(name)) return false
  }
  const { topic } = modifiers
  return topic === undefined || (topicNameProblem(topic) === undefined && topicProblem(topic, broker) === undefined)
}

/** Puts what a rule says in place of what the client sent. Not the QoS, by which aedes acknowledges. */
export function rewrite(message: Message, { topic, payload, retain }: PublishModifiers): void {
  if (topic !== undefined) message.topic = topic
  if (payload !== undefined) message.payload = Buffer.from(payload)
  if (retain !== undefined) message.retain = retain
}

/** Makes a message one that nobody gets and nothing keeps. */
export function neutralize(message: Message): void {
  rewrite(message, { topic: NOWHERE, payload: '', retain: false })
}
