import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { account, client, connectPacket, inbox, key, raw, rawClient, stage } from './setup.js'

const records = [[key('sensor'), account(['a', 'b'], ['a', 'b', 'marker'])]] as const

const subscribe = (topic: string) => ({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] })

const publish = (topic: string) => ({ cmd: 'publish', topic, payload: 'x', qos: 1, messageId: 1 })

describe('a hook assigned after protect', () => {
  it('does not undo the protection, is asked after it, and is reported as a fault', async () => {
    const { port, broker, faults } = await stage({ records })
    const asked: string[] = []
    broker.authorizePublish = (_client, packet, done) => {
      asked.push(packet.topic)
      done(packet.topic === 'b' ? new Error('not b') : null)
    }
    broker.authenticate = (_client, _username, _password, done) => done(null, true)
    broker.authorizeSubscribe = (_client, subscription, done) => done(null, subscription)
    broker.authorizeForward = (_client, packet) => packet
    expect(faults.map(({ place }) => place)).toEqual([
      'authorizePublish',
      'authenticate',
      'authorizeSubscribe',
      'authorizeForward',
    ])
    const intruder = await raw(port)
    intruder.send(connectPacket('s9', 'nobody'))
    expect(await intruder.next('connack')).toMatchObject({ returnCode: 4 })
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send(subscribe('secret'), publish('a'))
    expect(await socket.next('suback')).toMatchObject({ granted: [128] })
    await socket.next('puback')
    socket.send(publish('b'))
    await socket.closed()
    const second = await rawClient(port, 's1', 'sensor')
    second.send(publish('secret'))
    await second.closed()
    expect(asked).toEqual(['a', 'b'])
  })

  it('may call the hook it replaced, as wrappers do', async () => {
    const { port, broker, faults } = await stage({ records })
    const seen: string[] = []
    const { authenticate, authorizePublish, authorizeSubscribe, authorizeForward, preConnect } = broker
    broker.preConnect = (of, packet, done) => preConnect.call(broker, of, packet, done)
    broker.authenticate = (of, username, password, done) => authenticate.call(broker, of, username, password, done)
    broker.authorizePublish = (of, packet, done) => {
      seen.push(packet.topic)
      authorizePublish.call(broker, of, packet, done)
    }
    broker.authorizeSubscribe = (of, subscription, done) => authorizeSubscribe.call(broker, of, subscription, done)
    broker.authorizeForward = (of, packet) => authorizeForward.call(broker, of, packet)
    const sensor = await client(port, 'sensor')
    const messages = inbox(sensor)
    await sensor.subscribeAsync(['a', 'marker'])
    await sensor.publishAsync('a', 'x', { qos: 1 })
    await eventually(() => messages.length > 0, 'the message arrives')
    expect(messages).toEqual(['a=x'])
    expect(seen).toEqual(['a'])
    // Back to none, which is no fault.
    expect(faults).toHaveLength(4)
    broker.authorizePublish = authorizePublish
    expect(faults).toHaveLength(4)
    await sensor.publishAsync('a', 'y', { qos: 1 })
    await eventually(() => messages.length > 1, 'the message arrives')
    expect(seen).toEqual(['a'])
  })

  it('costs the broker nothing: its fields are as fast to read as before', async () => {
    const { broker } = await stage({ records })
    setFlagsFromString('--allow-natives-syntax')
    const isFast = runInNewContext('object => %HasFastProperties(object)') as (object: object) => boolean
    // V8 makes it fast when code that has run a few times reads it.
    const read = (of: object) => (of as { readonly counter: number }).counter
    for (let times = 0; times < 1_000; times++) read(broker)
    expect(isFast(broker)).toBe(true)
  })
})
