import { createMemoryStore } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { account, client, collect, inbox, key, rawClient, stage } from './setup.js'

const watcher = [key('watcher'), account([], ['#', '$SYS/#', '$odd/#'])] as const

describe('publishing', () => {
  it('delivers what a rule allows', async () => {
    const { port } = await stage({ records: [watcher, [key('sensor'), account(['plant/%c/temp'])]] })
    const listener = await client(port, 'watcher')
    const messages = inbox(listener)
    await listener.subscribeAsync('#', { qos: 1 })
    const sensor = await client(port, 'sensor', { clientId: 's1' })
    await sensor.publishAsync('plant/s1/temp', '21', { qos: 1 })
    await eventually(() => messages.length === 1, 'the message arrives')
    expect(messages).toEqual(['plant/s1/temp=21'])
  })

  it.each([0, 1, 2] as const)('closes a client whose QoS %i publish no rule allows, and says so', async qos => {
    const { port, denied } = await stage({ records: [[key('sensor'), account(['plant/%c'])]] })
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send({ cmd: 'publish', topic: 'plant/s2', payload: 'x', qos, messageId: 7 })
    await socket.closed()
    expect(socket.received).toEqual([])
    expect(denied).toMatchObject([
      {
        action: 'publish',
        topic: 'plant/s2',
        principal: { clientId: 's1', username: 'sensor' },
        decision: { reason: 'no_matching_rule', nearest: { pattern: 'plant/%c' } },
      },
    ])
  })

  it.each([
    { qos: 0, acks: [] },
    { qos: 1, acks: ['puback'] },
    { qos: 2, acks: ['pubrec', 'pubcomp'] },
  ] as const)(
    'with onDeniedPublish "drop" acknowledges a refused QoS $qos publish and keeps the client',
    async ({ qos, acks }) => {
      const { port, broker } = await stage({
        records: [watcher, [key('sensor'), account(['open'])]],
        options: { onDeniedPublish: 'drop' },
      })
      const listener = await client(port, 'watcher', { clientId: 'w', clean: false })
      const messages = inbox(listener)
      await listener.subscribeAsync(['#', '$SYS/#'], { qos: 2 })
      const socket = await rawClient(port, 's1', 'sensor')
      socket.send({ cmd: 'publish', topic: 'secret', payload: 'x', qos, retain: true, messageId: 7 })
      for (const cmd of acks) {
        expect(await socket.next(cmd)).toMatchObject({ messageId: 7 })
        if (cmd === 'pubrec') socket.send({ cmd: 'pubrel', messageId: 7 })
      }
      socket.send({ cmd: 'publish', topic: 'open', payload: 'y', qos: 1, messageId: 8 })
      expect(await socket.next('puback')).toMatchObject({ messageId: 8 })
      await eventually(() => messages.includes('open=y'), 'the allowed message arrives')
      expect(messages.filter(message => !message.startsWith('$SYS/'))).toEqual(['open=y'])
      expect(messages.some(message => message.includes('warden'))).toBe(false)
      expect(await collect(broker.persistence.createRetainedStream('#'))).toEqual([])
      expect(await collect(broker.persistence.createRetainedStream('$SYS/#'))).toEqual([])
    },
  )

  it('with onDeniedPublish "drop" acknowledges nothing while the store cannot be read, but closes', async () => {
    const store = createMemoryStore([[key('sensor'), account(['open'])]])
    const { port, authorizer } = await stage({
      store,
      options: { onDeniedPublish: 'drop' },
      authorizer: { readTimeoutMs: 10 },
    })
    const socket = await rawClient(port, 's1', 'sensor')
    authorizer.on('error', () => {})
    Object.assign(store, { get: async () => Promise.reject(new Error('down')), getStored: undefined })
    await store.put(key('sensor'), account(['open']))
    const [session] = authorizer.sessions()
    await eventually(() => !session!.authorizePublish('open').allow, 'the rules are no longer trusted')
    socket.send({ cmd: 'publish', topic: 'open', payload: '', qos: 1, messageId: 1 })
    await socket.closed()
    expect(socket.received).toEqual([])
  })

  it('queues nothing for sleeping sessions when it drops', async () => {
    const { port, broker } = await stage({
      records: [watcher, [key('sensor'), account(['open'])]],
      options: { onDeniedPublish: 'drop' },
    })
    const listener = await client(port, 'watcher', { clientId: 'w', clean: false })
    await listener.subscribeAsync(['#', '$SYS/#'], { qos: 2 })
    await listener.endAsync()
    const socket = await rawClient(port, 's1', 'sensor')
    for (let messageId = 1; messageId <= 20; messageId++) {
      socket.send({ cmd: 'publish', topic: 'secret', payload: 'x', qos: 1 + (messageId % 2), messageId })
    }
    socket.send({ cmd: 'pingreq' })
    await socket.next('pingresp')
    await eventually(() => socket.received.length === 20, 'all are acknowledged')
    socket.send({ cmd: 'publish', topic: 'open', payload: 'y', qos: 1, messageId: 99 })
    const queue = () => collect(broker.persistence.outgoingStream({ id: 'w' }))
    await eventually(async () => (await queue()).length > 0, 'the allowed message is queued')
    expect((await queue()).map(({ topic }) => topic)).toEqual(['open'])
  })

  it('drops without making another message look like a duplicate', async () => {
    const { port } = await stage({
      records: [watcher, [key('sensor'), account(['open'])]],
      options: { onDeniedPublish: 'drop' },
    })
    const listener = await client(port, 'watcher')
    const messages = inbox(listener)
    await listener.subscribeAsync(['#', '$SYS/#', '$odd/#'])
    const socket = await rawClient(port, 's1', 'sensor')
    // The first takes longer through aedes than the second.
    socket.send(
      { cmd: 'publish', topic: 'open', payload: 'x', qos: 1, messageId: 1 },
      { cmd: 'publish', topic: 'secret', payload: 'x', qos: 0 },
    )
    await eventually(() => messages.includes('open=x'), 'the message arrives')
  })

  it('keeps the order of the messages in one segment, verdicts and acknowledgements alike', async () => {
    const { port } = await stage({
      records: [watcher, [key('sensor'), account(['a/#'])]],
      options: { onDeniedPublish: 'drop' },
    })
    const listener = await client(port, 'watcher')
    const messages = inbox(listener)
    await listener.subscribeAsync('#', { qos: 1 })
    const socket = await rawClient(port, 's1', 'sensor')
    const packets = Array.from({ length: 30 }, (_, at) => ({
      cmd: 'publish',
      topic: at % 3 === 0 ? `secret/${at}` : `a/${at}`,
      payload: '',
      qos: 1,
      messageId: at + 1,
    }))
    socket.send(...packets)
    await eventually(() => socket.received.length === 30, 'all are acknowledged')
    expect(socket.received.map(packet => packet.messageId)).toEqual(packets.map(packet => packet.messageId))
    const expected = packets.filter(({ topic }) => topic.startsWith('a/')).map(({ topic }) => `${topic}=`)
    await eventually(() => messages.length === expected.length, 'all allowed ones arrive')
    expect(messages).toEqual(expected)
  })

  it('lets nothing that follows a refused message in its segment pass', async () => {
    const { port } = await stage({ records: [watcher, [key('sensor'), account(['a'])]] })
    const listener = await client(port, 'watcher')
    const messages = inbox(listener)
    await listener.subscribeAsync('#')
    const socket = await rawClient(port, 's1', 'sensor')
    const publish = (topic: string) => ({ cmd: 'publish', topic, payload: '', qos: 0 })
    socket.send(publish('a'), publish('secret'), publish('a'))
    await socket.closed()
    await eventually(() => messages.length > 0, 'the first message arrives')
    expect(messages).toEqual(['a='])
  })

  it.each(['$SYS/x/new/clients', '$SYS/sub/add', '$SYS/'])(
    'refuses to publish to %s, even where a rule says it literally',
    async topic => {
      const { port, denied } = await stage({ records: [[key('sensor'), account(['$SYS/#', '#'])]] })
      const socket = await rawClient(port, 's1', 'sensor')
      socket.send({ cmd: 'publish', topic, payload: 's1', qos: 0 })
      await socket.closed()
      expect(denied).toMatchObject([{ action: 'publish', topic, decision: { reason: 'no_matching_rule' } }])
    },
  )

  it('allows other $ names to a rule that says them literally, and to no other', async () => {
    const records = [watcher, [key('wide'), account(['#'])], [key('odd'), account(['$odd/#'])]] as const
    const { port } = await stage({ records })
    const listener = await client(port, 'watcher')
    const messages = inbox(listener)
    await listener.subscribeAsync('$odd/#')
    const wide = await rawClient(port, 'c1', 'wide')
    wide.send({ cmd: 'publish', topic: '$odd/1', payload: '', qos: 0 })
    await wide.closed()
    const odd = await client(port, 'odd')
    await odd.publishAsync('$odd/2', '')
    await eventually(() => messages.length > 0, 'the message arrives')
    expect(messages).toEqual(['$odd/2='])
  })

  it.each([
    { limit: { maxQos: 0 as const }, sent: { qos: 1 as const }, missed: 'max_qos' },
    { limit: { maxPayloadSize: 3 }, sent: { payload: 'four' }, missed: 'max_payload_size' },
    { limit: { allowedRetain: false }, sent: { retain: true }, missed: 'retain' },
  ])('refuses what exceeds $missed', async ({ limit, sent, missed }) => {
    const { port, denied } = await stage({ records: [[key('sensor'), account([{ pattern: 't', ...limit }])]] })
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send({ cmd: 'publish', topic: 't', payload: 'x', qos: 0, messageId: 1, ...sent })
    await socket.closed()
    expect(denied).toMatchObject([{ decision: { reason: 'no_matching_rule', missed } }])
  })
})

