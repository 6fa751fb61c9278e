import { describe, expect, it } from 'vitest'
import { HookRequestInvalid } from '../../src/errors.js'
import { describeDenial } from '../../src/index.js'
import { createWebhookHandler, type WebhookOptions } from '../../src/vernemq/index.js'
import { bodyOf, keyOf, open, recordOf } from './support.js'

const OK = '{"result":"ok"}'

describe('auth_on_register', () => {
  it('opens no session and claims no client id: the broker keeps them', async () => {
    const { ask, authorizer } = open([
      [keyOf('c1'), recordOf()],
      [keyOf('*', 'u2'), recordOf()],
    ])
    expect(await ask('auth_on_register', bodyOf.register())).toBe(OK)
    expect(await ask('auth_on_register', bodyOf.register())).toBe(OK)
    // Another account under the same client id: whom VerneMQ lets have it is VerneMQ's affair.
    expect(await ask('auth_on_register', bodyOf.register({ username: 'u2' }))).toBe(OK)
    expect(authorizer.stats()).toMatchObject({ sessions: 0, logins: { allowed: 3, denied: 0 } })
  })

  it('looks the record up under the mountpoint of the listener', async () => {
    const { ask } = open([[keyOf('c1', 'u1', 'mp1'), recordOf()]])
    expect(await ask('auth_on_register', bodyOf.register({ mountpoint: 'mp1' }))).toBe(OK)
    expect(await ask('auth_on_register', bodyOf.register())).toBe('{"result":{"error":"bad_credentials"}}')
  })

  it('refuses a password that VerneMQ could not pass on, and says why', async () => {
    const { ask, denied } = open([[keyOf('c1'), recordOf({ passhash: 'plain:\ufffd' })]])
    expect(await ask('auth_on_register', bodyOf.register({ password: '\ufffd' }))).toBe(
      '{"result":{"error":"bad_credentials"}}',
    )
    expect(denied.map(describeDenial)).toEqual([
      'client "c1" (user "u1") from "127.0.0.1" may not connect: bad_credentials, user name, client id or password is ' +
        'wrong; auth_on_register: password holds U+FFFD, which VerneMQ writes for bytes that are not UTF-8',
    ])
  })

  it('refuses clients without a user name unless anonymous ones may come in', async () => {
    const body = bodyOf.register({ username: null, password: null })
    const closed = open([[keyOf('c1', ''), recordOf()]])
    expect(await closed.ask('auth_on_register', body)).toBe('{"result":{"error":"anonymous_refused"}}')
    const anonymous = { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] }
    const opened = open([], {}, { anonymous })
    expect(await opened.ask('auth_on_register', body)).toBe(OK)
  })

  it('reports what the client is not told', async () => {
    const { ask, denied } = open([[keyOf('c1'), recordOf()]])
    await ask('auth_on_register_m5', bodyOf.registerV5({ password: 'x' }))
    await ask('auth_on_register_m5', bodyOf.registerV5({ client_id: 'c2' }))
    expect(denied).toMatchObject([
      { action: 'connect', address: '127.0.0.1', detail: 'auth_on_register_m5: wrong password' },
      { action: 'connect', address: '127.0.0.1', detail: 'auth_on_register_m5: no record' },
    ])
  })
})

describe('on_auth_m5', () => {
  it('is refused, and the log says why', async () => {
    const { ask, denied } = open([[keyOf('c1'), recordOf()]])
    const body = { username: 'u1', mountpoint: '', client_id: 'undefined', properties: {} }
    expect(await ask('on_auth_m5', body)).toBe('{"result":{"error":"bad_credentials"}}')
    expect(denied).toMatchObject([{ action: 'connect', detail: 'on_auth_m5: enhanced authentication is not offered' }])
  })
})

