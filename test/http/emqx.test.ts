import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileAcl, filterMatchesTopic, type Qos, topicFilterProblem } from '../../src/acl/index.js'
import type { Access, Authorizer } from '../../src/authorizer/index.js'
import { emqxRules } from '../../src/http/emqx-acl.js'
import { createEmqxHandler, type EmqxOptions } from '../../src/http/index.js'
import { ask, brokenStore, type Encoding, RECORDS, setScene } from './support.js'

const LOGIN = { clientid: 'pump-1', username: 'plant', password: 'pw', peerhost: '10.0.0.9' }
const PUBLISH = { clientid: 'pump-1', username: 'plant', topic: 'state/pump-1/temp', action: 'publish' }
const SUBSCRIBE = { clientid: 'pump-1', username: 'plant', topic: 'command/pump-1/+', action: 'subscribe' }

const ALLOW = '{"result":"allow"}'
const DENY = '{"result":"deny"}'

describe('a login by EMQX', () => {
  it.each<Encoding>(['POST with JSON', 'POST with a form', 'GET with a query'])('is granted: %s', async encoding => {
    const { authorizer } = setScene()
    expect(await ask(createEmqxHandler(authorizer), 'authentication', LOGIN, encoding)).toEqual({
      status: 200,
      body: '{"result":"allow","is_superuser":false}',
      type: 'application/json',
    })
  })

  it.each([
    ['wrong password', { password: 'no' }, 'bad_credentials'],
    ['no password', { password: undefined }, 'bad_credentials'],
    ['unknown user', { username: 'nobody' }, 'bad_credentials'],
    ['another client id', { clientid: 'pump-2' }, 'bad_credentials'],
    ['client id *', { clientid: '*', username: 'guests', password: 'guest' }, 'client_id_refused'],
    ['no user name', { username: undefined, password: undefined }, 'anonymous_refused'],
    ['empty user name', { username: '', password: '' }, 'anonymous_refused'],
    ['password without user name', { username: '' }, 'bad_credentials'],
  ])('is refused with status 200 and an event: %s', async (_what, change, reason) => {
    const { authorizer, denied } = setScene()
    const answer = await ask(createEmqxHandler(authorizer), 'authentication', { ...LOGIN, ...change })
    expect(answer).toMatchObject({ status: 200, body: DENY })
    expect(denied).toHaveLength(1)
    expect(denied[0]).toMatchObject({ action: 'connect', address: '10.0.0.9', decision: { reason } })
    expect(denied[0]!.detail).toMatch(/^emqx_authentication/)
  })

  it('of an anonymous client is judged by the option of the authorizer', async () => {
    const { authorizer } = setScene({ anonymous: { publishAcl: [{ pattern: 'open' }], subscribeAcl: [] } })
    const handler = createEmqxHandler(authorizer)
    expect((await ask(handler, 'authentication', { clientid: 'x', username: '', password: '' })).body).toContain(
      'allow',
    )
    const publish = { clientid: 'x', username: '', action: 'publish', qos: 0, retain: false }
    expect((await ask(handler, 'authorization', { ...publish, topic: 'open' })).body).toBe(ALLOW)
    expect((await ask(handler, 'authorization', { ...publish, topic: 'other' })).body).toBe(DENY)
  })

  it('tells when the record ends, in seconds', async () => {
    const { authorizer } = setScene()
    const { body } = await ask(createEmqxHandler(authorizer), 'authentication', { ...LOGIN, clientid: 'brief' })
    const { expire_at } = JSON.parse(body) as { expire_at: number }
    const expected = RECORDS.find(([{ clientId }]) => clientId === 'brief')![1].expiresAt!
    expect(Math.abs(expire_at - expected)).toBeLessThanOrEqual(1)
    expect(expire_at).toBeLessThanOrEqual(expected)
  })

  it('uses the records of its mountpoint', async () => {
    const { authorizer } = setScene()
    const handler = createEmqxHandler(authorizer, { mountpoint: 'factory' })
    expect((await ask(handler, 'authentication', LOGIN)).body).toBe(DENY)
    expect((await ask(handler, 'authentication', { ...LOGIN, password: 'factory' })).body).toContain('allow')
  })
})

