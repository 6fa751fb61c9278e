import { type Authorizer, createMemoryStore, type Session } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { authorizerOf, connectOf, heard, keyOf, logIn, reasonOf, recordOf } from './support.js'

/** Accounts: `u` and `v` with a record for every client id, `c` of `u` and of `w` with records of their own. */
const store = () =>
  createMemoryStore([
    [keyOf('*'), recordOf(['shared'])],
    [keyOf('*', 'v'), recordOf(['shared'])],
    [keyOf('c', 'w'), recordOf(['own'])],
    [keyOf('c', 'x'), recordOf(['own'])],
    [keyOf('c', 'w', 'm'), recordOf(['own'])],
  ])
const anonymous = { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] }

describe('a session that is opened provisionally', () => {
  const provisional = (username: string) => connectOf('c', { username, provisional: true })
  const open = async (authorizer: Authorizer, username: string) => {
    const answer = await authorizer.authenticate(provisional(username))
    if (!answer.allow) throw new Error(`refused: ${answer.reason}`)
    return answer.session
  }

  it('takes its client id from nobody before it is confirmed', async () => {
    const authorizer = authorizerOf(store())
    const shared = await logIn(authorizer, 'c')
    const [takeovers, revoked] = [heard(authorizer, 'takeover'), heard(authorizer, 'revoked')]
    const own = await open(authorizer, 'w')
    expect([own.authorizePublish('own').allow, shared.authorizePublish('shared').allow]).toEqual([true, true])
    expect([...takeovers, ...revoked]).toEqual([])
    expect([own.confirm(), own.confirm()]).toEqual([true, true])
    expect(takeovers).toMatchObject([{ from: shared, to: own }])
    expect(revoked).toMatchObject([{ session: shared, cause: 'client_id_taken' }])
  })

  it('leaves everything as it was when it is closed instead', async () => {
    const authorizer = authorizerOf(store())
    const shared = await logIn(authorizer, 'c')
    const own = await open(authorizer, 'w')
    own.close()
    expect(own.confirm()).toBe(false)
    expect(reasonOf(await authorizer.authenticate(connectOf('c', { username: 'v' })))).toBe('client_id_taken')
    expect([...authorizer.sessions()]).toEqual([shared])
  })

  it('follows its record meanwhile', async () => {
    const records = store()
    const authorizer = authorizerOf(records)
    const [own, shared] = [await open(authorizer, 'w'), await open(authorizer, 'u')]
    await records.put(keyOf('*'), recordOf(['new']))
    await records.delete(keyOf('c', 'w'))
    expect(shared.authorizePublish('new').allow).toBe(true)
    expect([own.revokeCause, own.confirm()]).toEqual(['deleted', false])
  })

  it('comes too late where another has taken the client id meanwhile', async () => {
    const authorizer = authorizerOf(store())
    const [late, own] = [await open(authorizer, 'u'), await open(authorizer, 'w')]
    expect([own.confirm(), late.confirm()]).toEqual([true, false])
    expect(own.revokeCause).toBeUndefined()
  })

  it('is refused where it could not take its client id in any case', async () => {
    const authorizer = authorizerOf(store())
    await logIn(authorizer, 'c', { username: 'w' })
    expect(reasonOf(await authorizer.authenticate(provisional('u')))).toBe('client_id_taken')
  })
})