describe('auth_on_publish', () => {
  it('names hook, client, action, topic, reason and nearest rule of a refusal', async () => {
    const { ask, denied } = open([[keyOf('c1'), recordOf({ publishAcl: [{ pattern: 'hello' }] })]])
    await ask('auth_on_publish', bodyOf.publish('say'))
    expect(denied.map(describeDenial)).toEqual([
      'client "c1" (user "u1") may not publish to "say": no_matching_rule, no rule allows it; auth_on_publish; ' +
        'nearest: "hello"',
    ])
  })

  it('follows the record from one publish to the next', async () => {
    const { ask, store } = open([[keyOf('c1'), recordOf({ publishAcl: [{ pattern: 'a' }] })]])
    expect(await ask('auth_on_publish', bodyOf.publish('a'))).toBe(OK)
    await store.put(keyOf('c1'), recordOf())
    expect(await ask('auth_on_publish', bodyOf.publish('a'))).toBe('{"result":{"error":"no_matching_rule"}}')
    await store.delete(keyOf('c1'))
    expect(await ask('auth_on_publish', bodyOf.publish('a'))).toBe('{"result":{"error":"bad_credentials"}}')
  })

  it('judges QoS and retain', async () => {
    const publishAcl = [{ pattern: 'a', maxQos: 1, allowedRetain: false } as const]
    const { ask } = open([[keyOf('c1'), recordOf({ publishAcl })]])
    expect(await ask('auth_on_publish', bodyOf.publish('a', { qos: 1 }))).toBe(OK)
    expect(await ask('auth_on_publish', bodyOf.publish('a', { qos: 2 }))).toBe(
      '{"result":{"error":"no_matching_rule, max_qos"}}',
    )
    expect(await ask('auth_on_publish', bodyOf.publish('a', { retain: true }))).toBe(
      '{"result":{"error":"no_matching_rule, retain"}}',
    )
  })

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])('counts the bytes behind base64, %i of them', async bytes => {
    const publishAcl = [{ pattern: 'a', maxPayloadSize: 5 }]
    const { ask } = open([[keyOf('c1'), recordOf({ publishAcl })]])
    const payload = Buffer.alloc(bytes).toString('base64')
    expect(await ask('auth_on_publish', bodyOf.publish('a', { payload }))).toBe(
      bytes <= 5 ? OK : '{"result":{"error":"no_matching_rule, max_payload_size"}}',
    )
  })

  it('takes text for a fault of the configuration where base64 is expected, if a limit is at stake', async () => {
    const entries = [[keyOf('c1'), recordOf({ publishAcl: [{ pattern: 'a', maxPayloadSize: 5 }] })]] as const
    for (const payload of ['text!', 'Zm9v=', 'a=bc', '====']) {
      expect(await open(entries).handler.handle('auth_on_publish', bodyOf.publish('a', { payload }))).toMatchObject({
        status: 400,
      })
    }
    const unlimited = open([[keyOf('c1'), recordOf({ publishAcl: [{ pattern: 'a' }] })]])
    expect(await unlimited.ask('auth_on_publish', bodyOf.publish('a', { payload: 'text!' }))).toBe(OK)
  })

  it('refuses what has a size limit when the endpoint sends no payload, or lets it pass by option', async () => {
    const { payload: _, ...body } = bodyOf.publish('a')
    const entries = [[keyOf('c1'), recordOf({ publishAcl: [{ pattern: 'a', maxPayloadSize: 5 }] })]] as const
    expect(await open(entries).ask('auth_on_publish', body)).toBe(
      '{"result":{"error":"no_matching_rule, payload_size_unknown"}}',
    )
    expect(await open(entries, {}, { unknownPayloadSize: 'allow' }).ask('auth_on_publish', body)).toBe(OK)
  })

  it('judges a client without a user name by the rules for such, never by a record with an empty one', async () => {
    const record = recordOf({ publishAcl: [{ pattern: '#' }] })
    const body = (topic: string) => bodyOf.publish(topic, { username: null })
    const closed = open([[keyOf('c1', ''), record]])
    expect(await closed.ask('auth_on_publish', body('a'))).toBe('{"result":{"error":"anonymous_refused"}}')
    const anonymous = { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] }
    const opened = open([[keyOf('c1', ''), record]], {}, { anonymous })
    expect(await opened.ask('auth_on_publish', body('public'))).toBe(OK)
    expect(await opened.ask('auth_on_publish', body('a'))).toBe('{"result":{"error":"no_matching_rule"}}')
    expect(await opened.ask('auth_on_publish', bodyOf.publish('a', { username: '' }))).toBe(OK)
  })

  it('keeps a client whose id is * away from the record for every id', async () => {
    const { ask } = open([[keyOf('*'), recordOf({ publishAcl: [{ pattern: '#' }] })]])
    expect(await ask('auth_on_publish', bodyOf.publish('a', { client_id: '*' }))).toBe(
      '{"result":{"error":"client_id_refused"}}',
    )
  })

  it('refuses when the store fails', async () => {
    const { ask, store, authorizer } = open([[keyOf('c1'), recordOf({ publishAcl: [{ pattern: '#' }] })]])
    authorizer.on('error', () => {})
    await store.close()
    expect(await ask('auth_on_publish', bodyOf.publish('a'))).toBe('{"result":{"error":"store_unavailable"}}')
  })
})

