import type { Authorizer, ConnectRequest, Session } from '../authorizer/types.js'
import { type ProtocolReason, type RefusalReason, reasonCode, returnCode } from './codes.js'
import { willFault } from './faults.js'
import { canApply, factsOf, modifiersOf } from './message.js'
import type { Settings } from './options.js'
import type { ConnackPacket, ConnectPacket, Will } from './packets.js'
import { refusal } from './refusal.js'
import { BrokerSession, type ClientTraits, traitsOf } from './session.js'
import type { ConnectRefused, ConnectVerdict, Peer } from './verdicts.js'

/** Judges a CONNECT and opens a session. */
export async function judgeConnect(
  authorizer: Authorizer,
  settings: Settings,
  packet: ConnectPacket,
  peer: Peer,
): Promise<ConnectVerdict> {
  const traits = traitsOf(packet)
  if (traits === undefined) return refuseVersion(packet)
  const fault = connectFault(packet)
  if (fault !== undefined) return refuse(settings, traits, fault)
  const clientId = packet.clientId === '' ? assignedClientId(settings, packet) : packet.clientId
  const login = await authorizer.authenticate(requestOf(packet, clientId, peer))
  if (!login.allow) return refuse(settings, traits, login.reason)
  const reason = willProblem(settings, login.session, packet.will)
  if (reason !== undefined) {
    login.session.close()
    return refuse(settings, traits, reason)
  }
  const session = new BrokerSession(login.session, traits, packet.will, settings.topicAliasMaximum)
  return { session, send: connack(settings, session, packet), close: false }
}

/** What no record can decide about. */
function connectFault({ protocolVersion, properties, will }: ConnectPacket): ProtocolReason | undefined {
  if (protocolVersion === 5 && properties?.authenticationMethod !== undefined) return 'bad_authentication_method'
  return will === undefined ? undefined : willFault(will)
}

/**
 * Names a client that sent no client id, where its version allows it: MQTT 3.1 wants one, and so does 3.1.1 without
 * Clean Session [MQTT-3.1.3-8]. Stays empty otherwise, which the authorizer refuses.
 */
function assignedClientId({ assignClientId }: Settings, packet: ConnectPacket): string {
  const { protocolVersion, clean } = packet
  if (protocolVersion === 3 || (protocolVersion === 4 && clean !== true)) return ''
  return assignClientId?.(packet) ?? ''
}

function requestOf({ username, password, will }: ConnectPacket, clientId: string, peer: Peer): ConnectRequest {
  return {
    ...peer,
    clientId,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(will !== undefined && { will: { topic: will.topic, ...factsOf(will) } }),
  }
}

/** What keeps a will that the rules allow from being published as they say. */
function willProblem(settings: Settings, session: Session, will: Will | undefined): RefusalReason | undefined {
  if (will === undefined) return undefined
  const decision = session.authorizePublish(will.topic, factsOf(will))
  if (!decision.allow) return decision.reason
  const modifiers = modifiersOf(decision)
  if (modifiers === undefined || canApply(modifiers, settings)) return undefined
  return session.refuse('connect', will.topic, 'modifiers_unsupported').reason
}

function connack(settings: Settings, session: BrokerSession, packet: ConnectPacket): ConnackPacket {
  if (session.protocolVersion !== 5) return { cmd: 'connack', sessionPresent: false, returnCode: 0 }
  const { topicAliasMaximum, sharedSubscriptions } = settings
  return {
    cmd: 'connack',
    sessionPresent: false,
    reasonCode: 0,
    properties: {
      ...(packet.clientId === '' && { assignedClientIdentifier: session.principal.clientId }),
      ...(topicAliasMaximum > 0 && { topicAliasMaximum }),
      ...(!sharedSubscriptions && { sharedSubscriptionAvailable: false }),
    },
  }
}

function refuse(settings: Settings, traits: ClientTraits, reason: RefusalReason): ConnectRefused {
  const code =
    traits.protocolVersion === 5 ? refusal(settings, traits, reason, 'connack') : { returnCode: returnCode(reason) }
  return { session: undefined, send: { cmd: 'connack', sessionPresent: false, ...code }, close: true, reason }
}

/**
 * In the form of the version that the packet names (MQTT 3.1 may say it is 5), since an answer in another cannot be
 * written as that; of an unknown one in the form of MQTT 3.1.1, which is all its client may understand (MQTT 5, 3.1.2.2).
 */
function refuseVersion({ protocolVersion }: ConnectPacket): ConnectRefused {
  const reason = 'unsupported_protocol_version'
  const code =
    protocolVersion === 5 ? { reasonCode: reasonCode(reason, 'connack') } : { returnCode: returnCode(reason) }
  return { session: undefined, send: { cmd: 'connack', sessionPresent: false, ...code }, close: true, reason }
}
