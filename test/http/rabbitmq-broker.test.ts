import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Authorizer, createAuthorizer, type DeniedEvent } from '../../src/authorizer/index.js'
import { createEndpointServer, createRabbitmqHandler } from '../../src/http/index.js'
import type { AclRecord, RecordKey } from '../../src/record/index.js'
import { createMemoryStore } from '../../src/store/index.js'
import { eventually } from '../helpers/eventually.js'
import { type Rabbitmq, startRabbitmq } from '../helpers/rabbitmq.js'
import { plainHasher } from './support.js'

const SECRET = 'a-secret-of-the-path'
const PUMP: RecordKey = { mountpoint: '', clientId: 'pump.1', username: 'plant' }
const BOSS: RecordKey = { mountpoint: '', clientId: '*', username: 'boss' }

const PUMP_RECORD: AclRecord = {
  passhash: 'plain:pw',
  publishAcl: [
    { pattern: 'state/%c/#' },
    { pattern: 'state/p1/#' },
    { pattern: 'will/ok' },
    { pattern: 'quiet', maxQos: 0 },
  ],
  subscribeAcl: [{ pattern: 'command/p1/+' }, { pattern: 'news/#' }],
}
const BOSS_RECORD: AclRecord = {
  passhash: 'plain:boss',
  publishAcl: [{ pattern: 'command/#' }, { pattern: 'news/#' }],
  subscribeAcl: [{ pattern: '#' }],
}