describe('auth_on_subscribe', () => {
  it('decides by coverage, not by text as VerneMQ does', async () => {
    const { ask } = open([[keyOf('c1'), recordOf({ subscribeAcl: [{ pattern: 'a/+' }] })]])
    expect(await ask('auth_on_subscribe', bodyOf.subscribe([['a/#', 0]]))).toBe(
      '{"result":{"error":"no_matching_rule"}}',
    )
  })

  it('reports each refused filter', async () => {
    const { ask, denied } = open([[keyOf('c1'), recordOf({ subscribeAcl: [{ pattern: 'yes' }] })]])
    await ask(
      'auth_on_subscribe',
      bodyOf.subscribe([
        ['a', 0],
        ['yes', 0],
        ['b#', 0],
      ]),
    )
    expect(denied.map(({ filter, decision, detail }) => [filter, decision.reason, detail])).toEqual([
      ['a', 'no_matching_rule', 'auth_on_subscribe'],
      ['b#', 'filter_invalid', 'auth_on_subscribe'],
    ])
  })

  it('answers what reauthorization asks, whose filters have no options of MQTT 5', async () => {
    const { ask } = open([[keyOf('c1'), recordOf({ subscribeAcl: [{ pattern: 'yes' }] })]])
    expect(await ask('auth_on_subscribe_m5', bodyOf.subscribe([['yes', 0]], { properties: {} }))).toBe(OK)
  })
})