describe('an authorisation by EMQX', () => {
  it.each<[string, object, string | true]>([
    ['publish', { qos: 2, retain: true }, true],
    ['publish, values as text', { qos: '1', retain: 'false' }, true],
    ['publish by the older access', { action: '2' }, true],
    ['publish elsewhere', { topic: 'state/pump-2/temp' }, 'no_matching_rule'],
    ['publish to a filter', { topic: 'state/pump-1/#' }, 'topic_invalid'],
    ['publish within max_qos', { topic: 'quiet', qos: 0 }, true],
    ['publish above max_qos', { topic: 'quiet', qos: 1 }, 'no_matching_rule'],
    ['publish of unknown QoS', { topic: 'quiet' }, 'no_matching_rule'],
    ['publish without retain', { topic: 'fleeting', qos: 0, retain: false }, true],
    ['publish with retain', { topic: 'fleeting', qos: 0, retain: true }, 'no_matching_rule'],
    ['publish of unknown retain', { topic: 'fleeting', qos: 0 }, 'no_matching_rule'],
    ['publish of unknown size', { topic: 'small', qos: 0, retain: false }, 'no_matching_rule'],
    ['publish that a rule rewrites', { topic: 'moved', qos: 0, retain: false }, 'modifiers_unsupported'],
    ['subscribe', { ...SUBSCRIBE, qos: 2 }, true],
    ['subscribe by the older access', { ...SUBSCRIBE, action: '1' }, true],
    ['subscribe narrower', { ...SUBSCRIBE, topic: 'command/pump-1/stop' }, true],
    ['subscribe wider', { ...SUBSCRIBE, topic: 'command/pump-1/#' }, 'no_matching_rule'],
    ['subscribe wider by text alone', { ...SUBSCRIBE, topic: 'command/+/stop' }, 'no_matching_rule'],
    ['subscribe above max_qos', { ...SUBSCRIBE, topic: 'slow', qos: 1 }, 'no_matching_rule'],
    ['subscribe of unknown QoS', { ...SUBSCRIBE, topic: 'slow' }, 'no_matching_rule'],
    ['subscribe within max_qos', { ...SUBSCRIBE, topic: 'slow', qos: 0 }, true],
    ['subscribe that a rule rewrites', { ...SUBSCRIBE, topic: 'swapped', qos: 0 }, 'modifiers_unsupported'],
    ['subscribe to what is no filter', { ...SUBSCRIBE, topic: 'news/#/x' }, 'filter_invalid'],
    ['unknown account', { username: 'nobody' }, 'bad_credentials'],
  ])('%s', async (_what, change, expected) => {
    const { authorizer, denied } = setScene()
    const request = { ...PUBLISH, ...change }
    const answer = await ask(createEmqxHandler(authorizer), 'authorization', request)
    expect(answer).toEqual({ status: 200, body: expected === true ? ALLOW : DENY, type: 'application/json' })
    expect(denied.map(({ decision }) => decision.reason)).toEqual(expected === true ? [] : [expected])
    if (expected !== true) expect(denied[0]!.topic ?? denied[0]!.filter).toBe(request.topic)
  })

  it('says in the event that the broker did not tell what a limit needs', async () => {
    const { authorizer, denied } = setScene()
    await ask(createEmqxHandler(authorizer), 'authorization', { ...PUBLISH, topic: 'quiet' })
    expect(denied[0]!.detail).toBe('emqx_authorization: the broker does not tell the QoS and the retain flag')
  })

  it('takes unknown facts for the least where that is asked for', async () => {
    const { authorizer } = setScene({ unknownPayloadSize: 'allow' })
    const handler = createEmqxHandler(authorizer, { unknownFacts: 'allow' })
    for (const topic of ['quiet', 'fleeting', 'small']) {
      expect((await ask(handler, 'authorization', { ...PUBLISH, topic })).body).toBe(ALLOW)
    }
    expect((await ask(handler, 'authorization', { ...PUBLISH, topic: 'quiet', qos: 1 })).body).toBe(DENY)
  })

  it('counts a change of the record at the next question', async () => {
    const { authorizer, store } = setScene()
    const handler = createEmqxHandler(authorizer)
    const [key, record] = RECORDS[0]!
    expect((await ask(handler, 'authorization', PUBLISH)).body).toBe(ALLOW)
    await store.put(key, { ...record, publishAcl: [] })
    expect((await ask(handler, 'authorization', PUBLISH)).body).toBe(DENY)
  })

  it('finds its fields under other names', async () => {
    const { authorizer } = setScene()
    const fields = { clientId: 'cid', username: 'user', topic: 't', action: 'access', qos: 'q', retain: 'r' }
    const request = { cid: 'pump-1', user: 'plant', t: 'quiet', access: 2, q: 0, r: 0 }
    expect((await ask(createEmqxHandler(authorizer, { fields }), 'authorization', request)).body).toBe(ALLOW)
  })
})

