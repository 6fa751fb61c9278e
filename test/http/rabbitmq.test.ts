import { describe, expect, it } from 'vitest'
import { createRabbitmqHandler, type RabbitmqOptions } from '../../src/http/index.js'
import { ask, brokenStore, type Encoding, setScene } from './support.js'

const USER = { username: 'plant', password: 'pw', vhost: '/', client_id: 'pump-1' }
const VHOST = { username: 'plant', vhost: '/', ip: '10.0.0.9', tags: '', client_id: 'pump-1' }
const RESOURCE = {
  username: 'plant',
  vhost: '/',
  resource: 'queue',
  name: 'mqtt-subscription-pump-1qos1',
  permission: 'read',
  tags: '',
  client_id: 'pump-1',
}
const TOPIC = {
  username: 'plant',
  vhost: '/',
  resource: 'topic',
  name: 'amq.topic',
  permission: 'write',
  tags: '',
  routing_key: 'state.pump-1.temp',
  'variable_map.client_id': 'pump-1',
  'variable_map.username': 'plant',
  'variable_map.vhost': '/',
}

const ways: readonly Encoding[] = ['POST with a form', 'GET with a query']

describe('user', () => {
  it.each(ways)('is allowed, without a tag: %s', async way => {
    const { authorizer } = setScene()
    expect(await ask(createRabbitmqHandler(authorizer), 'user', USER, way)).toEqual({
      status: 200,
      body: 'allow',
      type: 'text/plain',
    })
  })

  it('is allowed with the tags that everybody gets', async () => {
    const { authorizer } = setScene()
    const handler = createRabbitmqHandler(authorizer, { tags: ['policymaker', 'monitoring'] })
    expect((await ask(handler, 'user', USER, 'POST with a form')).body).toBe('allow policymaker monitoring')
  })

  it.each([
    ['wrong password', { password: 'no' }, 'bad_credentials'],
    ['unknown user', { username: 'nobody' }, 'bad_credentials'],
    ['no client id, as AMQP and the management interface', { client_id: '' }, 'client_id_refused'],
    ['another virtual host', { vhost: 'other' }, 'no_matching_rule'],
    ['a virtual host that is in every object', { vhost: 'constructor' }, 'no_matching_rule'],
  ])('is denied, without a reason: %s', async (_what, change, reason) => {
    const { authorizer, denied } = setScene()
    const answer = await ask(createRabbitmqHandler(authorizer), 'user', { ...USER, ...change }, 'POST with a form')
    expect(answer).toMatchObject({ status: 200, body: 'deny' })
    expect(denied.map(({ action, decision }) => [action, decision.reason])).toEqual([['connect', reason]])
    expect(denied[0]!.detail).toMatch(/^rabbitmq_user/)
  })

  it('has the records of the mountpoint of its virtual host', async () => {
    const { authorizer } = setScene()
    const handler = createRabbitmqHandler(authorizer, { vhosts: { '/': '', factory: 'factory' } })
    const login = (change: object) => ask(handler, 'user', { ...USER, ...change }, 'POST with a form')
    expect((await login({ vhost: 'factory' })).body).toBe('deny')
    expect((await login({ vhost: 'factory', password: 'factory' })).body).toBe('allow')
    expect((await login({ password: 'factory' })).body).toBe('deny')
  })
})

describe('vhost', () => {
  it.each(ways)('is allowed to who has a record: %s', async way => {
    const { authorizer } = setScene()
    expect((await ask(createRabbitmqHandler(authorizer), 'vhost', VHOST, way)).body).toBe('allow')
  })

  it.each([{ username: 'nobody' }, { client_id: 'pump-2' }, { vhost: 'other' }])('is denied: %j', async change => {
    const { authorizer, denied } = setScene()
    const answer = await ask(createRabbitmqHandler(authorizer), 'vhost', { ...VHOST, ...change }, 'POST with a form')
    expect(answer).toMatchObject({ status: 200, body: 'deny' })
    expect(denied).toMatchObject([{ action: 'connect', address: '10.0.0.9' }])
  })
})

