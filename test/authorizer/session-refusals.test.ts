import { type AclRecord, createMemoryStore, RecordInvalid } from 'mqtt-warden'
import { describe, expect, it, vi } from 'vitest'
import { createClock } from '../helpers/clock.js'
import {
  ALLOWED,
  all,
  answers,
  authorizerOf,
  connectOf,
  heard,
  keyOf,
  logIn,
  reasonOf,
  recordOf,
  SteppedStore,
} from './support.js'

describe('a session whose record becomes unreadable', () => {
  /** A store in which the record of one client id is no record for as long as the test says so. */
  class BrokenStore extends SteppedStore {
    broken: string | undefined

    override get(key: { mountpoint: string; clientId: string; username: string }): Promise<AclRecord | undefined> {
      if (key.clientId !== this.broken) return super.get(key)
      this.sent.push(key.clientId)
      return Promise.reject(new RecordInvalid('publish_acl', 'must be an array'))
    }

    async break(clientId: string): Promise<void> {
      this.broken = clientId
      await this.tell({ type: 'changed', key: keyOf(clientId) })
    }

    async mend(record: AclRecord | undefined): Promise<void> {
      const key = keyOf(this.broken!)
      this.broken = undefined
      this.set(key, record)
      await this.tell({ type: 'changed', key })
    }
  }

  it('refuses everything, keeps its client, and says what is wrong once', async () => {
    const store = new BrokenStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const errors = heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    await store.break('c')
    await store.tell({ type: 'changed', key: keyOf('c') })
    expect(answers(session, 'a')).toEqual(all('record_invalid'))
    expect(session.revoked.aborted).toBe(false)
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatchObject({ place: 'record of ["","c","u"]' })
    expect((errors[0]!.error as Error).message).toBe('publish_acl: must be an array')
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('record_invalid')
    expect(reasonOf(await authorizer.authorizePublish(keyOf('c'), 'a'))).toBe('record_invalid')
  })

  it.each([
    ['the same record', recordOf(['a']), 0],
    ['another record', recordOf(['a', 'b']), 1],
  ])('goes on when it is mended to %s', async (_, mended, changes) => {
    const store = new BrokenStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const changed = heard(authorizer, 'changed')
    const session = await logIn(authorizer, 'c')
    await store.break('c')
    await store.mend(mended)
    expect(answers(session, 'a')).toEqual(ALLOWED)
    expect(changed).toHaveLength(changes)
  })

  it.each([
    ['another password', recordOf(['a'], { passhash: 'plain:new' }), 'password'],
    ['nothing', undefined, 'deleted'],
  ])('is revoked when it is mended to %s', async (_, mended, cause) => {
    const store = new BrokenStore([[keyOf('c'), recordOf(['a'])]])
    const session = await logIn(authorizerOf(store), 'c')
    await store.break('c')
    await store.mend(mended)
    expect(session.revoked.reason).toBe(cause)
  })

  it('stays refused when only the shared record changes, for its own unusable one hides that', async () => {
    const store = new BrokenStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const session = await logIn(authorizer, 'c')
    await store.break('c')
    expect(answers(session, 'a')).toEqual(all('record_invalid'))
    await store.put(keyOf('*'), recordOf(['a', 'b']))
    expect(answers(session, 'a')).toEqual(all('record_invalid'))
    await store.mend(undefined)
    expect(answers(session, 'b')).toEqual(ALLOWED)
  })

  it('does not read the broken record again and again', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    const store = new BrokenStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    await store.tell({ type: 'link', state: 'live', at: Number.POSITIVE_INFINITY })
    await logIn(authorizer, 'c')
    await store.break('c')
    const { length } = store.sent
    await vi.advanceTimersByTimeAsync(10_000)
    expect(store.sent.length - length).toBe(0)
  })
})

describe('a refusal of a session', () => {
  it('is reported with who, what, where from and why', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf(['a/b'])]]))
    const denials = heard(authorizer, 'denied')
    const session = await logIn(authorizer, 'c', { address: '10.0.0.9' })
    const decisions = [
      session.authorizePublish('a/c'),
      session.authorizeSubscribe('a/#'),
      session.authorizeReceive('x'),
      session.refuse('subscribe', '$share/g/a', 'shared_subscription_unsupported'),
      session.refuse('publish', 'a/b', 'modifiers_unsupported'),
    ]
    expect(session.authorizePublish('a/b').allow).toBe(true)
    const common = { principal: keyOf('c'), address: '10.0.0.9', suppressed: 0 }
    expect(denials).toMatchObject([
      { ...common, action: 'publish', topic: 'a/c', decision: decisions[0] },
      { ...common, action: 'subscribe', filter: 'a/#', decision: decisions[1] },
      { ...common, action: 'receive', topic: 'x', decision: decisions[2] },
      { ...common, action: 'subscribe', filter: '$share/g/a', decision: decisions[3] },
      { ...common, action: 'publish', topic: 'a/b', decision: decisions[4] },
    ])
    for (const denial of denials) {
      expect(denial.session).toBe(session)
      expect(Math.abs(Date.now() - denial.at)).toBeLessThan(60_000)
    }
    expect(decisions[0]).toMatchObject({ nearest: { pattern: 'a/b' } })
  })

  it('is reported twenty times, then once a second with how many were left out', async () => {
    const clock = createClock(1_000)
    const authorizer = authorizerOf(createMemoryStore([[keyOf('*'), recordOf(['a'])]]), { clock })
    const [session, other] = [await logIn(authorizer, 'c'), await logIn(authorizer, 'd')]
    const denials = heard(authorizer, 'denied')
    for (let count = 0; count < 50; count++) session.authorizePublish('x')
    expect(denials).toHaveLength(20)
    expect(denials.every(({ suppressed }) => suppressed === 0)).toBe(true)
    other.authorizePublish('x')
    expect(denials).toHaveLength(21)
    clock.advance(999)
    session.authorizePublish('x')
    expect(denials).toHaveLength(21)
    clock.advance(1)
    session.authorizePublish('x')
    session.authorizePublish('x')
    expect(denials).toHaveLength(22)
    expect(denials.at(-1)?.suppressed).toBe(31)
    clock.advance(3_600_000)
    for (let count = 0; count < 50; count++) session.authorizePublish('x')
    expect(denials).toHaveLength(42)
    expect(denials[22]?.suppressed).toBe(1)
  })

  it('costs nothing and is remembered by nobody when nobody listens', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf(['a'])]]))
    const session = await logIn(authorizer, 'c')
    for (let count = 0; count < 50; count++) session.authorizePublish('x')
    const denials = heard(authorizer, 'denied')
    session.authorizePublish('x')
    expect(denials).toMatchObject([{ suppressed: 0 }])
  })
})