describe('what cannot be decided', () => {
  it.each(['authentication', 'authorization'])('is a refusal to EMQX: %s', async call => {
    const { authorizer } = setScene({ store: brokenStore() })
    const fields = { ...PUBLISH, ...LOGIN }
    expect(await ask(createEmqxHandler(authorizer), call, fields)).toMatchObject({ status: 200, body: DENY })
  })

  it('is left to others where that is asked for, but not what is malformed', async () => {
    const { authorizer } = setScene()
    const handler = createEmqxHandler(authorizer, { onDenied: 'ignore' })
    expect((await ask(handler, 'authentication', { ...LOGIN, password: 'no' })).body).toBe('{"result":"ignore"}')
    expect((await ask(handler, 'authorization', { ...PUBLISH, topic: 'no' })).body).toBe('{"result":"ignore"}')
    expect((await ask(handler, 'authorization', { ...PUBLISH, topic: 5 })).body).toBe(DENY)
  })
})

describe('rules in the answer to a login', () => {
  const rulesOf = async (authorizer: Authorizer, login: object = LOGIN) => {
    const { body } = await ask(createEmqxHandler(authorizer, { includeAcl: true }), 'authentication', { ...login })
    return (JSON.parse(body) as { acl: readonly { action: string; topic: string }[] }).acl
  }

  it('are those that EMQX reads as they are meant', async () => {
    const { authorizer, store } = setScene()
    const key = { mountpoint: '', clientId: 'c1', username: 'u1' }
    await store.put(key, {
      passhash: 'plain:pw',
      publishAcl: [
        { pattern: 'a/%c/#', maxQos: 1 },
        { pattern: 'b', allowedRetain: false },
        { pattern: 'sized', maxPayloadSize: 5 },
        { pattern: '$own/x' },
        { pattern: 'eq c' },
        { pattern: 'd/\u0024{username}' },
      ],
      subscribeAcl: [{ pattern: 'a/+' }, { pattern: '%u/x', maxQos: 0 }],
    })
    expect(await rulesOf(authorizer, { clientid: 'c1', username: 'u1', password: 'pw' })).toEqual([
      { permission: 'allow', action: 'publish', topic: 'a/c1/#', qos: [0, 1], retain: 'all' },
      { permission: 'allow', action: 'publish', topic: 'b', qos: [0, 1, 2], retain: false },
      { permission: 'allow', action: 'subscribe', topic: 'eq a/+', qos: [0, 1, 2] },
      { permission: 'allow', action: 'subscribe', topic: 'eq u1/x', qos: [0] },
    ])
  })

  it('leave out a kind in which one rule rewrites, since the order of rules would count', async () => {
    const { authorizer } = setScene()
    expect(await rulesOf(authorizer)).toEqual([])
  })

  it('never hold what a client id or user name could make a wildcard or a variable', async () => {
    const { authorizer, store } = setScene()
    for (const username of ['+', '#', 'a/b', '%c', '\u0024{clientid}', '$SYS', 'eq x']) {
      await store.put(
        { mountpoint: '', clientId: 'x', username },
        { passhash: 'plain:pw', publishAcl: [{ pattern: '%u' }], subscribeAcl: [] },
      )
      expect(await rulesOf(authorizer, { clientid: 'x', username, password: 'pw' })).toEqual([])
    }
  })

  it('take what every object in JavaScript has for a level like any other', async () => {
    const { authorizer, store } = setScene()
    const patterns = ['a/constructor', 'b/__proto__', '%c/x'].map(pattern => ({ pattern }))
    await store.put(
      { mountpoint: '', clientId: 'toString', username: 'u' },
      { passhash: 'plain:pw', publishAcl: patterns, subscribeAcl: patterns },
    )
    const rules = await rulesOf(authorizer, { clientid: 'toString', username: 'u', password: 'pw' })
    const names = ['a/constructor', 'b/__proto__', 'toString/x']
    expect(rules.map(({ topic }) => topic)).toEqual([...names, ...names.map(name => `eq ${name}`)])
  })

  it('are left out where depth matters', async () => {
    const { authorizer, store } = setScene({ maxLevels: 3 })
    await store.put(
      { mountpoint: '', clientId: 'x', username: 'u' },
      {
        passhash: 'plain:pw',
        publishAcl: [{ pattern: 'a/#' }, { pattern: 'a/+' }, { pattern: '1/2/3/4' }],
        subscribeAcl: [],
      },
    )
    const rules = await rulesOf(authorizer, { clientid: 'x', username: 'u', password: 'pw' })
    expect(rules.map(({ topic }) => topic)).toEqual(['a/+'])
  })

  it('admit nothing that the record refuses', () => {
    const level = fc.constantFrom('a', 'b', '+', '%c', '%u', '', '$x', 'constructor')
    const pattern = fc
      .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
      .filter(text => topicFilterProblem(text) === undefined)
    const maxQos = fc.constantFrom<Qos>(0, 1, 2)
    const publishRule = fc.record({ pattern, maxQos, allowedRetain: fc.boolean() })
    const subscribeRule = fc.record({ pattern, maxQos })
    const acl = fc.record({ publishAcl: fc.array(publishRule), subscribeAcl: fc.array(subscribeRule) })
    const name = fc.array(fc.constantFrom('a', 'b', 'c1', 'u1', '', '$x'), { minLength: 1, maxLength: 4 })
    const principal = { mountpoint: '', clientId: 'c1', username: 'u1' }
    fc.assert(
      fc.property(acl, name, maxQos, fc.boolean(), (rules, levels, qos, retain) => {
        const compiled = compileAcl(rules)
        const topic = levels.join('/')
        for (const rule of emqxRules({ compiled, principal } as Access)) {
          if (!rule.qos.includes(qos)) continue
          if (rule.action === 'subscribe') {
            expect(compiled.authorizeSubscribe(principal, rule.topic.slice(3), { qos }).allow).toBe(true)
          } else if (filterMatchesTopic(rule.topic, topic) && (rule.retain === 'all' || !retain)) {
            expect(compiled.authorizePublish(principal, topic, { qos, retain }).allow).toBe(true)
          }
        }
      }),
    )
  })
})