describe('a real RabbitMQ', () => {
  let authorizer: Authorizer
  let store: ReturnType<typeof createMemoryStore>
  let server: Server
  let rabbitmq: Rabbitmq
  const denied: DeniedEvent[] = []
  const errors: unknown[] = []
  const clients: MqttClient[] = []

  beforeAll(async () => {
    store = createMemoryStore()
    authorizer = createAuthorizer({ store, hasher: plainHasher, refusalCapMs: 0 })
    authorizer.on('denied', event => denied.push(event))
    const handler = createRabbitmqHandler(authorizer, { pathSecret: SECRET, onError: error => errors.push(error) })
    server = createEndpointServer(handler).listen(0, '127.0.0.1')
    await once(server, 'listening')
    rabbitmq = await startRabbitmq(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${SECRET}`)
  }, 150_000)

  afterAll(async () => {
    await rabbitmq?.stop()
    server?.closeAllConnections()
    server?.close()
    await authorizer?.close()
  }, 60_000)

  beforeEach(async () => {
    await store.put(PUMP, PUMP_RECORD)
    await store.put(BOSS, BOSS_RECORD)
    denied.length = 0
  })

  afterEach(async () => {
    await Promise.all(clients.splice(0).map(client => client.endAsync(true)))
    expect(errors).toEqual([])
  })

  async function login(options: IClientOptions): Promise<MqttClient> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${rabbitmq.port}`, {
      protocolVersion: 4,
      reconnectPeriod: 0,
      connectTimeout: 20_000,
      ...options,
    })
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  const pump = (options: IClientOptions = {}) =>
    login({ clientId: 'pump.1', username: 'plant', password: 'pw', ...options })
  const boss = (clientId: string) => login({ clientId, username: 'boss', password: 'boss' })
  const reasons = () => denied.map(({ action, topic, filter, decision }) => [action, topic ?? filter, decision.reason])

  const closeOf = (client: MqttClient) => new Promise<void>(resolve => client.once('close', () => resolve()))

  /** Everything a client is sent, as `topic payload`. */
  function heard(client: MqttClient): string[] {
    const messages: string[] = []
    client.on('message', (topic, payload) => messages.push(`${topic} ${payload}`))
    return messages
  }

  it('lets in who has a record, and nobody else', async () => {
    await pump()
    expect(denied).toEqual([])
    for (const wrong of [{ password: 'no' }, { username: 'nobody' }, { clientId: 'pump.2' }]) {
      await expect(pump(wrong)).rejects.toMatchObject({ code: 4 })
    }
    expect(reasons()).toEqual(Array.from({ length: 3 }, () => ['connect', undefined, 'bad_credentials']))
  })

  it('delivers what both sides may', async () => {
    const [client, master] = [await pump(), await boss('b1')]
    const [atPump, atBoss] = [heard(client), heard(master)]
    await client.subscribeAsync({ 'command/p1/+': { qos: 1 }, 'news/#': { qos: 0 } })
    await master.subscribeAsync('state/#', { qos: 1 })
    await master.publishAsync('command/p1/stop', 'now', { qos: 1 })
    await master.publishAsync('news/a/b', 'n', { qos: 1 })
    await client.publishAsync('state/p1/x', 's', { qos: 2 })
    await eventually(() => atPump.length === 2 && atBoss.length === 1, 'three messages arrive')
    expect(atPump.sort()).toEqual(['command/p1/stop now', 'news/a/b n'])
    expect(atBoss).toEqual(['state/p1/x s'])
    expect(denied).toEqual([])
  })

  it('refuses a subscription that no rule covers: closes the connection, or in later versions answers 0x80', async () => {
    const client = await pump()
    const suback = new Promise<unknown>(resolve => {
      client.on('packetreceive', packet => packet.cmd === 'suback' && resolve(packet.granted))
    })
    const closed = new Promise<string>(resolve => client.once('close', () => resolve('closed')))
    client.subscribe({ 'news/a': { qos: 1 }, 'command/#': { qos: 1 } }, () => {})
    expect(['closed', [1, 0x80]]).toContainEqual(await Promise.race([suback, closed]))
    expect(reasons()).toEqual([['subscribe', 'command/#', 'no_matching_rule']])
  })

  it('takes a star in a filter for the wildcard that RabbitMQ makes of it', async () => {
    const client = await pump()
    await client.subscribeAsync('command/*/x').catch(() => {})
    expect(reasons()).toEqual([['subscribe', 'command/+/x', 'no_matching_rule']])
  })

  it.each([
    ['state/p2/x', 'state/p2/x', 'no_matching_rule'],
    ['state/p1/*', 'state.p1.*', 'topic_invalid'],
    ['state/pump.1/x', 'state/pump/1/x', 'no_matching_rule'],
    ['quiet', 'quiet', 'no_matching_rule'],
  ])('closes the connection of who publishes to %s', async (topic, judged, reason) => {
    const [client, master] = [await pump(), await boss('b2')]
    const messages = heard(master)
    await master.subscribeAsync('#', { qos: 1 })
    const closed = closeOf(client)
    client.publish(topic, 'x', { qos: 1 }, () => {})
    await closed
    expect(reasons()[0]).toEqual(['publish', judged, reason])
    await master.publishAsync('news/end', 'x', { qos: 1 })
    await eventually(() => messages.includes('news/end x'), 'the last message arrives')
    expect(messages).toEqual(['news/end x'])
  })

  it('knows a dot for the slash that RabbitMQ makes of it', async () => {
    const [client, master] = [await pump(), await boss('b3')]
    const messages = heard(master)
    await master.subscribeAsync('state/p1/a/b', { qos: 1 })
    await client.publishAsync('state/p1/a.b', 'x', { qos: 1 })
    await eventually(() => messages.length > 0, 'the message arrives')
    expect(messages).toEqual(['state/p1/a/b x'])
  })

  it('publishes a will that is allowed, and no other', async () => {
    const master = await boss('b4')
    const messages = heard(master)
    await master.subscribeAsync('will/#', { qos: 1 })
    for (const topic of ['will/no', 'will/ok']) {
      const client = await pump({ will: { topic, payload: Buffer.from('gone'), qos: 1, retain: false } })
      client.stream.destroy()
      await closeOf(client)
      if (topic === 'will/no') await eventually(() => denied.length > 0, 'the will is refused')
    }
    await eventually(() => messages.length > 0, 'the will arrives')
    expect(messages).toEqual(['will/ok gone'])
    expect(reasons()[0]).toEqual(['publish', 'will/no', 'no_matching_rule'])
  })

  it('refuses by a changed record from the next new topic on, and the next login', async () => {
    const client = await pump()
    await client.publishAsync('state/p1/x', 'x', { qos: 1 })
    await store.put(PUMP, { ...PUMP_RECORD, publishAcl: [] })
    const closed = closeOf(client)
    client.publish('state/p1/y', 'x', { qos: 1 }, () => {})
    await closed
    await store.delete(PUMP)
    await expect(pump()).rejects.toMatchObject({ code: 4 })
  })
})
