import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { connectTo, type RunningBroker, received, startBroker, type TestClient, type Version } from './running.js'

let broker: RunningBroker
const clients: TestClient[] = []
let number = 0

beforeAll(async () => {
  broker = await startBroker()
})
afterEach(async () => {
  await Promise.all(clients.splice(0).map(client => client.end()))
})
afterAll(() => broker.stop())

type Rules = Parameters<RunningBroker['allow']>[1]
type Options = NonNullable<Parameters<typeof connectTo>[3]>

/** Connects a new client that may do what the rules say. */
async function client(version: Version, rules: Rules, options: Options = {}, id = `client-${++number}`) {
  await broker.allow(id, rules)
  const connected = await connectTo(broker, version, id, options)
  clients.push(connected)
  return connected
}

const everything = { publishAcl: [{ pattern: '#' }], subscribeAcl: [{ pattern: '#' }] }
const texts = ({ messages }: TestClient) => messages.map(({ text }) => text)
const hasText = (subscriber: TestClient, text: string) =>
  eventually(() => texts(subscriber).includes(text), `${text} was received`)
const isCut = (subject: TestClient) => eventually(subject.isClosed, 'the connection was closed')

/** Shows that a client is connected and served. */
async function isAlive({ mqtt, packets }: TestClient): Promise<void> {
  const before = packets.length
  mqtt.sendPing()
  await eventually(() => packets.slice(before).some(({ cmd }) => cmd === 'pingresp'), 'a ping was answered')
}

