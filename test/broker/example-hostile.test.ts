import { once } from 'node:events'
import { connect as openSocket, type Socket } from 'node:net'
import fc from 'fast-check'
import { generate, type IConnectPacket, type Packet } from 'mqtt-packet'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { connectTo, keyOf, PASSWORD, type RunningBroker, startBroker, type TestClient } from './running.js'

let broker: RunningBroker
let observer: TestClient
const sockets: Socket[] = []

beforeAll(async () => {
  broker = await startBroker()
  await broker.allow('hostile', { publishAcl: [{ pattern: '#' }], subscribeAcl: [{ pattern: '#' }] })
  await broker.allow('observer', { publishAcl: [{ pattern: 'check' }], subscribeAcl: [{ pattern: '#' }] })
  observer = await connectTo(broker, 5, 'observer')
  await observer.mqtt.subscribeAsync('#', { qos: 1 })
})
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})
afterAll(async () => {
  await observer.end()
  await broker.stop()
})

type ProtocolVersion = 4 | 5

async function open(): Promise<Socket> {
  const socket = openSocket(broker.port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  socket.resume()
  await once(socket, 'connect')
  return socket
}

const connectBytes = (protocolVersion: ProtocolVersion, change: Partial<IConnectPacket> = {}): Buffer =>
  generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion,
    clientId: 'hostile',
    clean: true,
    username: 'plant',
    password: Buffer.from(PASSWORD),
    ...change,
  })

/** Logs in, and hands over the connection once the CONNACK is there. */
async function loggedIn(protocolVersion: ProtocolVersion): Promise<Socket> {
  const socket = await open()
  const answered = once(socket, 'data')
  socket.write(connectBytes(protocolVersion))
  const [bytes] = (await answered) as [Buffer]
  expect(bytes[3]).toBe(0)
  return socket
}

/** Resolves when a connection is closed, by a reset or otherwise. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise(resolve => socket.once('close', () => resolve()))
}

/** Sends bytes and gives what comes back until the connection is closed. */
async function answerTo(socket: Socket, bytes: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  const closed = closeOf(socket)
  socket.write(bytes)
  await closed
  return Buffer.concat(chunks)
}

/** Shows that the broker serves, and that the client that listens to everything was not cut. */
async function isServing(): Promise<void> {
  const before = observer.messages.length
  await observer.mqtt.publishAsync('check', 'check', { qos: 1 })
  await eventually(
    () => observer.messages.slice(before).some(({ topic }) => topic === 'check'),
    'a message was carried',
  )
  expect(observer.isClosed()).toBe(false)
}

const bytesOf = (packet: Packet, protocolVersion: ProtocolVersion) => generate(packet, { protocolVersion })

/** A PUBLISH of MQTT 5 with the bytes of its properties written by hand. */
function publishWith(properties: number[], topic = 'x', qos = 0): Buffer {
  const name = Buffer.from(topic)
  const id = qos > 0 ? [0, 1] : []
  const body = [0, name.length, ...name, ...id, properties.length, ...properties]
  return Buffer.from([0x30 | (qos << 1), body.length, ...body])
}

