import { once } from 'node:events'
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from 'node:net'
import { Aedes, type AedesOptions, type Client } from 'aedes'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { generate, type Packet, parser } from 'mqtt-packet'
import {
  type AclRecord,
  type Authorizer,
  type AuthorizerOptions,
  createAuthorizer,
  createBcryptHasher,
  createMemoryStore,
  type DeniedEvent,
  hashPassword,
  type RecordKey,
  type RecordStore,
  type SharedState,
} from 'mqtt-warden'
import { type Protection, type ProtectOptions, protect } from 'mqtt-warden/aedes'
import { afterAll, afterEach } from 'vitest'
import { eventually } from '../helpers/eventually.js'

/** The password of every account in these tests, hashed once per file. */
export const PASSWORD = 'correct horse'
export const passhash: string = await hashPassword(PASSWORD, { cost: 4 })
/** The hash of another password. */
export const otherPasshash: string = await hashPassword('battery staple', { cost: 4 })

// Threads start once per file, not once per test.
const threads = createBcryptHasher({ threads: 1 })
const hasher = { ...threads, close: async () => {} }
afterAll(() => threads.close())

/** What the tests reach for that aedes' types leave out. */
export interface OpenBroker extends Aedes {
  readonly clients: Record<string, Client & { readonly subscriptions: Record<string, { qos: number }>; will: unknown }>
  readonly persistence: {
    subscriptionsByClient(client: { id: string }): Promise<{ topic: string; qos: number }[]>
    addSubscriptions(client: { id: string }, subscriptions: { topic: string; qos: number }[]): Promise<unknown>
    outgoingStream(client: { id: string }): AsyncIterable<{ topic: string }>
    outgoingUpdate(client: { id: string }, packet: object): Promise<unknown>
    putWill(client: { id: string }, will: object): Promise<unknown>
    streamWill(brokers: object): AsyncIterable<{ clientId: string }>
    createRetainedStream(pattern: string): AsyncIterable<{ topic: string }>
  }
}

const cleanups: (() => unknown)[] = []

/** Runs when the test is over, last registered first. */
export function onEnd(cleanup: () => unknown): void {
  cleanups.push(cleanup)
}

afterEach(async () => {
  for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) await cleanup()
})

export function key(username: string, clientId = '*', mountpoint = ''): RecordKey {
  return { mountpoint, clientId, username }
}

/** A record with the common password. Patterns may be given bare. */
export function account(
  publish: readonly (string | AclRecord['publishAcl'][number])[] = [],
  subscribe: readonly (string | AclRecord['subscribeAcl'][number])[] = [],
): AclRecord {
  const rule = <R>(given: string | R) => (typeof given === 'string' ? { pattern: given } : given) as R
  return { passhash, publishAcl: publish.map(rule), subscribeAcl: subscribe.map(rule) }
}

/** A shared state as it is among processes, which share texts alone. */
export function onlyTexts(shared: SharedState): SharedState {
  return { get: name => shared.get(name), swap: (...given) => shared.swap(...given) }
}

export interface Stage {
  readonly broker: OpenBroker
  readonly port: number
  readonly store: RecordStore
  readonly authorizer: Authorizer
  readonly protection: Protection
  /** Every `denied` event so far. */
  readonly denied: DeniedEvent[]
  readonly faults: { error: unknown; place: string }[]
}

export interface StageOptions {
  readonly records?: Iterable<readonly [RecordKey, AclRecord]>
  readonly store?: RecordStore
  readonly authorizer?: Authorizer | Omit<AuthorizerOptions, 'store'>
  readonly broker?: AedesOptions
  readonly options?: ProtectOptions
  /** Runs before `protect`, e.g. to set hooks. */
  prepare?(broker: OpenBroker): unknown
}

/** A memory store whose reads wait for the test. */
export function slowStore(records: StageOptions['records'], gate: Promise<void>): RecordStore {
  const store = createMemoryStore(records)
  const get = store.get.bind(store)
  return Object.assign(store, {
    getStored: undefined,
    get: async (...args: Parameters<RecordStore['get']>) => {
      await gate
      return get(...args)
    },
  })
}