describe('modifiers of a publish rule', () => {
  it('rewrite topic, payload and retain', async () => {
    const modifiers = { topic: 'stored/t', payload: 'set by the rule', retain: true }
    const { port, broker } = await stage({
      records: [watcher, [key('sensor'), account([{ pattern: 't', modifiers }])]],
    })
    const listener = await client(port, 'watcher')
    const messages = inbox(listener)
    await listener.subscribeAsync('#')
    const sensor = await client(port, 'sensor')
    await sensor.publishAsync('t', 'sent', { qos: 1 })
    await eventually(() => messages.length > 0, 'the message arrives')
    expect(messages).toEqual(['stored/t=set by the rule'])
    expect(await collect(broker.persistence.createRetainedStream('#'))).toMatchObject([{ topic: 'stored/t' }])
  })

  it.each([0, 1, 2].flatMap(sent => [0, 1, 2].map(set => ({ sent, set }))))(
    'turn QoS $sent into QoS $set, and leave the acknowledgement to the QoS that was sent',
    async ({ sent, set }) => {
      const modifiers = { qos: set as 0 | 1 | 2 }
      const { port } = await stage({ records: [watcher, [key('sensor'), account([{ pattern: 't', modifiers }])]] })
      const socket = await rawClient(port, 's1', 'sensor')
      const listener = await rawClient(port, 'w', 'watcher')
      listener.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 2 }] })
      await listener.next('suback')
      // Sent twice with the same packet id: at QoS 2 the second is a duplicate.
      const packet = { cmd: 'publish', topic: 't', payload: 'x', qos: sent, messageId: 7 }
      socket.send(packet)
      if (sent === 1) expect(await socket.next('puback')).toMatchObject({ messageId: 7 })
      if (sent === 2) {
        expect(await socket.next('pubrec')).toMatchObject({ messageId: 7 })
        socket.send({ ...packet, dup: true })
        await socket.next('pubrec')
        socket.send({ cmd: 'pubrel', messageId: 7 })
        expect(await socket.next('pubcomp')).toMatchObject({ messageId: 7 })
      }
      expect(await listener.next('publish')).toMatchObject({ topic: 't', qos: set })
      socket.send({ cmd: 'pingreq' })
      await socket.next('pingresp')
      expect(socket.received).toEqual([])
      expect(listener.received).toEqual([])
    },
  )

  it.each([
    { modifiers: { mountpoint: 'm' } },
    { modifiers: { throttle: 100 } },
    { modifiers: { properties: { contentType: 'text/plain' } } },
    { modifiers: { topic: '$SYS/b/new/clients' } },
    { modifiers: { topic: Array(120).fill('l').join('/') } },
  ])('that aedes cannot apply refuse the message: $modifiers', async ({ modifiers }) => {
    const { port, denied } = await stage({ records: [[key('sensor'), account([{ pattern: 't', modifiers }])]] })
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send({ cmd: 'publish', topic: 't', payload: 'x', qos: 0 })
    await socket.closed()
    expect(denied).toMatchObject([{ action: 'publish', topic: 't', decision: { reason: 'modifiers_unsupported' } }])
  })
})
