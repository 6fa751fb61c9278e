import { parseSubscription, topicFilterProblem } from '../acl/topic.js'
import type { Denied, DenyReason, SubscribeRule, SubscribeTarget } from '../acl/types.js'
import { isOver, type RefusalReason, reasonCode } from './codes.js'
import { subscribeFault } from './faults.js'
import type { Settings } from './options.js'
import type { SubackPacket, SubscribePacket, SubscriptionRequest } from './packets.js'
import { disconnectPacket, refusalProperties } from './refusal.js'
import type { BrokerSession } from './session.js'
import type { DeniedFilter, Grant, GrantOptions, SubscribeVerdict } from './verdicts.js'

const SHARE_PREFIX = '$share/'
const REFUSED_3 = 0x80
const RETAIN_HANDLING = ['send_retain', 'send_if_new_sub', 'dont_send'] as const

/** Judges a SUBSCRIBE, each filter alone; too many of them not at all, since nothing else happens meanwhile. */
export function judgeSubscribe(settings: Settings, session: BrokerSession, packet: SubscribePacket): SubscribeVerdict {
  const fault = subscribeFault(packet)
  if (fault !== undefined) return disconnect(settings, session, fault)
  // Of a session that is over the first filter ends the connection.
  if (packet.subscriptions.length > settings.maxFilters && !session.isOver) return refuseAll(settings, session, packet)
  const granted: Grant[] = []
  const denied: DeniedFilter[] = []
  const codes: number[] = []
  for (const request of packet.subscriptions) {
    const outcome = judgeFilter(settings, session, request)
    if ('reason' in outcome) {
      if (isOver(outcome.reason)) return disconnect(settings, session, outcome.reason)
      denied.push({ filter: request.topic, reason: outcome.reason })
      codes.push(subackCode(session, outcome.reason))
    } else {
      granted.push(outcome)
      codes.push(outcome.qos)
    }
  }
  const send = subackPacket(settings, session, packet, codes, denied[0]?.reason)
  return { send, close: false, granted, denied }
}

/** The connection stays: a client that is cut off comes back with the same packet. */
function refuseAll(settings: Settings, session: BrokerSession, packet: SubscribePacket): SubscribeVerdict {
  const reason = 'quota_exceeded'
  const codes = packet.subscriptions.map(() => subackCode(session, reason))
  const send = subackPacket(settings, session, packet, codes, reason)
  return { send, close: false, granted: [], denied: [], reason }
}

function subackCode({ protocolVersion }: BrokerSession, reason: RefusalReason): number {
  return protocolVersion === 5 ? reasonCode(reason, 'suback') : REFUSED_3
}

/** @param reason The first refusal, if there is one. */
function subackPacket(
  settings: Settings,
  session: BrokerSession,
  { messageId }: SubscribePacket,
  granted: number[],
  reason: RefusalReason | undefined,
): SubackPacket {
  const properties = reason !== undefined && refusalProperties(settings, session, reason, granted.length)
  return { cmd: 'suback', messageId: messageId as number, granted, ...properties }
}

/** The refusals that follow from the rules, not from the state of the session or the store. */
const LASTING: ReadonlySet<DenyReason> = new Set([
  'no_matching_rule',
  'filter_invalid',
  'too_deep',
  'shared_subscription_unsupported',
  'modifiers_unsupported',
])

/** Finds the grants that a client would no longer get: refused, of another filter, or of a lower QoS. */
export function findLost(settings: Settings, session: BrokerSession, granted: Iterable<Grant>): Grant[] {
  return [...granted].filter(grant => {
    const request = { topic: grant.requested, qos: grant.requestedQos }
    const outcome = judgeFilter(settings, session, request)
    if ('reason' in outcome) return LASTING.has(outcome.reason)
    return outcome.filter !== grant.filter || outcome.shareName !== grant.shareName || outcome.qos < grant.qos
  })
}

function judgeFilter(settings: Settings, session: BrokerSession, request: SubscriptionRequest): Grant | Denied {
  const { rights } = session
  const { topic, qos } = request
  const refuse = (reason: DenyReason): Denied => rights.refuse('subscribe', topic, reason)
  if (topicFilterProblem(topic) !== undefined) return refuse('filter_invalid')
  if (!canShare(settings, session, topic)) return refuse('shared_subscription_unsupported')
  const decision = rights.authorizeSubscribe(topic, { qos })
  if (!decision.allow) return decision
  const targets = (decision.rule as SubscribeRule).modifiers ?? [{ filter: topic, qos }]
  const [target] = targets
  // One filter was asked for, and one code answers it.
  if (target === undefined || targets.length > 1) return refuse('modifiers_unsupported')
  if (target.qos === 128) return refuse('no_matching_rule')
  if (topicFilterProblem(target.filter) !== undefined || !canShare(settings, session, target.filter)) {
    return refuse('modifiers_unsupported')
  }
  return {
    requested: topic,
    requestedQos: qos,
    ...parseSubscription(target.filter),
    qos: target.qos,
    options: optionsOf(request, target),
  }
}

/**
 * To MQTT 3.1 and 3.1.1 `$share` is a level like any other; a client of theirs would take the subscription for that.
 */
function canShare({ sharedSubscriptions }: Settings, { protocolVersion }: BrokerSession, filter: string): boolean {
  return !filter.startsWith(SHARE_PREFIX) || (sharedSubscriptions && protocolVersion === 5)
}

/** What the rule says, and what the client asked for where the rule says nothing. */
function optionsOf({ nl, rap, rh }: SubscriptionRequest, target: Partial<SubscribeTarget>): GrantOptions {
  return {
    noLocal: target.noLocal ?? nl === true,
    retainAsPublished: target.retainAsPublished ?? rap === true,
    retainHandling: target.retainHandling ?? RETAIN_HANDLING[(rh ?? 0) as 0 | 1 | 2],
  }
}

function disconnect(settings: Settings, session: BrokerSession, reason: RefusalReason): SubscribeVerdict {
  const send = disconnectPacket(settings, session, reason)
  return { send, close: true, granted: [], denied: [], reason }
}