describe('options of createEmqxHandler', () => {
  it.each<[object, string]>([
    [{ nonsense: 1 }, '"nonsense" is not an option of createEmqxHandler'],
    [{ fail: () => {} }, '"fail" is not an option of createEmqxHandler'],
    [{ onDenied: 'allow' }, '"onDenied" option must be one of deny, ignore'],
    [{ unknownFacts: 'x' }, '"unknownFacts" option must be one of refuse, allow'],
    [{ includeAcl: 'yes' }, '"includeAcl" option must be true or false'],
    [{ mountpoint: 1 }, '"mountpoint" option must be a string'],
    [{ fields: { x: 'y' } }, '"fields.x" is not an option'],
    [{ fields: { topic: '' } }, '"fields.topic" option must be a field\'s name'],
    [{ fields: 'x' }, '"fields" option must be an object'],
    [{ pathSecret: 'x' }, '"pathSecret" option must be 16 to 256 characters'],
  ])('refuses %j', (options, message) => {
    const { authorizer } = setScene()
    expect(() => createEmqxHandler(authorizer, options as EmqxOptions)).toThrow(message)
  })

  it('refuses rules in answers under the semantics of VerneMQ', () => {
    const authorizer = { semantics: 'vernemq' } as Authorizer
    expect(() => createEmqxHandler(authorizer, { includeAcl: true })).toThrow(TypeError)
  })
})