describe('requests that are not of VerneMQ', () => {
  it.each<[string, unknown, string, string]>([
    ['auth_on_publish', null, 'auth_on_publish: must be an object', ''],
    ['auth_on_publish', [], 'auth_on_publish: must be an object', ''],
    ['on_message_drop', {}, 'on_message_drop: is no hook of VerneMQ', ''],
    ['', {}, '"": is no hook of VerneMQ', ''],
    ['__proto__', {}, '__proto__: is no hook of VerneMQ', ''],
    ['a\nb', {}, '"a\\nb": is no hook of VerneMQ', ''],
    ['auth_on_publish', bodyOf.publish('a', { qos: 3 }), 'auth_on_publish: qos: must be 0, 1 or 2', 'qos'],
    ['auth_on_publish', bodyOf.publish('a', { qos: '1' }), 'auth_on_publish: qos: must be 0, 1 or 2', 'qos'],
    ['auth_on_publish', bodyOf.publish('a', { retain: 0 }), 'auth_on_publish: retain: must be true or false', 'retain'],
    [
      'auth_on_publish',
      bodyOf.publish('a', { username: 1 }),
      'auth_on_publish: username: must be a string or null',
      'username',
    ],
    [
      'auth_on_publish',
      Object.create(bodyOf.publish('a')),
      'auth_on_publish: username: must be a string or null',
      'username',
    ],
    [
      'auth_on_register',
      bodyOf.register({ peer_port: 70_000 }),
      'auth_on_register: peer_port: must be an integer from 0 to 65535',
      'peer_port',
    ],
    [
      'auth_on_register',
      bodyOf.registerV5(),
      'auth_on_register: clean_session: must be true or false',
      'clean_session',
    ],
    [
      'auth_on_register_m5',
      bodyOf.registerV5({ properties: [] }),
      'auth_on_register_m5: properties: must be an object',
      'properties',
    ],
    [
      'auth_on_subscribe',
      bodyOf.subscribe([], { topics: {} }),
      'auth_on_subscribe: topics: must be an array',
      'topics',
    ],
    [
      'auth_on_subscribe',
      bodyOf.subscribe([['a', 128]]),
      'auth_on_subscribe: topics[0].qos: must be 0, 1 or 2',
      'topics[0].qos',
    ],
    [
      'auth_on_subscribe',
      bodyOf.subscribe([], { topics: [null] }),
      'auth_on_subscribe: topics[0]: must be an object',
      'topics[0]',
    ],
    [
      'auth_on_subscribe_m5',
      bodyOf.subscribeV5([['a', 0, { retain_handling: 1 }]]),
      'auth_on_subscribe_m5: topics[0].retain_handling: must be "send_retain", "send_if_new_sub" or "dont_send"',
      'topics[0].retain_handling',
    ],
    ['on_unsubscribe', bodyOf.unsubscribe([1 as never]), 'on_unsubscribe: topics[0]: must be a string', 'topics[0]'],
    [
      'auth_on_subscribe',
      bodyOf.subscribe(Array.from({ length: 10_001 }, () => ['a', 0] as const)),
      'auth_on_subscribe: topics: must have at most 10000 items',
      'topics',
    ],
  ])('%s: named error and status 400 (%#)', async (hook, body, message, path) => {
    const { handler, errors } = open([[keyOf('c1'), recordOf({ publishAcl: [{ pattern: '#' }] })]])
    const response = await handler.handle(hook, body)
    expect(response.status).toBe(400)
    expect(JSON.parse(response.body)).toEqual({ error: 'ERR_HOOK_REQUEST_INVALID', message })
    expect(errors).toHaveLength(1)
    expect(errors[0]).toBeInstanceOf(HookRequestInvalid)
    expect(errors[0]).toMatchObject({ code: 'ERR_HOOK_REQUEST_INVALID', message, path })
  })

  it('ignores members it does not know, which forward_connection_opts adds', async () => {
    const { ask } = open([[keyOf('c1'), recordOf()]])
    const options = { listener_addr: '0.0.0.0', listener_port: 1883, listener_type: 'tcp', client_cert: 'AA==' }
    expect(await ask('auth_on_register', bodyOf.register(options))).toBe(OK)
  })

  it('answers a foreign topic, an empty SUBSCRIBE list and a fault of its own without a grant', async () => {
    const { ask, handler, authorizer } = open([[keyOf('c1'), recordOf({ publishAcl: [{ pattern: '#' }] })]])
    expect(await ask('auth_on_publish', bodyOf.publish('a/+'))).toBe('{"result":{"error":"topic_invalid"}}')
    await authorizer.close()
    expect(await ask('auth_on_publish', bodyOf.publish('a'))).toBe('{"result":{"error":"closed"}}')
    expect(await ask('auth_on_register', bodyOf.register())).toBe('{"result":{"error":"closed"}}')
    Object.assign(authorizer, { access: () => Promise.reject(new Error('broken')) })
    expect(await handler.handle('auth_on_publish', bodyOf.publish('a'))).toMatchObject({ status: 500 })
  })
})

describe('options of createWebhookHandler', () => {
  it.each<[object, string]>([
    [{ base64encode: 'on' }, '"base64encode" option must be true or false'],
    [{ perTopicDenial: 'always' }, '"perTopicDenial" option must be "never" or "v2.2"'],
    [{ cacheSeconds: -1 }, '"cacheSeconds" option must be an integer from 0 to 86400'],
    [
      { cacheSeconds: 60 },
      '"cacheSeconds" option needs the "enforcement" option: nothing else clears the caches of VerneMQ',
    ],
    [{ enforcement: {} }, '"enforcement" option must be what enforceOnVernemq returned'],
    [{ cacheSecond: 1 }, '"cacheSecond" is not an option of createWebhookHandler'],
    [{ fail: () => {} }, '"fail" is not an option of createWebhookHandler'],
    [{ maxBodyBytes: 1 }, '"maxBodyBytes" option must be an integer from 1024 to 536870912'],
  ])('refuses %j', (options, message) => {
    const { authorizer } = open([])
    expect(() => createWebhookHandler(authorizer, options as WebhookOptions)).toThrow(new TypeError(message))
  })
})