describe('resource', () => {
  it.each([
    ...['configure', 'write', 'read'].flatMap(permission => [
      { permission },
      { permission, name: 'mqtt-subscription-pump-1qos0' },
      { permission, name: 'mqtt-will-pump-1' },
    ]),
    { resource: 'exchange', name: 'amq.topic', permission: 'write' },
    { resource: 'exchange', name: 'amq.topic', permission: 'read' },
  ])('is allowed: %j', async change => {
    const { authorizer } = setScene()
    const fields = { ...RESOURCE, ...change }
    expect((await ask(createRabbitmqHandler(authorizer), 'resource', fields, 'POST with a form')).body).toBe('allow')
  })

  it.each([
    { name: 'mqtt-subscription-pump-2qos1' },
    { name: 'mqtt-subscription-pump-1qos2' },
    { name: 'mqtt-subscription-pump-1qos1x' },
    { name: 'mqtt-subscription-qos1' },
    { name: 'orders' },
    { resource: 'exchange', name: 'amq.topic', permission: 'configure' },
    { resource: 'exchange', name: 'amq.direct', permission: 'write' },
    { resource: 'exchange', name: '', permission: 'write' },
    { resource: 'exchange', name: 'mqtt-subscription-pump-1qos1' },
    { resource: 'topic', name: 'amq.topic' },
    { resource: 'stream' },
    { username: 'nobody' },
    { client_id: '', name: 'mqtt-subscription-qos1' },
    { vhost: 'other' },
  ])('is denied: %j', async change => {
    const { authorizer, denied } = setScene()
    const fields = { ...RESOURCE, ...change }
    const answer = await ask(createRabbitmqHandler(authorizer), 'resource', fields, 'POST with a form')
    expect(answer).toMatchObject({ status: 200, body: 'deny' })
    expect(denied).toHaveLength(1)
  })

  it('names what was asked for in the event', async () => {
    const { authorizer, denied } = setScene()
    const fields = { ...RESOURCE, name: 'orders' }
    await ask(createRabbitmqHandler(authorizer), 'resource', fields, 'POST with a form')
    expect(denied[0]!.detail).toBe('rabbitmq_resource: read on "queue" "orders" is not for this client')
  })
})