describe('a client id that is connected already', () => {
  it.each(['u', 'w'])('changes hands within one account, and says from where to where (%s)', async username => {
    const authorizer = authorizerOf(store())
    const takeovers = heard(authorizer, 'takeover')
    const first = await logIn(authorizer, 'c', { username, address: '10.0.0.1' })
    expect(takeovers).toEqual([])
    const second = await logIn(authorizer, 'c', { username, address: '10.0.0.2' })
    expect(takeovers).toHaveLength(1)
    expect(takeovers[0]).toMatchObject({ principal: keyOf('c', username), addresses: ['10.0.0.1', '10.0.0.2'] })
    expect(takeovers[0]?.from).toBe(first)
    expect(takeovers[0]?.to).toBe(second)
    // To end the older connection is the broker's part, as MQTT has it.
    expect(first.revoked.aborted).toBe(false)
  })

  it('goes back and forth between two machines visibly, time after time', async () => {
    const authorizer = authorizerOf(store())
    const takeovers = heard(authorizer, 'takeover')
    let holder = await logIn(authorizer, 'c', { address: 'machine 1' })
    for (const address of ['machine 2', 'machine 1', 'machine 2']) {
      const next = await logIn(authorizer, 'c', { address })
      holder.close()
      holder = next
    }
    expect(takeovers.map(({ addresses }) => addresses)).toEqual([
      ['machine 1', 'machine 2'],
      ['machine 2', 'machine 1'],
      ['machine 1', 'machine 2'],
    ])
    expect(authorizer.stats().sessions).toBe(1)
  })

  it('is taken by the account with a record of its own from one that has none', async () => {
    const authorizer = authorizerOf(store())
    const [takeovers, revoked] = [heard(authorizer, 'takeover'), heard(authorizer, 'revoked')]
    const shared = await logIn(authorizer, 'c')
    const own = await logIn(authorizer, 'c', { username: 'w' })
    expect(shared.revoked.reason).toBe('client_id_taken')
    expect(reasonOf(shared.authorizePublish('shared'))).toBe('revoked')
    expect(own.authorizePublish('own').allow).toBe(true)
    expect(takeovers).toMatchObject([{ from: { principal: keyOf('c') }, to: { principal: keyOf('c', 'w') } }])
    expect(revoked).toMatchObject([{ principal: keyOf('c'), cause: 'client_id_taken' }])
    expect(revoked[0]?.session).toBe(shared)
  })

  it.each([
    ['an account with a record of its own, to one without', 'w', 'u'],
    ['an account with a record of its own, to another such', 'w', 'x'],
    ['an account without, to another such', 'u', 'v'],
  ])('is kept by %s', async (_, holder, newcomer) => {
    const authorizer = authorizerOf(store())
    const [takeovers, denials] = [heard(authorizer, 'takeover'), heard(authorizer, 'denied')]
    const session = await logIn(authorizer, 'c', { username: holder })
    const answer = await authorizer.authenticate(connectOf('c', { username: newcomer, address: '10.0.0.3' }))
    expect(answer).toEqual({ allow: false, reason: 'client_id_taken' })
    expect(denials).toMatchObject([{ action: 'connect', principal: keyOf('c', newcomer), address: '10.0.0.3' }])
    expect(session.revoked.aborted).toBe(false)
    expect(takeovers).toEqual([])
    session.close()
    expect((await authorizer.authenticate(connectOf('c', { username: newcomer }))).allow).toBe(true)
  })

  it('is refused only to those who know the password', async () => {
    const authorizer = authorizerOf(store())
    await logIn(authorizer, 'c', { username: 'w' })
    const answer = await authorizer.authenticate(connectOf('c', { username: 'u', password: 'x' }))
    expect(reasonOf(answer)).toBe('bad_credentials')
  })

  it('is taken by every account from an anonymous client, never the reverse', async () => {
    const authorizer = authorizerOf(store(), { anonymous })
    const first = await authorizer.authenticate({ clientId: 'c', address: '10.0.0.1' })
    if (!first.allow) throw new Error(first.reason)
    const takeovers = heard(authorizer, 'takeover')
    const second = await authorizer.authenticate({ clientId: 'c', address: '10.0.0.2' })
    if (!second.allow) throw new Error(second.reason)
    expect(takeovers).toMatchObject([{ addresses: ['10.0.0.1', '10.0.0.2'] }])
    expect(first.session.revoked.aborted).toBe(false)
    await logIn(authorizer, 'c')
    expect(second.session.revoked.reason).toBe('client_id_taken')
    expect(reasonOf(await authorizer.authenticate({ clientId: 'c' }))).toBe('client_id_taken')
  })

  it('is another one under another mountpoint', async () => {
    const authorizer = authorizerOf(store())
    const takeovers = heard(authorizer, 'takeover')
    await logIn(authorizer, 'c', { username: 'w' })
    await logIn(authorizer, 'c', { username: 'w', mountpoint: 'm' })
    expect(takeovers).toEqual([])
    expect(authorizer.stats().sessions).toBe(2)
  })

  it('stays with the newer session when the older one is closed late', async () => {
    const authorizer = authorizerOf(store())
    const first = await logIn(authorizer, 'c')
    await logIn(authorizer, 'c')
    first.close()
    expect(reasonOf(await authorizer.authenticate(connectOf('c', { username: 'v' })))).toBe('client_id_taken')
  })

  it('has all its sessions follow the account for as long as they are open, the older ones too', async () => {
    const records = store()
    const authorizer = authorizerOf(records)
    const sessions = []
    for (let count = 0; count < 4; count++) sessions.push(await logIn(authorizer, 'c', { username: 'w' }))
    const [first, second, third, fourth] = sessions as [Session, Session, Session, Session]
    second.close()
    expect([...authorizer.sessions()]).toEqual([fourth, third, first])
    await records.put(keyOf('c', 'w'), recordOf(['new']))
    for (const session of [first, third, fourth]) expect(session.authorizePublish('new').allow).toBe(true)
    fourth.close()
    expect([...authorizer.sessions()]).toEqual([third, first])
    await records.delete(keyOf('c', 'w'))
    expect([first, second, third, fourth].map(({ revokeCause }) => revokeCause)).toEqual([
      'deleted',
      undefined,
      'deleted',
      undefined,
    ])
    expect([[...authorizer.sessions()], authorizer.stats().sessions]).toEqual([[], 0])
  })

  it('is free again when its session was revoked', async () => {
    const records = store()
    const authorizer = authorizerOf(records)
    await logIn(authorizer, 'c', { username: 'w' })
    await records.delete(keyOf('c', 'w'))
    expect((await authorizer.authenticate(connectOf('c', { username: 'v' }))).allow).toBe(true)
  })

  it('goes to exactly one of those who ask for it at the same time', async () => {
    const authorizer = authorizerOf(store())
    const answers = await Promise.all(
      ['u', 'v', 'w', 'x'].map(username => authorizer.authenticate(connectOf('c', { username }))),
    )
    const live = [...authorizer.sessions()]
    expect(live).toHaveLength(1)
    expect(live[0]?.recordKey?.clientId).toBe('c')
    expect(answers.filter(({ allow }) => allow).length).toBeGreaterThan(0)
  })
})