describe.each([3, 4, 5] as const)('the example broker, with clients of MQTT %i', version => {
  const refusedFilter = version === 5 ? 0x87 : 0x80

  it.each([3, 4, 5] as const)('carries messages to clients of MQTT %i', async other => {
    const publisher = await client(version, { publishAcl: [{ pattern: `to/${other}/#` }] })
    const subscriber = await client(other, { subscribeAcl: [{ pattern: `to/${other}/#` }] })
    await subscriber.mqtt.subscribeAsync(`to/${other}/+`, { qos: 2 })
    for (const qos of [0, 1, 2] as const) await publisher.mqtt.publishAsync(`to/${other}/x`, `qos ${qos}`, { qos })
    await hasText(subscriber, 'qos 2')
    expect(subscriber.messages).toEqual([
      { topic: `to/${other}/x`, text: 'qos 0', retain: false, qos: 0 },
      { topic: `to/${other}/x`, text: 'qos 1', retain: false, qos: 1 },
      { topic: `to/${other}/x`, text: 'qos 2', retain: false, qos: 1 },
    ])
    expect(received(subscriber, 'suback')).toMatchObject([{ granted: [1] }])
  })

  it('refuses a wrong password, an unknown client and a will that is not allowed', async () => {
    const code = (refused: TestClient) => {
      const [connack] = received(refused, 'connack')
      return version === 5 ? connack?.reasonCode : connack?.returnCode
    }
    const [bad, not] = version === 5 ? [0x86, 0x87] : [4, 5]
    expect(code(await client(version, everything, { password: 'wrong' }))).toBe(bad)
    expect(code(await connectTo(broker, version, 'nobody'))).toBe(bad)
    const will = { topic: 'other', payload: Buffer.from('x'), qos: 0, retain: false } as const
    expect(code(await client(version, { publishAcl: [{ pattern: 'mine' }] }, { will }))).toBe(not)
    expect(broker.denials.at(-1)).toMatchObject({ action: 'connect', decision: { reason: 'no_matching_rule' } })
  })

  it('grants and refuses each filter alone', async () => {
    const subscriber = await client(version, { subscribeAcl: [{ pattern: 'a/+' }] })
    const filters = { 'a/1': { qos: 1 }, 'a/#': { qos: 0 }, 'a/+': { qos: 0 } } as const
    await subscriber.mqtt.subscribeAsync(filters).catch(() => {})
    expect(received(subscriber, 'suback')).toMatchObject([{ granted: [1, refusedFilter, 0] }])
  })

  it('sends retained messages by the filters that were granted, and no others', async () => {
    const topics = [`r${version}/open`, `r${version}/secret`] as const
    const publisher = await client(version, everything)
    for (const topic of topics) await publisher.mqtt.publishAsync(topic, topic, { qos: 1, retain: true })
    const reader = await client(version, { subscribeAcl: [{ pattern: topics[0] }, { pattern: 'end' }] })
    const filters = { [`r${version}/#`]: { qos: 1 }, [topics[0]]: { qos: 1 }, end: { qos: 0 } } as const
    await reader.mqtt.subscribeAsync(filters).catch(() => {})
    await publisher.mqtt.publishAsync('end', 'end', { qos: 1 })
    await hasText(reader, 'end')
    expect(reader.messages).toEqual([
      { topic: topics[0], text: topics[0], retain: true, qos: 1 },
      { topic: 'end', text: 'end', retain: false, qos: 0 },
    ])
    const modifiers = [{ filter: topics[1], qos: 0 }] as const
    const rewritten = await client(version, { subscribeAcl: [{ pattern: 'news', modifiers }] })
    await rewritten.mqtt.subscribeAsync('news', { qos: 0 })
    await hasText(rewritten, topics[1])
  })

  it('forgets a retained message that is replaced by nothing', async () => {
    const topic = `cleared/${version}`
    const subject = await client(version, everything)
    await subject.mqtt.publishAsync(topic, 'kept', { qos: 1, retain: true })
    await subject.mqtt.publishAsync(topic, '', { qos: 1, retain: true })
    await subject.mqtt.subscribeAsync(topic)
    await subject.mqtt.publishAsync(topic, 'live', { qos: 1 })
    await hasText(subject, 'live')
    expect(texts(subject)).toEqual(['live'])
  })

  it('publishes the will of a client that vanishes, and not of one that says goodbye', async () => {
    const observer = await client(5, { subscribeAcl: [{ pattern: `wills/${version}/+` }] })
    await observer.mqtt.subscribeAsync(`wills/${version}/+`)
    const rules = { publishAcl: [{ pattern: `wills/${version}/+` }] }
    const will = (name: string) => ({
      will: { topic: `wills/${version}/${name}`, payload: Buffer.from(name), qos: 1, retain: false } as const,
    })
    const polite = await client(version, rules, will('polite'))
    await polite.mqtt.endAsync()
    const vanishing = await client(version, rules, will('vanishing'))
    vanishing.mqtt.stream.destroy()
    await hasText(observer, 'vanishing')
    expect(texts(observer)).toEqual(['vanishing'])
  })

  it('publishes no will that the rules have come to forbid', async () => {
    const observer = await client(5, { subscribeAcl: [{ pattern: `late/${version}/+` }] })
    await observer.mqtt.subscribeAsync(`late/${version}/+`)
    const rules = { publishAcl: [{ pattern: `late/${version}/+` }] }
    const topic = `late/${version}/will`
    const will = { will: { topic, payload: Buffer.from('will'), qos: 0, retain: false } as const }
    const id = `late-${version}`
    const vanishing = await client(version, rules, will, id)
    await broker.allow(id, { publishAcl: [{ pattern: 'nothing' }] })
    const before = broker.denials.length
    vanishing.mqtt.stream.destroy()
    await eventually(() => broker.denials.length > before, 'the will was judged')
    expect(broker.denials.at(-1)).toMatchObject({ action: 'publish', topic })
    const publisher = await client(version, rules)
    await publisher.mqtt.publishAsync(topic, 'afterwards', { qos: 1 })
    await hasText(observer, 'afterwards')
    expect(texts(observer)).toEqual(['afterwards'])
  })

  it('cuts a client whose record goes', async () => {
    const id = `gone-${version}`
    const subject = await client(version, everything, {}, id)
    await broker.forget(id)
    await isCut(subject)
    expect(received(subject, 'disconnect').map(({ reasonCode }) => reasonCode)).toEqual(version === 5 ? [0x87] : [])
  })

  it('takes away exactly the subscriptions that a changed record does not cover', async () => {
    const id = `narrowed-${version}`
    const publisher = await client(version, { publishAcl: [{ pattern: 'n/#' }] })
    const subject = await client(version, { subscribeAcl: [{ pattern: 'n/#' }] }, {}, id)
    await subject.mqtt.subscribeAsync(['n/a', 'n/b'], { qos: 1 })
    await broker.allow(id, { subscribeAcl: [{ pattern: 'n/b' }] })
    await publisher.mqtt.publishAsync('n/a', 'not any more', { qos: 1 })
    await publisher.mqtt.publishAsync('n/b', 'still', { qos: 1 })
    await hasText(subject, 'still')
    // Given back, it has to be asked for again.
    await broker.allow(id, { subscribeAcl: [{ pattern: 'n/#' }] })
    await publisher.mqtt.publishAsync('n/a', 'neither', { qos: 1 })
    await publisher.mqtt.publishAsync('n/b', 'last', { qos: 1 })
    await hasText(subject, 'last')
    expect(texts(subject)).toEqual(['still', 'last'])
  })

  it('cuts the older of two clients with the same client id', async () => {
    const older = await client(version, everything, {}, `twice-${version}`)
    const newer = await client(version, everything, {}, `twice-${version}`)
    await isCut(older)
    expect(received(older, 'disconnect').map(({ reasonCode }) => reasonCode)).toEqual(version === 5 ? [0x8e] : [])
    await isAlive(newer)
  })

  it('ends a subscription, also one that a rule has rewritten', async () => {
    const modifiers = [{ filter: 'u/x', qos: 0 }] as const
    const subject = await client(version, {
      publishAcl: [{ pattern: 'u/#' }],
      subscribeAcl: [{ pattern: 'u/alias', modifiers }, { pattern: 'u/done' }],
    })
    await subject.mqtt.subscribeAsync(['u/alias', 'u/done'])
    await subject.mqtt.publishAsync('u/x', 'one', { qos: 1 })
    await hasText(subject, 'one')
    await subject.mqtt.unsubscribeAsync('u/alias')
    await subject.mqtt.publishAsync('u/x', 'two', { qos: 1 })
    await subject.mqtt.publishAsync('u/done', 'done', { qos: 1 })
    await hasText(subject, 'done')
    expect(texts(subject)).toEqual(['one', 'done'])
  })
})