describe('topic', () => {
  it.each<[string, object, string | true]>([
    ['writes', {}, true],
    ['writes nowhere else', { routing_key: 'state.pump-2.temp' }, 'no_matching_rule'],
    ['takes a dot of the client for a level, as RabbitMQ does', { routing_key: 'state.pump-1.a.b' }, true],
    ['writes no star, which others would receive as a plus', { routing_key: 'state.pump-1.*' }, 'topic_invalid'],
    ['writes no wildcard', { routing_key: 'state.pump-1.#' }, 'topic_invalid'],
    ['writes no slash', { routing_key: 'state/pump-1/x' }, 'topic_invalid'],
    ['writes nothing without a name', { routing_key: '' }, 'topic_invalid'],
    ['writes where the highest QoS of RabbitMQ fits', { routing_key: 'once' }, true],
    ['writes of unknown QoS', { routing_key: 'quiet' }, 'no_matching_rule'],
    ['writes that a rule rewrites', { routing_key: 'moved' }, 'modifiers_unsupported'],
    ['reads', { permission: 'read', routing_key: 'command.pump-1.*' }, true],
    ['reads all levels', { permission: 'read', routing_key: 'news.#' }, true],
    [
      'reads in place of a star of the client a plus',
      { permission: 'read', routing_key: 'command.*.x' },
      'no_matching_rule',
    ],
    ['reads no wider', { permission: 'read', routing_key: '#' }, 'no_matching_rule'],
    ['reads no star inside a level', { permission: 'read', routing_key: 'news.a*' }, 'filter_invalid'],
    ['reads no hash in the middle', { permission: 'read', routing_key: 'news.#.x' }, 'filter_invalid'],
    ['reads no plus', { permission: 'read', routing_key: 'news.+' }, 'filter_invalid'],
    ['reads no slash', { permission: 'read', routing_key: 'news/x' }, 'filter_invalid'],
    ['knows no other exchange', { name: 'amq.direct' }, 'no_matching_rule'],
    ['knows no other virtual host', { vhost: 'other', 'variable_map.vhost': 'other' }, 'no_matching_rule'],
    ['wants the same client id twice', { client_id: 'pump-2' }, 'no_matching_rule'],
    ['wants the same user twice', { 'variable_map.username': 'guests' }, 'no_matching_rule'],
    ['wants the same virtual host twice', { 'variable_map.vhost': 'x' }, 'no_matching_rule'],
    ['wants a client id', { 'variable_map.client_id': undefined }, 'client_id_refused'],
    ['wants a record', { username: 'nobody', 'variable_map.username': 'nobody' }, 'bad_credentials'],
  ])('%s', async (_what, change, expected) => {
    const { authorizer, store, denied } = setScene()
    const key = { mountpoint: '', clientId: 'pump-1', username: 'plant' }
    const record = (await store.get(key))!
    await store.put(key, { ...record, publishAcl: [...record.publishAcl, { pattern: 'once', maxQos: 1 }] })
    const fields = Object.fromEntries(
      Object.entries({ ...TOPIC, ...change }).filter(([, value]) => value !== undefined),
    )
    for (const way of ways) {
      denied.length = 0
      const answer = await ask(createRabbitmqHandler(authorizer), 'topic', fields, way)
      expect(answer).toMatchObject({ status: 200, body: expected === true ? 'allow' : 'deny' })
      expect(denied.map(({ decision }) => decision.reason)).toEqual(expected === true ? [] : [expected])
    }
  })

  it('fits no rule with a dot, since RabbitMQ has none', async () => {
    const { authorizer, store } = setScene()
    const key = { mountpoint: '', clientId: 'pump-1', username: 'plant' }
    await store.put(key, { passhash: 'plain:pw', publishAcl: [{ pattern: 'a.b' }], subscribeAcl: [] })
    const handler = createRabbitmqHandler(authorizer)
    expect((await ask(handler, 'topic', { ...TOPIC, routing_key: 'a.b' }, 'POST with a form')).body).toBe('deny')
  })

  it('goes by the exchange that MQTT was given', async () => {
    const { authorizer } = setScene()
    const handler = createRabbitmqHandler(authorizer, { exchange: 'mqtt' })
    expect((await ask(handler, 'topic', TOPIC, 'POST with a form')).body).toBe('deny')
    expect((await ask(handler, 'topic', { ...TOPIC, name: 'mqtt' }, 'POST with a form')).body).toBe('allow')
  })
})

it.each(['user', 'vhost', 'resource', 'topic'])('denies what cannot be decided: %s', async call => {
  const { authorizer } = setScene({ store: brokenStore() })
  const fields = { ...RESOURCE, ...USER, ...(call === 'topic' && TOPIC) }
  const answer = await ask(createRabbitmqHandler(authorizer), call, fields, 'POST with a form')
  expect(answer).toMatchObject({ status: 200, body: 'deny' })
})

describe('options of createRabbitmqHandler', () => {
  it.each<[object, string]>([
    [{ mountpoint: 'x' }, '"mountpoint" is not an option of createRabbitmqHandler, see "vhosts"'],
    [{ vhosts: {} }, '"vhosts" option must be an object with a mountpoint for each virtual host'],
    [{ vhosts: { '/': 1 } }, '"vhosts" option must be an object with a mountpoint for each virtual host'],
    [{ vhosts: null }, '"vhosts" option must be an object with a mountpoint for each virtual host'],
    [{ exchange: '' }, '"exchange" option must be a name'],
    [{ tags: ['a b'] }, '"tags" option must be an array of names'],
    [{ tags: 'administrator' }, '"tags" option must be an array of names'],
  ])('refuses %j', (options, message) => {
    const { authorizer } = setScene()
    expect(() => createRabbitmqHandler(authorizer, options as RabbitmqOptions)).toThrow(message)
  })
})
