import { createMemoryStore } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { authorizerOf, connectOf, heard, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

describe('a client id chosen to be more than a name', () => {
  const store = () => new SteppedStore([[keyOf('*'), recordOf(['d/%c/x', '%c/y'])]])

  it.each<[string, string]>([
    // As much as MQTT can carry.
    ['65,535 slashes', '/'.repeat(65_535)],
    ...[
      '+',
      '#',
      'a/b',
      '/',
      '%c',
      '%u',
      '"',
      '","u"]',
      ' ',
      '\\',
      '$SYS',
      '$share',
      '__proto__',
      'constructor',
      'ü€😀',
      '\u2028',
      '\n',
      '**',
    ].map((clientId): [string, string] => [JSON.stringify(clientId), clientId]),
  ])('gets nothing that is not its own: %s', async (_, clientId) => {
    const session = await logIn(authorizerOf(store()), clientId)
    for (const topic of ['d/other/x', 'other/y', 'd/a/b/x', 'd/x', '$SYS/y', 'a/b/y']) {
      expect(session.authorizePublish(topic).allow).toBe(false)
      expect(session.authorizeReceive(topic).allow).toBe(false)
    }
    for (const filter of ['d/+/x', 'd/#', '+/y', '#', '+/+', '$share/g/d/+/x', '$SYS/#']) {
      expect(session.authorizeSubscribe(filter).allow).toBe(false)
    }
  })

  it.each<readonly [clientId: string, detail: string]>([
    ['', 'client id is empty'],
    ['*', 'client id is *'],
    ['a\0', 'client id holds U+0000'],
    ...[63, 64].map(length => [`${'a'.repeat(length)}\0`, 'client id holds U+0000'] as const),
    ...[63, 64].map(length => [`${'a'.repeat(length)}\ud800`, 'client id holds an unpaired surrogate'] as const),
    ['\ud800', 'client id holds an unpaired surrogate'],
    ['/'.repeat(65_536), 'client id is too long'],
    ['€'.repeat(21_846), 'client id is too long'],
    [undefined, 'client id is no text'],
    [null, 'client id is no text'],
    [7, 'client id is no text'],
    [{}, 'client id is no text'],
    [['c'], 'client id is no text'],
    [Object.create(null), 'client id is no text'],
    [Symbol('c'), 'client id is no text'],
    [() => 'c', 'client id is no text'],
  ])('is refused without asking the store when it is none (%#)', async (clientId, detail) => {
    const records = store()
    const authorizer = authorizerOf(records)
    const denials = heard(authorizer, 'denied')
    expect(await authorizer.authenticate(connectOf(clientId as string))).toEqual({
      allow: false,
      reason: 'client_id_refused',
    })
    expect(denials[0]?.detail).toBe(detail)
    const principal = keyOf(clientId as string)
    expect(reasonOf(await authorizer.authorizePublish(principal, 'a'))).toBe('client_id_refused')
    expect(reasonOf(await authorizer.authorizeSubscribe(principal, 'a'))).toBe('client_id_refused')
    expect(reasonOf(await authorizer.authorizeReceive(principal, 'a'))).toBe('client_id_refused')
    expect(records.sent).toEqual([])
  })

  it.each([
    ['username', 'u\0', 'username holds U+0000'],
    ['username', '\udfff', 'username holds an unpaired surrogate'],
    ['username', 'u'.repeat(65_536), 'username is too long'],
    ['username', null, 'username is no text'],
    ['username', 7, 'username is no text'],
    ['mountpoint', 'm\0', 'mountpoint holds U+0000'],
    ['mountpoint', null, 'mountpoint is no text'],
    ['address', null, 'address is no text'],
    ['address', 7, 'address is no text'],
  ])('is no better as %s (%#)', async (part, value, detail) => {
    const records = store()
    const authorizer = authorizerOf(records)
    const denials = heard(authorizer, 'denied')
    expect(reasonOf(await authorizer.authenticate(connectOf('c', { [part]: value })))).toBe('client_id_refused')
    expect(denials[0]?.detail).toBe(detail)
    expect(records.sent).toEqual([])
  })
})

describe('a CONNECT without a user name', () => {
  it('is refused', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c', ''), recordOf()]]))
    const { username, password, ...request } = connectOf('c')
    expect(reasonOf(await authorizer.authenticate(request))).toBe('anonymous_refused')
    expect(reasonOf(await authorizer.authenticate({ ...request, password: 'pw' }))).toBe('bad_credentials')
  })

  it('gets the rules for anonymous clients where there are some', async () => {
    const anonymous = { publishAcl: [], subscribeAcl: [{ pattern: 'public/#' }] }
    const authorizer = authorizerOf(createMemoryStore(), { anonymous })
    const login = await authorizer.authenticate({ clientId: 'c' })
    if (!login.allow) throw new Error(login.reason)
    expect(login.session.recordKey).toBeUndefined()
    expect(login.session.principal).toEqual(keyOf('c', ''))
    expect(login.session.authorizeSubscribe('public/x').allow).toBe(true)
    expect(reasonOf(login.session.authorizePublish('public/x'))).toBe('no_matching_rule')
    expect(reasonOf(await authorizer.authenticate({ clientId: 'c', password: 'pw' }))).toBe('bad_credentials')
  })

  it('has its will judged by those rules', async () => {
    const anonymous = { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] }
    const authorizer = authorizerOf(createMemoryStore(), { anonymous })
    expect((await authorizer.authenticate({ clientId: 'c', will: { topic: 'public' } })).allow).toBe(true)
    const will = { topic: 'private' }
    expect(reasonOf(await authorizer.authenticate({ clientId: 'd', will }))).toBe('no_matching_rule')
    for (const none of [null, 7, 'public', {}]) {
      const request = { clientId: 'd', will: none as never }
      expect(reasonOf(await authorizer.authenticate(request))).toBe(none === null ? undefined : 'topic_invalid')
    }
  })

  it('is not a CONNECT with an empty user name, which is looked up', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c', ''), recordOf(['own'])]]), {
      anonymous: { publishAcl: [{ pattern: 'anonymous' }], subscribeAcl: [] },
    })
    const session = await logIn(authorizer, 'c', { username: '' })
    expect(session.recordKey).toEqual(keyOf('c', ''))
    expect(session.authorizePublish('own').allow).toBe(true)
    expect(session.authorizePublish('anonymous').allow).toBe(false)
    expect(reasonOf(await authorizer.authenticate({ clientId: 'c', username: '' }))).toBe('bad_credentials')
  })

  it('never comes to the rights of a record, whatever happens to that of the empty user name', async () => {
    const store = createMemoryStore()
    const authorizer = authorizerOf(store, { anonymous: { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] } })
    const login = await authorizer.authenticate({ clientId: 'c' })
    if (!login.allow) throw new Error(login.reason)
    for (const clientId of ['c', '*']) {
      await store.put(keyOf(clientId, ''), recordOf(['secret']))
      expect(login.session.authorizePublish('secret').allow).toBe(false)
      expect(login.session.authorizePublish('public').allow).toBe(true)
      await store.delete(keyOf(clientId, ''))
      expect(login.session.authorizePublish('public').allow).toBe(true)
      expect(login.session.revoked.aborted).toBe(false)
    }
  })
})