describe('the example broker', () => {
  it.each<[string, ProtocolVersion, Buffer, number | undefined]>([
    ['a PUBLISH of QoS 1 cut short before its packet id', 5, Buffer.from([0x32, 3, 0, 1, 0x78]), 0x81],
    ['the same of MQTT 3.1.1', 4, Buffer.from([0x32, 3, 0, 1, 0x78]), undefined],
    ['packet id 0', 5, Buffer.from([0x32, 6, 0, 1, 0x78, 0, 0, 0]), 0x81],
    ['QoS 3', 5, Buffer.from([0x36, 5, 0, 1, 0x78, 0, 1]), 0x81],
    ['a content type given twice', 5, publishWith([3, 0, 1, 0x61, 3, 0, 1, 0x62]), 0x82],
    ['a topic alias given twice', 5, publishWith([35, 0, 1, 35, 0, 2]), 0x82],
    ['topic alias 0', 5, publishWith([35, 0, 0]), 0x94],
    ['a topic alias above the maximum', 5, publishWith([35, 0, 11]), 0x94],
    ['a topic alias nobody defined', 5, publishWith([35, 0, 1], ''), 0x82],
    ['an empty topic name', 5, publishWith([], ''), 0x82],
    ['a subscription identifier', 5, publishWith([11, 1]), 0x82],
    ['a property of other packets', 5, publishWith([17, 0, 0, 0, 9]), 0x81],
    ['an unknown property', 5, publishWith([99, 1]), 0x81],
    ['a content type longer than the packet', 5, publishWith([3, 0, 200]), 0x81],
    ['a user property without a value', 5, publishWith([38, 0, 1, 0x61, 0, 200]), 0x81],
    ['U+0000 in a content type', 5, publishWith([3, 0, 1, 0]), 0x81],
    ['a SUBSCRIBE without a filter', 5, Buffer.from([0x82, 3, 0, 1, 0]), 0x82],
    ['the same of MQTT 3.1.1', 4, Buffer.from([0x82, 2, 0, 1]), undefined],
    ['an UNSUBSCRIBE without a filter', 5, Buffer.from([0xa2, 3, 0, 1, 0]), 0x82],
    ['a second CONNECT', 5, connectBytes(5), 0x82],
    ['an AUTH packet', 5, bytesOf({ cmd: 'auth', reasonCode: 0x19 }, 5), 0x82],
    ['a CONNACK', 5, bytesOf({ cmd: 'connack', sessionPresent: false, reasonCode: 0 }, 5), 0x82],
    ['a PUBREL without a packet id', 5, Buffer.from([0x62, 0]), 0x82],
    ['a packet type that there is not', 4, Buffer.from([0x00, 0]), undefined],
  ])('disconnects a client that sends %s, and no other', async (_what, version, bytes, code) => {
    const socket = await loggedIn(version)
    const answer = await answerTo(socket, bytes)
    if (code === undefined) expect(answer).toHaveLength(0)
    else {
      expect([...answer.subarray(0, 1), answer[2]]).toEqual([0xe0, code])
    }
    await isServing()
  })

  it.each([
    ['a PUBLISH', bytesOf({ cmd: 'publish', topic: 'x', payload: 'x', qos: 0, retain: false, dup: false }, 4)],
    ['a protocol version that there is not', Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 9, 2, 0, 0, 0, 0])],
    ['a web request', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('closes a connection that begins with %s', async (_what, bytes) => {
    expect(await answerTo(await open(), bytes)).toHaveLength(0)
    await isServing()
  })

  it('refuses MQTT 3.1 that says it is version 5', async () => {
    const header = [0, 6, ...Buffer.from('MQIsdp'), 5, 2, 0, 0, 0]
    const answer = await answerTo(await open(), Buffer.from([0x10, header.length + 3, ...header, 0, 1, 0x78]))
    expect([...answer]).toEqual([0x20, 3, 0, 0x84, 0])
    await isServing()
  })

  it.each(['*', '', 'a\0b', '+', '#', '../../x', '"]', '__proto__', '%c', 'observer\n'])(
    'lets nobody in by the client id %j',
    async clientId => {
      const answer = await answerTo(await open(), connectBytes(5, { clientId }))
      expect(answer[0]).toBe(0x20)
      expect(answer[3]).toBeGreaterThanOrEqual(0x80)
      await isServing()
    },
  )

  it('cuts a client that floods it while its password is being judged', async () => {
    const key = keyOf('flood')
    await broker.store.put(key, { passhash: broker.passhash, publishAcl: [], subscribeAcl: [] })
    const ping = bytesOf({ cmd: 'pingreq' }, 4)
    const flood = Buffer.concat([connectBytes(4, { clientId: 'flood' }), ...Array.from({ length: 200 }, () => ping)])
    expect(await answerTo(await open(), flood)).toHaveLength(0)
    await isServing()
    await eventually(() => broker.authorizer.stats().sessions === 1, 'the session of the flooder was closed')
  })

  it('serves what came along with the CONNECT, in order', async () => {
    const socket = await open()
    const bytes = [bytesOf({ cmd: 'pingreq' }, 4), bytesOf({ cmd: 'disconnect' }, 4)]
    const answer = await answerTo(socket, Buffer.concat([connectBytes(4), ...bytes]))
    expect([...answer]).toEqual([0x20, 2, 0, 0, 0xd0, 0])
  })

  it('closes a connection that announces a packet too large', async () => {
    const socket = await loggedIn(4)
    const header = Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])
    expect(await answerTo(socket, Buffer.concat([header, Buffer.alloc(1_500_000)]))).toHaveLength(0)
    await isServing()
  })

  it('survives whatever bytes come, before and after the CONNECT', async () => {
    const sample = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      // Packets that look right at first.
      fc
        .record({
          type: fc.integer({ min: 0, max: 255 }),
          body: fc.uint8Array({ minLength: 2, maxLength: 60 }),
        })
        .map(({ type, body }) => Uint8Array.from([type, body.length, ...body])),
      fc
        .record({
          qos: fc.constantFrom(0, 1, 2),
          topic: fc.constantFrom('', 'x', 'a/+', '\0'),
          properties: fc.uint8Array({ maxLength: 40 }),
        })
        .map(({ qos, topic, properties }) => Uint8Array.from(publishWith([...properties], topic, qos))),
    )
    const run = fc.asyncProperty(
      sample,
      fc.constantFrom<(ProtocolVersion | undefined)[]>(undefined, 4, 5),
      async (bytes, version) => {
        const socket = version === undefined ? await open() : await loggedIn(version)
        const closed = closeOf(socket)
        socket.end(bytes)
        await closed
      },
    )
    await fc.assert(run, { numRuns: 300 })
    await isServing()
  })
})
