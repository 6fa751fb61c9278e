import { describe, expect, it } from 'vitest'
import { createNanomqHandler } from '../../src/http/index.js'
import { ask, brokenStore, type Encoding, setScene } from './support.js'

const LOGIN = { clientid: 'pump-1', username: 'plant', password: 'pw' }
const acl = (access: unknown, topic: string) => ({
  clientid: 'pump-1',
  username: 'plant',
  ipaddr: '::1',
  access,
  topic,
})

describe('auth_req', () => {
  it.each<Encoding>(['POST with a form', 'GET with a query', 'POST with JSON'])('is granted: %s', async encoding => {
    const { authorizer } = setScene()
    expect((await ask(createNanomqHandler(authorizer), 'auth', LOGIN, encoding)).status).toBe(200)
  })

  it.each([{ password: 'no' }, { username: 'nobody' }, { clientid: 'pump-2' }, { clientid: '*' }])(
    'is refused with 403 and an event: %j',
    async change => {
      const { authorizer, denied } = setScene()
      const answer = await ask(createNanomqHandler(authorizer), 'auth', { ...LOGIN, ...change }, 'POST with a form')
      expect(answer.status).toBe(403)
      expect(denied).toHaveLength(1)
    },
  )
})

it('super_req is never granted', async () => {
  const { authorizer } = setScene()
  expect((await ask(createNanomqHandler(authorizer), 'super', LOGIN)).status).toBe(403)
})

describe('acl_req', () => {
  it.each<[string, number, string, string | true]>([
    ['publishes', 2, 'state/pump-1/x', true],
    ['publishes nowhere else', 2, 'news/x', 'no_matching_rule'],
    ['publishes to no name that could be two filters', 2, 'state/pump-1/a,b', 'topic_invalid'],
    ['subscribes', 1, 'news/#', true],
    ['subscribes to several', 1, 'news/#,command/pump-1/+,command/pump-1/stop', true],
    ['subscribes to nothing if one is refused', 1, 'news/#,state/#', 'no_matching_rule'],
    ['subscribes to nothing if one is empty', 1, 'news/#,', 'filter_invalid'],
    ['subscribes to nothing if the last is wider', 1, 'news/1,news/2,#', 'no_matching_rule'],
  ])('%s', async (_what, access, topic, expected) => {
    for (const encoding of ['POST with a form', 'POST with JSON'] as const) {
      const { authorizer, denied } = setScene()
      const answer = await ask(createNanomqHandler(authorizer), 'acl', acl(access, topic), encoding)
      expect(answer.status).toBe(expected === true ? 200 : 403)
      expect(denied.map(({ decision }) => decision.reason)).toEqual(expected === true ? [] : [expected])
    }
  })

  it.each([0, 3, '', 'publish', null])('answers 400 to access %j', async access => {
    const { authorizer } = setScene()
    expect((await ask(createNanomqHandler(authorizer), 'acl', acl(access, 'news/x'))).status).toBe(400)
  })

  it('takes at most ten thousand filters at once', async () => {
    const errors: unknown[] = []
    const { authorizer } = setScene()
    const handler = createNanomqHandler(authorizer, { onError: error => errors.push(error) })
    const joined = (count: number) => acl(1, Array<string>(count).fill('news/x').join(','))
    expect((await ask(handler, 'acl', joined(10_000))).status).toBe(200)
    expect((await ask(handler, 'acl', joined(10_001))).status).toBe(400)
    expect(errors.map(String)).toEqual([expect.stringContaining('nanomq_acl: topic: must have at most 10000 filters')])
  })

  it('names one refusal even where a thousand filters are refused', async () => {
    const { authorizer, denied } = setScene()
    const topic = Array.from({ length: 1_000 }, (_, index) => `x/${index}`).join(',')
    expect((await ask(createNanomqHandler(authorizer), 'acl', acl(1, topic))).status).toBe(403)
    expect(denied).toHaveLength(1)
  })
})

it('answers 503 to what cannot be decided', async () => {
  const { authorizer } = setScene({ store: brokenStore() })
  const handler = createNanomqHandler(authorizer)
  expect((await ask(handler, 'auth', LOGIN)).status).toBe(503)
  expect((await ask(handler, 'acl', acl(2, 'a'))).status).toBe(503)
})

it('finds its fields under other names', async () => {
  const { authorizer } = setScene()
  const handler = createNanomqHandler(authorizer, { fields: { clientId: 'c', username: 'u', access: 'a', topic: 't' } })
  expect((await ask(handler, 'acl', { c: 'pump-1', u: 'plant', a: '1', t: 'news/x' }, 'POST with a form')).status).toBe(
    200,
  )
})
