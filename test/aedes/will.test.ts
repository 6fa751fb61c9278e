import { once } from 'node:events'
import { createMemoryStore } from 'mqtt-warden'
import { describe, expect, it, vi } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import {
  account,
  client,
  collect,
  connectPacket,
  delivered,
  inbox,
  key,
  type OpenBroker,
  onEnd,
  otherPasshash,
  raw,
  rawClient,
  type Stage,
  stage,
} from './setup.js'

const watcher = [key('watcher'), account([], ['#', '$odd/#'])] as const
const will = { topic: 'last/s1', payload: Buffer.from('gone'), qos: 1, retain: true }

async function watch({ port }: Stage): Promise<string[]> {
  const listener = await client(port, 'watcher')
  const messages = inbox(listener)
  await listener.subscribeAsync(['#', '$odd/#'], { qos: 1 })
  return messages
}

const marker = { cmd: 'publish', topic: 'marker', payload: '', qos: 0, retain: false, dup: false } as const

/** Everything aedes published that came from a will, as the rest of the process sees it. */
function publishedWills(broker: OpenBroker): string[] {
  const topics: string[] = []
  broker.on('publish', packet => {
    if (!/^\$SYS\/.*\/(heartbeat|birth|clients|subscribes|unsubscribes)$/.test(packet.topic)) topics.push(packet.topic)
  })
  return topics
}

describe('a will at CONNECT', () => {
  it.each([
    { title: 'no rule allows', topic: 'other', reason: 'no_matching_rule' },
    { title: 'belongs to the broker', topic: '$SYS/b/new/clients', reason: 'no_matching_rule' },
    { title: 'is no topic name', topic: 'last/+', reason: 'topic_invalid' },
    { title: 'has more levels than the broker can match', topic: 'deep/'.repeat(110), reason: 'too_deep' },
    { title: 'has a rule whose modifiers aedes cannot apply', topic: 'modified', reason: 'modifiers_unsupported' },
  ])('is refused, and the login with it, when its topic $title', async ({ topic, reason }) => {
    const rules = ['last/%c', '$SYS/#', 'deep/#', { pattern: 'modified', modifiers: { throttle: 1 } }]
    const { port, denied, broker } = await stage({ records: [[key('sensor'), account(rules)]] })
    const socket = await raw(port)
    const failed = once(broker, 'clientError')
    socket.send(connectPacket('s1', 'sensor', { will: { ...will, topic } }))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 5 })
    expect((await failed)[1]).toMatchObject({ reason })
    expect(denied).toMatchObject([{ decision: { reason } }])
  })

  it.each([{ qos: 2 }, { retain: true }, { payload: Buffer.from('longer') }])(
    'is judged with its limits: %o',
    async more => {
      const rule = { pattern: 'last/%c', maxQos: 1 as const, maxPayloadSize: 4, allowedRetain: false }
      const { port } = await stage({ records: [[key('sensor'), account([rule])]] })
      const fitting = { ...will, retain: false }
      await rawClient(port, 's1', 'sensor', { will: fitting })
      const socket = await raw(port)
      socket.send(connectPacket('s2', 'sensor', { will: { ...fitting, topic: 'last/s2', ...more } }))
      expect(await socket.next('connack')).toMatchObject({ returnCode: 5 })
    },
  )
})

