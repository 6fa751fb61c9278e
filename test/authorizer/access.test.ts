import { createAuthorizer, createMemoryStore, type DeniedEvent, describeDenial } from 'mqtt-warden'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectOf, keyOf, plainHasher, recordOf } from './support.js'

function open(options: Partial<Parameters<typeof createAuthorizer>[0]> = {}) {
  const store = createMemoryStore([
    [keyOf('c'), recordOf(['a'])],
    [keyOf('*'), recordOf(['shared'])],
  ])
  const authorizer = createAuthorizer({ store, hasher: plainHasher(), refusalCapMs: 0, ...options })
  onTestFinished(() => authorizer.close())
  const denied: DeniedEvent[] = []
  authorizer.on('denied', event => denied.push(event))
  return { store, authorizer, denied }
}

describe('verify', () => {
  it('judges a login as authenticate does, without a session and without claiming the client id', async () => {
    const { authorizer } = open()
    const session = await authorizer.authenticate(connectOf('x'))
    expect(session.allow).toBe(true)
    // The client id belongs to a session of another account by now.
    expect((await authorizer.verify({ clientId: 'x', username: 'other', password: 'pw' })).allow).toBe(false)
    const verified = await authorizer.verify(connectOf('c'))
    expect(verified).toMatchObject({
      allow: true,
      access: { principal: keyOf('c'), recordKey: keyOf('c'), passhash: 'plain:pw', leftMs: Infinity },
    })
    expect(authorizer.stats()).toMatchObject({ sessions: 1, logins: { allowed: 2, denied: 1 } })
  })

  it('checks the will, and tells what asked in the event', async () => {
    const { authorizer, denied } = open()
    const will = { topic: 'forbidden' }
    expect((await authorizer.verify(connectOf('c', { will, via: 'a_hook' }))).allow).toBe(false)
    expect((await authorizer.verify(connectOf('c', { password: 'x', via: 'a_hook' }))).allow).toBe(false)
    expect(denied.map(({ detail }) => detail)).toEqual(['a_hook: will', 'a_hook: wrong password'])
  })

  it('lets anonymous clients in by their rules only', async () => {
    expect(await open().authorizer.verify({ clientId: 'c' })).toMatchObject({ reason: 'anonymous_refused' })
    const { authorizer } = open({ anonymous: { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] } })
    const verified = await authorizer.verify({ clientId: 'c' })
    expect(verified).toMatchObject({ allow: true, access: { recordKey: undefined, passhash: undefined } })
  })

  it('answers closed after close', async () => {
    const { authorizer } = open()
    await authorizer.close()
    expect(await authorizer.verify(connectOf('c'))).toEqual({ allow: false, reason: 'closed' })
    expect(await authorizer.access({ clientId: 'c', username: 'u' })).toEqual({ allow: false, reason: 'closed' })
    expect(await authorizer.access({ clientId: 'c' })).toEqual({ allow: false, reason: 'closed' })
  })
})

describe('access', () => {
  it('hands out the rules of the record that decides, and reports nothing', async () => {
    const { authorizer, denied } = open()
    const own = await authorizer.access({ clientId: 'c', username: 'u' })
    const shared = await authorizer.access({ clientId: 'x', username: 'u' })
    if (!own.allow || !shared.allow) throw new Error('refused')
    expect([own.access.recordKey, shared.access.recordKey]).toEqual([keyOf('c'), keyOf('*')])
    expect(own.access.compiled.authorizePublish(own.access.principal, 'a').allow).toBe(true)
    expect(own.access.compiled.authorizePublish(own.access.principal, 'b').allow).toBe(false)
    expect(denied).toEqual([])
  })

  it('follows the record from one look-up to the next', async () => {
    const { authorizer, store } = open()
    await store.delete(keyOf('c'))
    await store.delete(keyOf('*'))
    expect(await authorizer.access({ clientId: 'c', username: 'u' })).toEqual({
      allow: false,
      reason: 'bad_credentials',
      detail: 'no record',
    })
  })

  it('tells how long the record will live', async () => {
    const { authorizer, store } = open()
    const expiresAt = Math.ceil(Date.now() / 1_000) + 30
    await store.put(keyOf('c'), recordOf(['a'], { expiresAt }))
    const found = await authorizer.access({ clientId: 'c', username: 'u' })
    if (!found.allow) throw new Error('refused')
    expect(found.access.leftMs).toBeGreaterThan(28_000)
    expect(found.access.leftMs).toBeLessThanOrEqual(31_000)
  })

  it.each([
    [
      { clientId: '*', username: 'u' },
      { reason: 'client_id_refused', detail: 'client id is *' },
    ],
    [{ clientId: '*' }, { reason: 'client_id_refused', detail: 'client id is *' }],
    [{ clientId: 'c' }, { reason: 'anonymous_refused' }],
    [
      { clientId: 'c', username: '' },
      { reason: 'bad_credentials', detail: 'no record' },
    ],
  ])('refuses %j', async (request, refusal) => {
    expect(await open().authorizer.access(request)).toEqual({ allow: false, ...refusal })
  })
})

describe('refuse', () => {
  it('makes a refusal of an adapter visible and returns it', async () => {
    const { authorizer, denied } = open()
    const decision = { allow: false, reason: 'modifiers_unsupported' } as const
    const refusal = { principal: keyOf('c'), action: 'subscribe', subject: 'a/#', decision, detail: 'a_hook' } as const
    expect(authorizer.refuse(refusal)).toBe(decision)
    expect(denied).toMatchObject([{ filter: 'a/#', decision, detail: 'a_hook' }])
    expect(describeDenial(denied[0]!)).toContain('a_hook')
  })
})
