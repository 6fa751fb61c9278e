import { generate, type Packet, parser } from 'mqtt-packet'
import {
  type Acl,
  type Authorizer,
  createAuthorizer,
  createMemoryStore,
  type Decision,
  type DeniedEvent,
  type DenyReason,
  type Session,
} from 'mqtt-warden'
import {
  type BrokerAdapter,
  type BrokerAdapterOptions,
  type BrokerSession,
  type ConnectPacket,
  createBrokerAdapter,
  type ProtocolVersion,
  type PublishPacket,
} from 'mqtt-warden/broker'

export const VERSIONS = [3, 4, 5] as const

/** What each reason must become on the wire, from the texts of MQTT 3.1.1 and 5; not read from the code. */
export const CODES: Readonly<
  Record<DenyReason, { connack3: number; connack5: number; ack5: number; suback5: number; disconnect5: number }>
> = {
  bad_credentials: { connack3: 4, connack5: 0x86, ack5: 0x87, suback5: 0x87, disconnect5: 0x87 },
  anonymous_refused: { connack3: 4, connack5: 0x86, ack5: 0x87, suback5: 0x87, disconnect5: 0x87 },
  client_id_refused: { connack3: 2, connack5: 0x85, ack5: 0x87, suback5: 0x87, disconnect5: 0x87 },
  client_id_taken: { connack3: 2, connack5: 0x85, ack5: 0x80, suback5: 0x80, disconnect5: 0x8e },
  record_invalid: { connack3: 5, connack5: 0x87, ack5: 0x87, suback5: 0x87, disconnect5: 0x87 },
  store_unavailable: { connack3: 3, connack5: 0x88, ack5: 0x83, suback5: 0x83, disconnect5: 0x83 },
  busy: { connack3: 3, connack5: 0x89, ack5: 0x83, suback5: 0x83, disconnect5: 0x83 },
  deadline: { connack3: 3, connack5: 0x88, ack5: 0x83, suback5: 0x83, disconnect5: 0x83 },
  throttled: { connack3: 3, connack5: 0x9f, ack5: 0x80, suback5: 0x80, disconnect5: 0x96 },
  expired: { connack3: 5, connack5: 0x87, ack5: 0x87, suback5: 0x87, disconnect5: 0x87 },
  revoked: { connack3: 5, connack5: 0x87, ack5: 0x87, suback5: 0x87, disconnect5: 0x87 },
  closed: { connack3: 3, connack5: 0x88, ack5: 0x83, suback5: 0x83, disconnect5: 0x83 },
  topic_invalid: { connack3: 5, connack5: 0x90, ack5: 0x90, suback5: 0x80, disconnect5: 0x90 },
  filter_invalid: { connack3: 5, connack5: 0x87, ack5: 0x80, suback5: 0x8f, disconnect5: 0x8f },
  too_deep: { connack3: 5, connack5: 0x90, ack5: 0x87, suback5: 0x87, disconnect5: 0x87 },
  no_matching_rule: { connack3: 5, connack5: 0x87, ack5: 0x87, suback5: 0x87, disconnect5: 0x87 },
  shared_subscription_unsupported: { connack3: 5, connack5: 0x87, ack5: 0x80, suback5: 0x9e, disconnect5: 0x9e },
  modifiers_unsupported: { connack3: 5, connack5: 0x83, ack5: 0x83, suback5: 0x83, disconnect5: 0x83 },
}

export const REASONS = Object.keys(CODES) as DenyReason[]

export function connectPacket(version: ProtocolVersion, packet: Partial<ConnectPacket> = {}): ConnectPacket {
  const protocolId = version === 3 ? 'MQIsdp' : 'MQTT'
  return { protocolId, protocolVersion: version, clientId: 'c1', clean: true, ...packet }
}

export function publishPacket(packet: Partial<PublishPacket> = {}): PublishPacket {
  const { qos = 0 } = packet
  const payload = Buffer.from('21.5')
  return {
    cmd: 'publish',
    topic: 't',
    payload,
    qos,
    retain: false,
    dup: false,
    ...(qos > 0 && { messageId: 7 }),
    ...packet,
  }
}

export interface Connected {
  readonly adapter: BrokerAdapter
  readonly authorizer: Authorizer
  readonly session: BrokerSession
  readonly denials: DeniedEvent[]
}

/** Connects a client that may do what the rules say. It is anonymous, so that nothing is hashed. */
export async function connected(
  version: ProtocolVersion,
  acl: Partial<Acl>,
  options: BrokerAdapterOptions = {},
  packet: Partial<ConnectPacket> = {},
): Promise<Connected> {
  const anonymous: Acl = { publishAcl: [], subscribeAcl: [], ...acl }
  const authorizer = createAuthorizer({ store: createMemoryStore(), anonymous })
  const denials: DeniedEvent[] = []
  authorizer.on('denied', event => denials.push(event))
  const adapter = createBrokerAdapter(authorizer, options)
  const { session, ...verdict } = await adapter.connect(connectPacket(version, packet))
  if (session === undefined) throw new Error(`refused: ${JSON.stringify(verdict)}`)
  return { adapter, authorizer, session, denials }
}

/** An authorizer that answers everything with one refusal, for the reasons that are hard to come by. */
export function refusing(reason: DenyReason): Authorizer {
  const decision: Decision = { allow: false, reason }
  return { authenticate: async () => decision } as unknown as Authorizer
}

/** As {@link connected}, with a session that refuses everything for one reason. */
export async function connectedAndRefused(
  version: ProtocolVersion,
  reason: DenyReason,
  options: BrokerAdapterOptions = {},
  packet: Partial<ConnectPacket> = {},
): Promise<Pick<Connected, 'adapter' | 'session'>> {
  const refuse = (): Decision => ({ allow: false, reason })
  const rights = { authorizePublish: refuse, authorizeSubscribe: refuse } as unknown as Session
  const authorizer = { authenticate: async () => ({ allow: true, session: rights }) } as unknown as Authorizer
  const adapter = createBrokerAdapter(authorizer, options)
  const { session } = await adapter.connect(connectPacket(version, packet))
  return { adapter, session: session as BrokerSession }
}

/** Sends a packet through the bytes of MQTT, as the client reads it. Fails where a client would. */
export function onTheWire(packet: Packet, protocolVersion: ProtocolVersion): Packet {
  const reader = parser({ protocolVersion })
  const packets: Packet[] = []
  reader.on('packet', received => packets.push(received))
  reader.on('error', error => {
    throw error
  })
  reader.parse(generate(packet, { protocolVersion }))
  if (packets.length !== 1) throw new Error(`${packets.length} packets instead of one`)
  return packets[0]!
}
