import { describe, expect, it } from 'vitest'
import { createGoAuthHandler, type GoAuthOptions } from '../../src/http/index.js'
import { ask, brokenStore, type Encoding, RECORDS, setScene } from './support.js'

const LOGIN = { username: 'plant', password: 'pw', clientid: 'pump-1' }
const check = (acc: unknown, topic: string) => ({ username: 'plant', clientid: 'pump-1', topic, acc })

describe('getuser', () => {
  it.each<Encoding>(['POST with JSON', 'POST with a form', 'PUT with JSON', 'GET with a query'])(
    'is granted: %s',
    async encoding => {
      const { authorizer } = setScene()
      expect(await ask(createGoAuthHandler(authorizer), 'getuser', LOGIN, encoding)).toMatchObject({ status: 200 })
    },
  )

  it('reads JSON whatever the method', async () => {
    const { authorizer } = setScene()
    const { status } = await createGoAuthHandler(authorizer).respond({
      method: 'GET',
      path: '/getuser',
      query: '',
      header: () => 'application/json',
      body: Buffer.from(JSON.stringify(LOGIN)),
      address: undefined,
      signal: new AbortController().signal,
    })
    expect(status).toBe(200)
  })

  it.each([
    [{ password: 'no' }, 'bad_credentials'],
    [{ username: 'nobody' }, 'bad_credentials'],
    [{ clientid: 'pump-2' }, 'bad_credentials'],
    [{ username: '', password: '' }, 'anonymous_refused'],
    [{ clientid: '' }, 'client_id_refused'],
  ])('is refused with 403 and an event: %j', async (change, reason) => {
    const { authorizer, denied } = setScene()
    const answer = await ask(createGoAuthHandler(authorizer), 'getuser', { ...LOGIN, ...change })
    expect(answer.status).toBe(403)
    expect(denied.map(({ decision }) => decision.reason)).toEqual([reason])
    expect(denied[0]!.detail).toMatch(/^goauth_getuser/)
  })
})

describe('superuser', () => {
  it('is never granted', async () => {
    const { authorizer, denied } = setScene()
    const handler = createGoAuthHandler(authorizer)
    for (const fields of [{ username: 'plant' }, { username: '' }, {}]) {
      expect((await ask(handler, 'superuser', fields)).status).toBe(403)
    }
    expect(denied).toEqual([])
  })
})

describe('aclcheck', () => {
  it.each<[string, unknown, string, string | true]>([
    ['reads what a subscription may bring', 1, 'news/today', true],
    ['reads nothing else', 1, 'state/pump-1/x', 'no_matching_rule'],
    ['reads no name with a wildcard', 1, 'news/#', 'topic_invalid'],
    ['writes', 2, 'state/pump-1/x', true],
    ['writes nowhere else', 2, 'news/today', 'no_matching_rule'],
    ['writes of unknown QoS', 2, 'quiet', 'no_matching_rule'],
    ['writes what a rule rewrites', 2, 'moved', 'modifiers_unsupported'],
    ['writes to $ names only where a rule says so', 2, '$plant/x', true],
    ['reads and writes need both', 3, 'news/today', 'no_matching_rule'],
    ['reads and writes need both, the other way', 3, 'state/pump-1/x', 'no_matching_rule'],
    ['subscribes', 4, 'news/#', true],
    ['subscribes in a group', 4, '$share/g/news/#', true],
    ['subscribes no wider', 4, '#', 'no_matching_rule'],
    ['subscribes no wider in a group', 4, '$share/g/#', 'no_matching_rule'],
    ['subscribes in no group without a name', 4, '$share//news', 'filter_invalid'],
    ['unsubscribes from anything', 8, 'anything/#', true],
  ])('%s', async (_what, acc, topic, expected) => {
    for (const value of [acc, String(acc)]) {
      const { authorizer, denied } = setScene()
      const answer = await ask(createGoAuthHandler(authorizer), 'aclcheck', check(value, topic))
      expect(answer.status).toBe(expected === true ? 200 : 403)
      expect(denied.map(({ decision }) => decision.reason)).toEqual(expected === true ? [] : [expected])
    }
  })

  it('reads and writes where both are allowed', async () => {
    const { authorizer } = setScene()
    const fields = { username: 'guests', clientid: 'g1', topic: 'guest/g1', acc: 3 }
    expect((await ask(createGoAuthHandler(authorizer, { unknownFacts: 'allow' }), 'aclcheck', fields)).status).toBe(200)
  })

  it.each([0, 5, 6, 7, 9, -1, 1.5, '01', '', null, [], {}, true])('answers 400 to acc %j', async acc => {
    const { authorizer } = setScene()
    expect((await ask(createGoAuthHandler(authorizer), 'aclcheck', check(acc, 'news/x'))).status).toBe(400)
  })

  it('follows a record that was deleted', async () => {
    const { authorizer, store } = setScene()
    const handler = createGoAuthHandler(authorizer)
    expect((await ask(handler, 'aclcheck', check(1, 'news/x'))).status).toBe(200)
    await store.delete(RECORDS[0]![0])
    expect((await ask(handler, 'aclcheck', check(1, 'news/x'))).status).toBe(403)
  })
})

describe('answers in the modes of the plugin', () => {
  it.each<[NonNullable<GoAuthOptions['responseMode']>, string, string, string]>([
    ['status', 'text/plain', 'ok', 'refused'],
    ['text', 'text/plain', 'ok', 'refused'],
    ['json', 'application/json', '{"ok":true,"error":""}', '{"ok":false,"error":"refused"}'],
  ])('%s', async (responseMode, type, granted, refused) => {
    const { authorizer } = setScene()
    const handler = createGoAuthHandler(authorizer, { responseMode })
    expect(await ask(handler, 'getuser', LOGIN)).toEqual({ status: 200, type, body: granted })
    expect(await ask(handler, 'getuser', { ...LOGIN, password: 'no' })).toEqual({ status: 403, type, body: refused })
    expect(await ask(handler, 'superuser', { username: 'plant' })).toEqual({ status: 403, type, body: refused })
  })

  it('never let a plugin of another mode read a grant into a refusal', async () => {
    const { authorizer } = setScene()
    for (const responseMode of ['status', 'json', 'text'] as const) {
      const { status, body } = await ask(createGoAuthHandler(authorizer, { responseMode }), 'aclcheck', check(2, 'no'))
      expect(status).toBeGreaterThanOrEqual(400)
      expect(body).not.toBe('ok')
    }
  })
})

describe('what cannot be decided', () => {
  it.each(['getuser', 'aclcheck'])('gets 503, which the plugin does not remember: %s', async call => {
    const { authorizer } = setScene({ store: brokenStore() })
    expect((await ask(createGoAuthHandler(authorizer), call, { ...LOGIN, ...check(2, 'a') })).status).toBe(503)
  })

  it('gets 503 once the authorizer is closed', async () => {
    const { authorizer } = setScene()
    await authorizer.close()
    const handler = createGoAuthHandler(authorizer)
    expect((await ask(handler, 'getuser', LOGIN)).status).toBe(503)
    expect((await ask(handler, 'aclcheck', check(2, 'state/pump-1/x'))).status).toBe(503)
  })
})

it('refuses an unknown response mode', () => {
  const { authorizer } = setScene()
  expect(() => createGoAuthHandler(authorizer, { responseMode: 'xml' as 'json' })).toThrow(
    '"responseMode" option must be one of status, json, text',
  )
})