describe('a will when its client is gone', () => {
  const records = [watcher, [key('sensor'), account(['last/%c'], ['a', 'b'])]] as const

  it.each([{ filters: [] }, { filters: ['a', 'b'] }])(
    'is published, $filters.length subscriptions or none',
    async ({ filters }) => {
      const ground = await stage({ records })
      const messages = await watch(ground)
      const socket = await rawClient(ground.port, 's1', 'sensor', { will })
      if (filters.length > 0) {
        socket.send({ cmd: 'subscribe', messageId: 1, subscriptions: filters.map(topic => ({ topic, qos: 0 })) })
        await socket.next('suback')
      }
      socket.socket.resetAndDestroy()
      await eventually(() => messages.length > 0, 'the will arrives')
      expect(messages).toEqual(['last/s1=gone'])
      expect(await collect(ground.broker.persistence.createRetainedStream('#'))).toMatchObject([{ topic: 'last/s1' }])
      await eventually(() => ground.authorizer.stats().sessions === 1, 'the session is closed')
    },
  )

  it('is not published after DISCONNECT', async () => {
    const { port, broker } = await stage({ records })
    const topics = publishedWills(broker)
    const socket = await rawClient(port, 's1', 'sensor', { will })
    socket.send({ cmd: 'disconnect' })
    await once(broker, 'clientDisconnect')
    await new Promise<void>(resolve => broker.publish(marker, () => resolve()))
    expect(topics).toEqual(['marker'])
  })

  it('is published after a refused publish closed the connection, since it is allowed itself', async () => {
    const ground = await stage({ records })
    const messages = await watch(ground)
    const socket = await rawClient(ground.port, 's1', 'sensor', { will })
    socket.send({ cmd: 'publish', topic: 'secret', payload: '', qos: 0 })
    await eventually(() => messages.length > 0, 'the will arrives')
    expect(messages).toEqual(['last/s1=gone'])
  })

  it('goes nowhere when the rules have changed since', async () => {
    const ground = await stage({ records })
    const messages = await watch(ground)
    const topics = publishedWills(ground.broker)
    const socket = await rawClient(ground.port, 's1', 'sensor', { will })
    await ground.store.put(key('sensor'), account(['other']))
    socket.socket.resetAndDestroy()
    await eventually(() => topics.length > 0, 'the will was judged')
    expect(topics).toEqual(['$warden/refused'])
    expect(await delivered(ground.broker, messages)).toEqual([])
    expect(await collect(ground.broker.persistence.createRetainedStream('#'))).toEqual([])
    expect(await collect(ground.broker.persistence.createRetainedStream('$SYS/#'))).toEqual([])
    expect(await collect(ground.broker.persistence.streamWill({}))).toEqual([])
    expect(ground.denied).toMatchObject([{ action: 'publish', topic: 'last/s1' }])
  })

  it('goes nowhere when the account was deleted', async () => {
    const ground = await stage({ records })
    const messages = await watch(ground)
    const topics = publishedWills(ground.broker)
    const socket = await rawClient(ground.port, 's1', 'sensor', { will })
    await ground.store.delete(key('sensor'))
    await socket.closed()
    await eventually(() => topics.length > 0, 'the will was judged')
    expect(await delivered(ground.broker, messages)).toEqual([])
  })

  it('is published when only the password was changed, as its rules still allow it', async () => {
    const ground = await stage({ records })
    const messages = await watch(ground)
    const socket = await rawClient(ground.port, 's1', 'sensor', { will })
    await ground.store.put(key('sensor'), { ...account(['last/%c']), passhash: otherPasshash })
    await socket.closed()
    await eventually(() => messages.length > 0, 'the will arrives')
    expect(messages).toEqual(['last/s1=gone'])
  })

  it('goes through the modifiers of its rule, QoS included', async () => {
    const modifiers = { topic: '$odd/wills', payload: 'rewritten', qos: 0 as const, retain: false }
    const ground = await stage({ records: [watcher, [key('sensor'), account([{ pattern: 'last/%c', modifiers }])]] })
    const messages = await watch(ground)
    const socket = await rawClient(ground.port, 's1', 'sensor', { will })
    const published: unknown[] = []
    ground.broker.on('publish', ({ topic, qos, retain }) => published.push({ topic, qos, retain }))
    socket.socket.resetAndDestroy()
    await eventually(() => messages.length > 0, 'the will arrives')
    expect(messages).toEqual(['$odd/wills=rewritten'])
    expect(published).toContainEqual({ topic: '$odd/wills', qos: 0, retain: false })
  })

  it('goes nowhere when a hook found in place refuses it', async () => {
    const ground = await stage({
      records,
      broker: { authorizePublish: (_client, _packet, callback) => callback(new Error('no')) },
    })
    const messages = await watch(ground)
    const topics = publishedWills(ground.broker)
    const socket = await rawClient(ground.port, 's1', 'sensor', { will })
    socket.socket.resetAndDestroy()
    await eventually(() => topics.length > 0, 'the will was judged')
    expect(topics).toEqual(['$warden/refused'])
    expect(await delivered(ground.broker, messages)).toEqual([])
  })

  it('is judged by the open session while the protection closes', async () => {
    const ground = await stage({ records })
    const topics = publishedWills(ground.broker)
    await rawClient(ground.port, 's1', 'sensor', { will })
    await ground.protection.close()
    await eventually(() => topics.length > 0, 'the will was judged')
    expect(topics).toEqual(['last/s1'])
  })
})