/** A protected broker that listens on a free port; taken down after the test. */
export async function stage(given: StageOptions = {}): Promise<Stage> {
  const broker = (await Aedes.createBroker(given.broker)) as OpenBroker
  const store = given.store ?? createMemoryStore(given.records)
  const authorizer =
    given.authorizer && 'authenticate' in given.authorizer
      ? given.authorizer
      : createAuthorizer({ store, refusalCapMs: 0, hasher, ...given.authorizer })
  const denied: DeniedEvent[] = []
  const faults: Stage['faults'] = []
  authorizer.on('denied', event => denied.push(event))
  await given.prepare?.(broker)
  const onFault = (error: unknown, place: string) => void faults.push({ error, place })
  const protection = protect(broker, authorizer, { onFault, ...given.options })
  const { port, server } = await listen(broker)
  onEnd(async () => {
    server.close()
    await protection.close()
    await closeBroker(broker)
    await authorizer.close()
  })
  return { broker, port, store, authorizer, protection, denied, faults }
}

export async function listen(broker: Aedes): Promise<{ port: number; server: Server }> {
  const server = createServer(broker.handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, server }
}

export function closeBroker(broker: Aedes): Promise<void> {
  return new Promise(resolve => broker.close(resolve))
}

/** A real MQTT.js client, logged in. Never reconnects by itself. */
export async function client(port: number, username: string, options: IClientOptions = {}): Promise<MqttClient> {
  const connected = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    username,
    password: PASSWORD,
    reconnectPeriod: 0,
    connectTimeout: 5_000,
    ...options,
  })
  // Being cut is an outcome of these tests, not an error.
  connected.on('error', () => {})
  onEnd(() => connected.endAsync(true))
  return connected
}

/** The messages a client gets, as `topic=payload`. */
export function inbox(of: MqttClient): string[] {
  const messages: string[] = []
  of.on('message', (topic, payload) => messages.push(`${topic}=${payload}`))
  return messages
}

/** A bare socket that speaks packets, for what no client library would send. */
export interface RawClient {
  readonly socket: Socket
  readonly received: Packet[]
  /** Sends all packets in one write. */
  send(...packets: object[]): void
  /** Resolves with the first packet of that kind received and not yet taken. */
  next<T = Packet & Record<string, unknown>>(cmd: string): Promise<T>
  closed(): Promise<void>
}

export async function raw(port: number): Promise<RawClient> {
  const socket = connectSocket(port, '127.0.0.1')
  const received: Packet[] = []
  const packets = parser({ protocolVersion: 4 })
  packets.on('packet', packet => received.push(packet))
  socket.on('data', data => packets.parse(data))
  socket.on('error', () => {})
  onEnd(() => socket.destroy())
  await once(socket, 'connect')
  return {
    socket,
    received,
    send: (...sent) => void socket.write(Buffer.concat(sent.map(packet => generate(packet as Packet)))),
    async next<T>(cmd: string) {
      await eventually(() => received.some(packet => packet.cmd === cmd), `a ${cmd} arrives`)
      const at = received.findIndex(packet => packet.cmd === cmd)
      return received.splice(at, 1)[0] as T
    },
    async closed() {
      await eventually(() => socket.closed, 'the connection is closed')
    },
  }
}

export function connectPacket(clientId: string, username?: string, more: object = {}): object {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 0,
    clientId,
    ...(username !== undefined && { username, password: Buffer.from(PASSWORD) }),
    ...more,
  }
}

/** A bare socket that is logged in. */
export async function rawClient(
  port: number,
  clientId: string,
  username: string,
  more: object = {},
): Promise<RawClient> {
  const socket = await raw(port)
  socket.send(connectPacket(clientId, username, more))
  const { returnCode } = await socket.next<{ returnCode: number }>('connack')
  if (returnCode !== 0) throw new Error(`login of ${clientId} was refused with ${returnCode}`)
  return socket
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/**
 * What a client subscribed to `#` has got, once a message sent after all others has reached it. Delivery is in order, so
 * what is missing then will not come.
 */
export async function delivered(broker: Aedes, messages: readonly string[]): Promise<string[]> {
  const sent = messages.filter(message => message === 'marker=').length
  const marker = { cmd: 'publish', topic: 'marker', payload: '', qos: 0, retain: false, dup: false } as const
  broker.publish(marker, () => {})
  const markers = () => messages.filter(message => message === 'marker=').length
  await eventually(() => markers() > sent, 'the marker arrives')
  return messages.filter(message => message !== 'marker=')
}
