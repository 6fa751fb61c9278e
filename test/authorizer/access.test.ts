import { createMemoryStore } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { authorizerOf, connectOf, heard, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

const anonymous = { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] }
const store = () =>
  createMemoryStore([
    [keyOf('*'), recordOf(['shared/%c'])],
    [keyOf('c'), recordOf(['own'], { expiresAt: Math.floor(Date.now() / 1_000) + 3_600 })],
    [keyOf('old'), recordOf(['own'], { expiresAt: 1 })],
  ])

describe('verify', () => {
  it('tells what a client may do, and opens no session', async () => {
    const authorizer = authorizerOf(store())
    const answer = await authorizer.verify(connectOf('d'))
    if (!answer.allow) throw new Error(answer.reason)
    const { compiled, ...access } = answer.access
    expect(access).toEqual({
      principal: keyOf('d'),
      recordKey: keyOf('*'),
      passhash: 'plain:pw',
      leftMs: Number.POSITIVE_INFINITY,
    })
    expect(compiled.authorizePublish(access.principal, 'shared/d').allow).toBe(true)
    expect(compiled.authorizePublish(access.principal, 'shared/e').allow).toBe(false)
    expect(authorizer.stats()).toMatchObject({ sessions: 0, logins: { allowed: 1, denied: 0 } })
  })

  it('claims no client id, and minds no claim', async () => {
    const authorizer = authorizerOf(store())
    const session = await logIn(authorizer, 'c')
    const takeovers = heard(authorizer, 'takeover')
    expect((await authorizer.verify(connectOf('c'))).allow).toBe(true)
    expect(takeovers).toEqual([])
    expect(session.authorizePublish('own').allow).toBe(true)
  })

  it('judges password, will and record as a login does, and names what asked in the event', async () => {
    const authorizer = authorizerOf(store())
    const denials = heard(authorizer, 'denied')
    const via = 'auth_on_register'
    const answers = [
      await authorizer.verify(connectOf('c', { password: 'x', via })),
      await authorizer.verify(connectOf('c', { will: { topic: 'x' }, via })),
      await authorizer.verify(connectOf('old', { via })),
      await authorizer.verify({ clientId: 'c', via }),
    ]
    expect(answers.map(reasonOf)).toEqual(['bad_credentials', 'no_matching_rule', 'expired', 'anonymous_refused'])
    expect(denials.map(({ detail, topic }) => [detail, topic])).toEqual([
      ['auth_on_register: wrong password', undefined],
      ['auth_on_register: will', 'x'],
      ['auth_on_register', undefined],
      ['auth_on_register', undefined],
    ])
  })

  it('grants anonymous clients their rules', async () => {
    const answer = await authorizerOf(store(), { anonymous }).verify({ clientId: 'c' })
    if (!answer.allow) throw new Error(answer.reason)
    const { principal, recordKey, passhash, compiled, leftMs } = answer.access
    expect([principal, recordKey, passhash, leftMs]).toEqual([keyOf('c', ''), undefined, undefined, Infinity])
    expect(compiled.acl).toEqual(anonymous)
  })
})

describe('access', () => {
  it('tells what a client may do whose password the broker has checked, and for how long', async () => {
    const answer = await authorizerOf(store()).access({ clientId: 'c', username: 'u' })
    if (!answer.allow) throw new Error(answer.reason)
    expect(answer.access.recordKey).toEqual(keyOf('c'))
    expect(answer.access.leftMs).toBeGreaterThan(3_500_000)
    expect(answer.access.leftMs).toBeLessThanOrEqual(3_600_000)
  })

  it('follows the record from one question to the next', async () => {
    const records = store()
    const authorizer = authorizerOf(records)
    await authorizer.access(keyOf('c'))
    await records.put(keyOf('c'), recordOf(['new'], { passhash: 'plain:new' }))
    expect(await authorizer.access(keyOf('c'))).toMatchObject({
      access: { passhash: 'plain:new', compiled: { acl: { publishAcl: [{ pattern: 'new' }] } } },
    })
  })

  it('waits only for what has to be read', async () => {
    const records = store()
    const authorizer = authorizerOf(records)
    const first = authorizer.access(keyOf('c'))
    expect(first).toBeInstanceOf(Promise)
    expect(authorizer.access(keyOf('*'))).toMatchObject({ reason: 'client_id_refused' })
    await first
    expect(authorizer.access(keyOf('c'))).toMatchObject({ allow: true })
    await records.put(keyOf('c'), recordOf(['new']))
    await authorizer.access(keyOf('c'))
    await authorizer.close()
    expect(authorizer.access(keyOf('c'))).toMatchObject({ reason: 'closed' })
  })

  it('says why it refuses, and reports nothing', async () => {
    const records = new SteppedStore([
      [keyOf('bad'), {} as never],
      [keyOf('old'), recordOf([], { expiresAt: 1 })],
    ])
    const authorizer = authorizerOf(records)
    const denials = heard(authorizer, 'denied')
    expect([
      await authorizer.access(keyOf('nobody')),
      await authorizer.access(keyOf('bad')),
      await authorizer.access(keyOf('old')),
      await authorizer.access(keyOf('*')),
      await authorizer.access({ clientId: 'c' }),
      await authorizer.access({ clientId: '' }),
    ]).toEqual([
      { allow: false, reason: 'bad_credentials', detail: 'no record' },
      { allow: false, reason: 'record_invalid', detail: 'passhash: must be a string' },
      { allow: false, reason: 'expired' },
      { allow: false, reason: 'client_id_refused', detail: 'client id is *' },
      { allow: false, reason: 'anonymous_refused' },
      { allow: false, reason: 'client_id_refused', detail: 'client id is empty' },
    ])
    expect(denials).toEqual([])
  })

  it('gives anonymous clients their rules, and never those of the empty user name', async () => {
    const records = createMemoryStore([[keyOf('c', ''), recordOf(['secret'])]])
    const authorizer = authorizerOf(records, { anonymous })
    const rulesOf = async (request: { clientId: string; username?: string }) => {
      const answer = await authorizer.access(request)
      return answer.allow && answer.access.compiled.acl.publishAcl
    }
    expect(await rulesOf({ clientId: 'c' })).toEqual(anonymous.publishAcl)
    expect(await rulesOf({ clientId: 'c', username: '' })).toEqual([{ pattern: 'secret' }])
  })
})

describe('refuse', () => {
  it('reports a refusal of an adapter like any other, and gives it back', () => {
    const authorizer = authorizerOf(store())
    const denials = heard(authorizer, 'denied')
    const decision = { allow: false, reason: 'modifiers_unsupported' } as const
    const principal = keyOf('c')
    const about = { principal, decision, address: '10.0.0.1', detail: 'cannot' }
    expect(authorizer.refuse({ ...about, action: 'publish', subject: 'a' })).toBe(decision)
    authorizer.refuse({ ...about, action: 'subscribe', subject: 'a/#' })
    const common = { principal, decision, address: '10.0.0.1', detail: 'cannot', suppressed: 0 }
    expect(denials).toMatchObject([
      { ...common, action: 'publish', topic: 'a' },
      { ...common, action: 'subscribe', filter: 'a/#' },
    ])
  })
})
