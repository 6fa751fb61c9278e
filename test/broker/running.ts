import mqtt, { type IClientOptions, type MqttClient, type Packet } from 'mqtt'
import {
  type AclRecord,
  type Authorizer,
  createAuthorizer,
  createMemoryStore,
  type DeniedEvent,
  hashPassword,
  type RecordKey,
  type RecordStore,
} from 'mqtt-warden'
import { Broker } from '../../examples/custom-broker/broker.js'

export const PASSWORD = 'correct horse'

/** The broker of the example, with accounts named by their client ids. */
export interface RunningBroker {
  readonly port: number
  readonly store: RecordStore
  readonly authorizer: Authorizer
  readonly denials: DeniedEvent[]
  readonly passhash: string
  /** Writes the record of a client id. */
  allow(clientId: string, rules: Partial<Omit<AclRecord, 'passhash'>>): Promise<void>
  forget(clientId: string): Promise<void>
  stop(): Promise<void>
}

export const keyOf = (clientId: string): RecordKey => ({ mountpoint: '', clientId, username: 'plant' })

export async function startBroker(): Promise<RunningBroker> {
  const passhash = await hashPassword(PASSWORD, { cost: 4 })
  const store = createMemoryStore()
  const authorizer = createAuthorizer({ store })
  const denials: DeniedEvent[] = []
  authorizer.on('denied', event => denials.push(event))
  const broker = new Broker(authorizer)
  const port = await broker.listen()
  return {
    port,
    store,
    authorizer,
    denials,
    passhash,
    async allow(clientId, rules) {
      await store.put(keyOf(clientId), { passhash, publishAcl: [], subscribeAcl: [], ...rules })
    },
    async forget(clientId) {
      await store.delete(keyOf(clientId))
    },
    async stop() {
      await broker.close()
      await authorizer.close()
    },
  }
}

/** An MQTT.js client that keeps what it was sent. */
export interface TestClient {
  readonly mqtt: MqttClient
  /** Every packet received since CONNECT. */
  readonly packets: Packet[]
  readonly messages: { topic: string; text: string; retain: boolean; qos: number }[]
  readonly isClosed: () => boolean
  end(): Promise<void>
}

export type Version = 3 | 4 | 5

/** Connects; resolves with the client whether it was accepted or not, once the CONNACK is there. */
export async function connectTo(
  broker: RunningBroker,
  version: Version,
  clientId: string,
  options: IClientOptions = {},
): Promise<TestClient> {
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: broker.port,
    protocolVersion: version,
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    reconnectPeriod: 0,
    clientId,
    username: 'plant',
    password: PASSWORD,
    ...options,
  })
  const packets: Packet[] = []
  const messages: TestClient['messages'] = []
  let isClosed = false
  client.on('packetreceive', packet => packets.push(packet))
  client.on('message', (topic, payload, { retain, qos }) => {
    messages.push({ topic, text: payload.toString(), retain, qos })
  })
  client.on('close', () => {
    isClosed = true
  })
  client.on('error', () => {})
  await new Promise<void>(resolve => {
    client.once('connect', () => resolve())
    client.once('close', () => resolve())
  })
  return { mqtt: client, packets, messages, isClosed: () => isClosed, end: () => client.endAsync(true) }
}

/** The packets of one kind that a client received. */
export function received<C extends Packet['cmd']>(client: TestClient, cmd: C): Extract<Packet, { cmd: C }>[] {
  return client.packets.filter((packet): packet is Extract<Packet, { cmd: C }> => packet.cmd === cmd)
}