describe('a refused PUBLISH on the example broker', () => {
  it('closes the connection of an MQTT 3.1.1 client', async () => {
    const subject = await client(4, { publishAcl: [{ pattern: 'hello' }] })
    subject.mqtt.publish('say', 'x', { qos: 0 })
    await isCut(subject)
    expect(broker.denials.at(-1)).toMatchObject({
      action: 'publish',
      topic: 'say',
      decision: { nearest: { pattern: 'hello' } },
    })
  })

  it('is acknowledged as if it were fine to an MQTT 3.1 client, and goes nowhere', async () => {
    const subject = await client(3, { publishAcl: [{ pattern: 'ack/hello' }], subscribeAcl: [{ pattern: 'ack/#' }] })
    await subject.mqtt.subscribeAsync('ack/#')
    for (const qos of [0, 1, 2] as const) await subject.mqtt.publishAsync('ack/say', 'refused', { qos })
    await subject.mqtt.publishAsync('ack/hello', 'allowed', { qos: 1 })
    await hasText(subject, 'allowed')
    expect(texts(subject)).toEqual(['allowed'])
  })

  it('tells an MQTT 5 client by PUBACK and PUBREC, which stays connected', async () => {
    const subject = await client(5, { publishAcl: [{ pattern: 'ack/hello' }], subscribeAcl: [{ pattern: 'ack/#' }] })
    await subject.mqtt.subscribeAsync('ack/#')
    await subject.mqtt.publishAsync('ack/say', 'refused', { qos: 0 })
    for (const qos of [1, 2] as const) {
      await expect(subject.mqtt.publishAsync('ack/say', 'refused', { qos })).rejects.toMatchObject({ code: 0x87 })
    }
    const properties = { reasonString: 'refused: no rule allows it' }
    expect(received(subject, 'puback')).toMatchObject([{ reasonCode: 0x87, properties }])
    expect(received(subject, 'pubrec')).toMatchObject([{ reasonCode: 0x87, properties }])
    await subject.mqtt.publishAsync('ack/hello', 'allowed', { qos: 2 })
    await hasText(subject, 'allowed')
    expect(texts(subject)).toEqual(['allowed'])
  })

  it('does not replace a retained message', async () => {
    const writer = await client(4, { publishAcl: [{ pattern: 'kept' }] })
    await writer.mqtt.publishAsync('kept', 'good', { qos: 1, retain: true })
    const subject = await client(5, {
      publishAcl: [{ pattern: 'kept', allowedRetain: false }],
      subscribeAcl: [{ pattern: 'kept' }],
    })
    await expect(subject.mqtt.publishAsync('kept', 'bad', { qos: 1, retain: true })).rejects.toMatchObject({
      code: 0x87,
    })
    await subject.mqtt.subscribeAsync('kept')
    await hasText(subject, 'good')
    expect(texts(subject)).toEqual(['good'])
  })
})

