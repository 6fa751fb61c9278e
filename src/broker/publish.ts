import { isOver, type RefusalReason } from './codes.js'
import { publishFault } from './faults.js'
import { canApply, factsOf, modifiersOf, rewrite } from './message.js'
import type { Settings } from './options.js'
import type { AckPacket, PublishPacket } from './packets.js'
import { disconnectPacket, refusal } from './refusal.js'
import type { BrokerSession } from './session.js'
import type { PublishDropped, PublishRefused, PublishVerdict } from './verdicts.js'

/** Judges a PUBLISH. */
export function judgePublish(settings: Settings, session: BrokerSession, received: PublishPacket): PublishVerdict {
  const fault = publishFault(received)
  if (fault !== undefined) return disconnect(settings, session, fault)
  const resolved = session.protocolVersion === 5 ? session.topicAliases.resolve(received) : received
  if ('fault' in resolved) return disconnect(settings, session, resolved.fault)
  const packet = withTopic(received, resolved.topic)
  const { topic } = packet
  const { rights } = session
  const decision = rights.authorizePublish(topic, factsOf(packet))
  if (!decision.allow) return refuse(settings, session, received, decision.reason)
  const modifiers = modifiersOf(decision)
  const send = acknowledge(session, received)
  if (modifiers === undefined) return { action: 'deliver', packet, send, close: false }
  if (!canApply(modifiers, settings)) {
    return refuse(settings, session, received, rights.refuse('publish', topic, 'modifiers_unsupported').reason)
  }
  const { throttle } = modifiers
  return {
    action: 'deliver',
    packet: rewrite(packet, modifiers),
    send,
    close: false,
    ...(throttle !== undefined && { throttleMs: throttle }),
  }
}

/** An alias means something on one connection only, so it does not travel with the message. */
function withTopic(packet: PublishPacket, topic: string): PublishPacket {
  if (packet.properties?.topicAlias === undefined) return packet
  const { topicAlias, ...properties } = packet.properties
  return { ...packet, topic, properties }
}

/** The positive acknowledgement that the QoS of a PUBLISH asks for. */
function acknowledge({ protocolVersion }: BrokerSession, { qos, messageId }: PublishPacket): AckPacket | undefined {
  if (qos === 0 || messageId === undefined) return undefined
  return { cmd: qos === 1 ? 'puback' : 'pubrec', messageId, ...(protocolVersion === 5 && { reasonCode: 0 }) }
}

function refuse(
  settings: Settings,
  session: BrokerSession,
  packet: PublishPacket,
  reason: RefusalReason,
): PublishDropped | PublishRefused {
  if (isOver(reason)) return disconnect(settings, session, reason)
  const ack = acknowledge(session, packet)
  if (session.protocolVersion !== 5) {
    // A topic name that is none is a violation of the protocol, which closes the connection [MQTT-4.8.0-1].
    if (reason === 'topic_invalid' || closes(settings, session)) return disconnect(settings, session, reason)
    return { action: 'drop', send: ack, close: false, reason }
  }
  if (ack !== undefined) {
    const send = { ...ack, ...refusal(settings, session, reason, ack.cmd) }
    return { action: 'drop', send, close: false, reason }
  }
  if (settings.onDeniedQos0 === 'disconnect') return disconnect(settings, session, reason)
  return { action: 'drop', send: undefined, close: false, reason }
}

/** MQTT 3.1 wants every PUBLISH acknowledged, even one that is refused; 3.1.1 leaves the choice [MQTT-3.3.5-2]. */
function closes({ onDeniedPublish }: Settings, { protocolVersion }: BrokerSession): boolean {
  return (onDeniedPublish ?? (protocolVersion === 3 ? 'drop' : 'close')) === 'close'
}

function disconnect(settings: Settings, session: BrokerSession, reason: RefusalReason): PublishRefused {
  return { action: 'disconnect', send: disconnectPacket(settings, session, reason), close: true, reason }
}