describe('the wills of a broker that died', () => {
  /** Milliseconds between two heartbeats of a broker, which looks for the wills of dead ones every fourth time. */
  const HEARTBEAT_MS = 20

  /**
   * A broker that looks once for the wills of a dead one. A second look, begun before the first was over, would publish
   * what that has not removed yet once more.
   */
  async function aftermath(wills: { clientId: string; topic: string; owner?: string }[], present?: string) {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onEnd(() => vi.useRealTimers())
    const store = createMemoryStore([watcher, [key('sensor'), account(['last/%c'])], [key('other'), account(['x'])]])
    const ground = await stage({ store, broker: { heartbeatInterval: HEARTBEAT_MS } })
    const errors: unknown[] = []
    ground.broker.on('error' as never, (error: unknown) => errors.push(error))
    const messages = await watch(ground)
    if (present !== undefined) await rawClient(ground.port, wills[0]!.clientId, present)
    for (const { clientId, topic, owner } of wills) {
      const stored = { ...will, topic, retain: false, ...(owner && { warden: { mountpoint: '', username: owner } }) }
      await ground.broker.persistence.putWill({ id: clientId }, stored)
      Object.assign(stored, { brokerId: 'dead' })
    }
    vi.advanceTimersByTime(4 * HEARTBEAT_MS)
    await eventually(
      async () => (await collect(ground.broker.persistence.streamWill({}))).length === 0,
      'all are swept',
    )
    expect(errors).toEqual([])
    return { ...ground, messages: await delivered(ground.broker, messages) }
  }

  it('are published where their account allows it, whatever becomes of the others', async () => {
    const { messages, faults, denied } = await aftermath([
      { clientId: 'a', topic: 'last/a', owner: 'other' },
      { clientId: 'b', topic: 'last/b' },
      { clientId: 'c', topic: 'last/c', owner: 'nobody' },
      { clientId: 'd', topic: 'a/'.repeat(200), owner: 'sensor' },
      { clientId: 'e', topic: '$SYS/b/new/clients', owner: 'sensor' },
      { clientId: 'f', topic: 'last/f', owner: 'sensor' },
    ])
    expect(messages).toEqual(['last/f=gone'])
    expect(faults).toEqual([])
    expect(
      denied.map(({ principal, decision, detail }) => [principal.clientId, decision.reason, detail]).sort(),
    ).toEqual([
      ['a', 'no_matching_rule', undefined],
      ['b', 'no_matching_rule', 'will without a known owner'],
      ['c', 'bad_credentials', 'no record'],
      ['d', 'too_deep', undefined],
      ['e', 'no_matching_rule', undefined],
    ])
  })

  it('are judged by the account that left them, not by the one that has the client id now', async () => {
    const allowed = await aftermath([{ clientId: 'a', topic: 'last/a', owner: 'sensor' }], 'other')
    expect(allowed.messages).toEqual(['last/a=gone'])
    const refused = await aftermath([{ clientId: 'a', topic: 'last/a', owner: 'other' }], 'sensor')
    expect(refused.messages).toEqual([])
  })

  it('carry their owner from the login on', async () => {
    const { port, broker } = await stage({ records: [[key('sensor'), account(['last/%c'])]] })
    await rawClient(port, 's1', 'sensor', { will })
    expect(await collect(broker.persistence.streamWill({ other: 1 }))).toMatchObject([
      { clientId: 's1', warden: { mountpoint: '', username: 'sensor' } },
    ])
  })
})