describe('MQTT 5 on the example broker', () => {
  it('resolves topic aliases, and judges by the topic name they stand for', async () => {
    const subscriber = await client(5, { subscribeAcl: [{ pattern: 'alias/#' }] })
    await subscriber.mqtt.subscribeAsync('alias/#')
    const publisher = await client(5, { publishAcl: [{ pattern: 'alias/#' }] }, { autoAssignTopicAlias: true })
    for (const text of ['one', 'two']) await publisher.mqtt.publishAsync('alias/long/name', text, { qos: 1 })
    await hasText(subscriber, 'two')
    expect(subscriber.messages.map(({ topic }) => topic)).toEqual(['alias/long/name', 'alias/long/name'])
  })

  it('names a client that has no client id', async () => {
    const key = { mountpoint: '', clientId: '*', username: 'fleet' }
    await broker.store.put(key, { passhash: broker.passhash, publishAcl: [], subscribeAcl: [] })
    const named = await connectTo(broker, 5, '', { username: 'fleet' })
    clients.push(named)
    expect(received(named, 'connack')[0]?.properties?.assignedClientIdentifier).toMatch(/^auto-\d+$/)
  })

  it('spares a client its own messages where it asks for that', async () => {
    const subject = await client(5, everything)
    await subject.mqtt.subscribeAsync('local/#', { qos: 0, nl: true })
    await subject.mqtt.subscribeAsync('echo/#', { qos: 0 })
    await subject.mqtt.publishAsync('local/x', 'own', { qos: 1 })
    await subject.mqtt.publishAsync('echo/x', 'echo', { qos: 1 })
    await hasText(subject, 'echo')
    expect(texts(subject)).toEqual(['echo'])
  })

  it('has no shared subscriptions, and says so', async () => {
    const subject = await client(5, everything)
    expect(received(subject, 'connack')[0]?.properties?.sharedSubscriptionAvailable).toBe(false)
    await subject.mqtt.subscribeAsync('$share/g/a').catch(() => {})
    expect(received(subject, 'suback')).toMatchObject([{ granted: [0x9e] }])
  })

  it('spares a client messages that are too large for it, and goes on with the next', async () => {
    const properties = { maximumPacketSize: 200, receiveMaximum: 1 }
    const subject = await client(5, { subscribeAcl: [{ pattern: 'size/#' }] }, { properties })
    await subject.mqtt.subscribeAsync('size/#', { qos: 1 })
    const publisher = await client(5, everything)
    for (const text of ['x'.repeat(300), 'small']) await publisher.mqtt.publishAsync('size/x', text, { qos: 1 })
    await hasText(subject, 'small')
    expect(texts(subject)).toEqual(['small'])
  })

  it('checks messages that wait for acknowledgements when it is their turn', async () => {
    const subject = await client(
      5,
      { subscribeAcl: [{ pattern: 'q/#' }] },
      { properties: { receiveMaximum: 1 } },
      'slow',
    )
    await subject.mqtt.subscribeAsync('q/#', { qos: 1 })
    let acknowledge = () => {}
    subject.mqtt.handleMessage = (_packet, callback) => {
      acknowledge = callback
    }
    const publisher = await client(5, everything)
    for (const text of ['first', 'second']) await publisher.mqtt.publishAsync('q/x', text, { qos: 1 })
    await hasText(subject, 'first')
    await broker.allow('slow', { subscribeAcl: [{ pattern: 'other' }] })
    acknowledge()
    await isAlive(subject)
    expect(texts(subject)).toEqual(['first'])
  })
})
