import { type AclRecord, createMemoryStore, RecordInvalid, type Session, type SessionChange } from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { deferred } from '../helpers/deferred.js'
import {
  authorizerOf,
  CACHES,
  connectOf,
  heard,
  idle,
  keyOf,
  logIn,
  reasonOf,
  recordOf,
  SteppedStore,
} from './support.js'

/** What a session answers to a publish, a subscribe and a receive of one name. */
const answers = (session: Session, name: string) => [
  reasonOf(session.authorizePublish(name)),
  reasonOf(session.authorizeSubscribe(name)),
  reasonOf(session.authorizeReceive(name)),
]
const ALLOWED = [undefined, undefined, undefined]
const all = (reason: string) => [reason, reason, reason]

afterEach(() => {
  vi.useRealTimers()
})

describe.each(CACHES)('a live session, %s', (_, cache) => {
  it('decides by a new record as soon as the write of it has resolved', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['old'])]])
    const authorizer = authorizerOf(store, cache)
    const changed = heard(authorizer, 'changed')
    const session = await logIn(authorizer, 'c')
    expect([answers(session, 'old'), answers(session, 'new')]).toEqual([ALLOWED, all('no_matching_rule')])
    await store.put(keyOf('c'), recordOf(['new']))
    expect([answers(session, 'old'), answers(session, 'new')]).toEqual([all('no_matching_rule'), ALLOWED])
    expect(session.acl.publishAcl).toEqual([{ pattern: 'new' }])
    expect(changed).toHaveLength(1)
    expect(changed[0]).toMatchObject({
      principal: keyOf('c'),
      previous: { publishAcl: [{ pattern: 'old' }] },
      acl: { publishAcl: [{ pattern: 'new' }] },
    })
    expect(changed[0]?.session).toBe(session)
    expect(session.revoked.aborted).toBe(false)
  })

  it('follows the shared record too, and so does every other session of that', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf(['old'])]])
    const authorizer = authorizerOf(store, cache)
    const sessions = await Promise.all(['a', 'b', 'c'].map(clientId => logIn(authorizer, clientId)))
    await store.put(keyOf('*'), recordOf(['new']))
    for (const session of sessions) expect(answers(session, 'new')).toEqual(ALLOWED)
    await store.delete(keyOf('*'))
    for (const session of sessions) expect(answers(session, 'new')).toEqual(all('revoked'))
  })

  it('makes the writer wait for what its listeners do, all of them', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['old'])]])
    const authorizer = authorizerOf(store, cache)
    const session = await logIn(authorizer, 'c')
    const work = deferred()
    const seen: SessionChange[] = []
    session.onChange(async change => {
      await work.promise
      seen.push(change)
    })
    session.onChange(change => void seen.push(change))
    let isWritten = false
    const writing = store.put(keyOf('c'), recordOf(['new'])).then(() => {
      isWritten = true
    })
    await idle()
    expect([seen.length, isWritten]).toEqual([1, false])
    work.resolve()
    await writing
    expect(seen).toHaveLength(2)
    expect(seen[0]).toEqual({ session, previous: { ...rules('old') }, acl: { ...rules('new') } })
  })

  it('tells a listener nothing more once that was taken off', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['1'])]])
    const session = await logIn(authorizerOf(store, cache), 'c')
    const listener = vi.fn()
    const off = session.onChange(listener)
    await store.put(keyOf('c'), recordOf(['2']))
    off()
    off()
    await store.put(keyOf('c'), recordOf(['3']))
    expect(listener).toHaveBeenCalledTimes(1)
    expect(answers(session, '3')).toEqual(ALLOWED)
  })

  it('does not speak of a change when the rules are the same', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store, cache)
    const changed = heard(authorizer, 'changed')
    const session = await logIn(authorizer, 'c')
    await store.put(keyOf('c'), recordOf(['a'], { extra: { note: 'x' } }))
    expect(answers(session, 'a')).toEqual(ALLOWED)
    expect(changed).toEqual([])
  })

  it.each<[string, (store: ReturnType<typeof createMemoryStore>) => Promise<unknown>, string]>([
    ['its record is deleted', store => store.delete(keyOf('c')), 'deleted'],
    ['its password is changed', store => store.put(keyOf('c'), recordOf(['a'], { passhash: 'plain:new' })), 'password'],
    [
      'its record ends',
      store => store.put(keyOf('c'), recordOf(['a'], { expiresAt: Math.floor(Date.now() / 1_000) - 1 })),
      'expired',
    ],
  ])('is revoked when %s', async (__, change, cause) => {
    const store = createMemoryStore([
      [keyOf('*'), recordOf(['a'])],
      [keyOf('c'), recordOf(['a'])],
    ])
    const authorizer = authorizerOf(store, cache)
    const revoked = heard(authorizer, 'revoked')
    const session = await logIn(authorizer, 'c')
    const aborted = vi.fn()
    session.revoked.addEventListener('abort', aborted)
    await change(store)
    expect(answers(session, 'a')).toEqual(all('revoked'))
    expect(session.revoked.aborted).toBe(true)
    expect(session.revoked.reason).toBe(cause)
    expect(aborted).toHaveBeenCalledTimes(1)
    expect(revoked).toHaveLength(1)
    expect(revoked[0]).toMatchObject({ principal: keyOf('c'), cause })
    expect(revoked[0]?.session).toBe(session)
    expect([...authorizer.sessions()]).toEqual([])
  })

  it('of the shared record is revoked when a record of its own appears', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store, cache)
    const [session, other] = [await logIn(authorizer, 'c'), await logIn(authorizer, 'd')]
    await store.put(keyOf('c'), recordOf(['a']))
    expect(answers(session, 'a')).toEqual(all('revoked'))
    expect(session.revoked.reason).toBe('password')
    expect(answers(other, 'a')).toEqual(ALLOWED)
  })

  it('of its own record is revoked when that vanishes, although the shared one would do', async () => {
    const store = createMemoryStore([
      [keyOf('*'), recordOf(['a'])],
      [keyOf('c'), recordOf(['a'])],
    ])
    const session = await logIn(authorizerOf(store, cache), 'c')
    await store.delete(keyOf('c'))
    expect(session.revoked.reason).toBe('deleted')
  })

  it('of its own record does not care for the shared one', async () => {
    const store = new SteppedStore([
      [keyOf('*'), recordOf(['x'])],
      [keyOf('c'), recordOf(['a'])],
    ])
    const authorizer = authorizerOf(store, cache)
    const session = await logIn(authorizer, 'c')
    const { length } = store.sent
    await store.put(keyOf('*'), recordOf(['y']))
    await store.delete(keyOf('*'))
    expect(answers(session, 'a')).toEqual(ALLOWED)
    expect(store.sent.slice(length)).not.toContain('c')
  })

  it('of the shared record is not asked about its own again when the shared one changes', async () => {
    const store = new SteppedStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store, cache)
    await store.tell({ type: 'link', state: 'live', at: Number.POSITIVE_INFINITY })
    const sessions = await Promise.all(['a', 'b', 'c'].map(clientId => logIn(authorizer, clientId)))
    const { length } = store.sent
    await store.put(keyOf('*'), recordOf(['new']))
    expect(store.sent.slice(length)).toEqual(['*'])
    for (const session of sessions) expect(answers(session, 'new')).toEqual(ALLOWED)
  })

  it('is told by nobody about records that are none of its business', async () => {
    const store = new SteppedStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store, cache)
    const session = await logIn(authorizer, 'c')
    const { length } = store.sent
    for (const key of [keyOf('d'), keyOf('c', 'v'), keyOf('c', 'u', 'm'), keyOf('*', 'v')]) {
      await store.put(key, recordOf(['x']))
      await store.delete(key)
    }
    expect(answers(session, 'a')).toEqual(ALLOWED)
    expect(store.sent).toHaveLength(length)
  })
})

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

describe('a session whose record ends by itself', () => {
  it('refuses from that millisecond on, and is revoked within a second', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'], now: 1_000_000_000_000 })
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: 1_000_000_003 })]])
    const authorizer = authorizerOf(store)
    const revoked = heard(authorizer, 'revoked')
    const session = await logIn(authorizer, 'c')
    // The first sweep is due a second after the authorizer was made.
    await vi.advanceTimersByTimeAsync(2_500)
    expect(answers(session, 'a')).toEqual(ALLOWED)
    vi.advanceTimersByTime(499)
    expect(answers(session, 'a')).toEqual(ALLOWED)
    await store.put(keyOf('c'), recordOf(['a'], { expiresAt: 1_000_000_004 }))
    await vi.advanceTimersByTimeAsync(1_000)
    expect(answers(session, 'a')).toEqual(ALLOWED)
    expect(session.revoked.aborted).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(answers(session, 'a')[0]).toMatch(/^(expired|revoked)$/)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(answers(session, 'a')).toEqual(all('revoked'))
    expect(session.revoked.reason).toBe('expired')
    expect(revoked).toMatchObject([{ cause: 'expired' }])
  })

  it('is revoked in time when that was set, or set earlier, while it lived', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'], now: 1_000_000_000_000 })
    const store = createMemoryStore([
      [keyOf('c'), recordOf(['a'])],
      [keyOf('d'), recordOf(['a'], { expiresAt: 1_000_009_000 })],
      [keyOf('e'), recordOf(['a'], { expiresAt: 1_000_000_010 })],
    ])
    const authorizer = authorizerOf(store)
    const sessions = [await logIn(authorizer, 'c'), await logIn(authorizer, 'd')]
    await vi.advanceTimersByTimeAsync(5_000)
    sessions.push(await logIn(authorizer, 'e'))
    for (const clientId of ['c', 'd']) await store.put(keyOf(clientId), recordOf(['a'], { expiresAt: 1_000_000_010 }))
    await vi.advanceTimersByTimeAsync(4_000)
    expect(sessions.map(({ revokeCause }) => revokeCause)).toEqual([undefined, undefined, undefined])
    await vi.advanceTimersByTimeAsync(2_000)
    expect(sessions.map(({ revokeCause }) => revokeCause)).toEqual(['expired', 'expired', 'expired'])
  })

  it('is revoked in time when it was opened after a sweep that found nothing due', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'], now: 1_000_000_000_000 })
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: 1_000_000_010 })]])
    const authorizer = authorizerOf(store)
    await vi.advanceTimersByTimeAsync(5_000)
    const session = await logIn(authorizer, 'c')
    await vi.advanceTimersByTimeAsync(7_000)
    expect(session.revokeCause).toBe('expired')
  })

  it('is revoked in time although the store does not answer for others', async () => {
    vi.useFakeTimers({
      toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'performance', 'Date'],
      now: 1_000_000_000_000,
    })
    const store = new SteppedStore([
      [keyOf('*'), recordOf(['a'])],
      [keyOf('c'), recordOf(['a'], { expiresAt: 1_000_000_040 })],
    ])
    const authorizer = authorizerOf(store)
    heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    for (let count = 0; count < 1_500; count++) await logIn(authorizer, `other${count}`)
    store.isStepped = true
    await vi.advanceTimersByTimeAsync(41_000)
    expect(session.revoked.reason).toBe('expired')
  })
})

describe('a decision of a session', () => {
  it.each([
    ['of a store in this process', createMemoryStore([[keyOf('c'), recordOf(['a'])]]), false],
    ['with a record that ends', createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: 9_999_999_999 })]]), true],
    ['of a store that may become deaf', new SteppedStore([[keyOf('c'), recordOf(['a'])]]), true],
  ])('%s asks for the time only where something ends with it', async (_of, store, isAsked) => {
    let asked = 0
    const clock = { now: () => performance.now() + 0 * asked++ }
    const authorizer = authorizerOf(store, { clock })
    if (store instanceof SteppedStore) await store.tell({ type: 'link', state: 'live', at: performance.now() })
    const session = await logIn(authorizer, 'c')
    const before = asked
    expect(session.authorizePublish('a').allow).toBe(true)
    expect(asked > before).toBe(isAsked)
  })
})

describe('the signal of a session', () => {
  it('is the same whenever it is read, before the end and after', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const [early, late] = [await logIn(authorizer, 'a'), await logIn(authorizer, 'b')]
    const { revoked } = early
    expect(revoked.aborted).toBe(false)
    await store.delete(keyOf('*'))
    expect(early.revoked).toBe(revoked)
    expect(late.revoked).toBe(late.revoked)
    for (const session of [early, late]) {
      expect([session.revoked.aborted, session.revoked.reason]).toEqual([true, 'deleted'])
      session.close()
      expect([session.revoked.aborted, session.revoked.reason]).toEqual([true, 'deleted'])
    }
  })

  it('stays quiet when the session is closed, whatever becomes of the record', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const events = [heard(authorizer, 'revoked'), heard(authorizer, 'changed')]
    const session = await logIn(authorizer, 'c')
    const { revoked } = session
    session.close()
    session.close()
    await store.put(keyOf('c'), recordOf(['b']))
    await store.delete(keyOf('c'))
    expect(revoked.aborted).toBe(false)
    expect(answers(session, 'a')).toEqual(all('closed'))
    expect(events).toEqual([[], []])
    expect(authorizer.stats().sessions).toBe(0)
  })
})

describe('a listener for the end of a session', () => {
  it('hears the cause once, before or after the signal was made', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const session = await logIn(authorizer, 'c')
    const [first, second, off] = [vi.fn(), vi.fn(), vi.fn()]
    session.onRevoked(first)
    const { revoked } = session
    session.onRevoked(second)
    const stop = session.onRevoked(off)
    session.onRevoked(off)
    stop()
    stop()
    expect(session.revokeCause).toBeUndefined()
    await store.delete(keyOf('*'))
    expect([revoked.reason, session.revokeCause]).toEqual(['deleted', 'deleted'])
    for (const listener of [first, second, off]) expect(listener.mock.calls).toEqual([['deleted', session]])
  })

  it('hears it at once when that is over already', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const session = await logIn(authorizerOf(store), 'c')
    await store.delete(keyOf('c'))
    const listener = vi.fn()
    session.onRevoked(listener)()
    expect(listener.mock.calls).toEqual([['deleted', session]])
    session.close()
    session.onRevoked(listener)
    expect(listener).toHaveBeenCalledTimes(2)
  })

  it('hears nothing when the session is closed', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const session = await logIn(authorizerOf(store), 'c')
    const listener = vi.fn()
    session.onRevoked(listener)
    session.close()
    session.onRevoked(listener)
    await store.delete(keyOf('c'))
    expect(listener).not.toHaveBeenCalled()
    expect(session.revokeCause).toBeUndefined()
  })

  it('that throws is reported, and keeps nobody from hearing', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const errors = heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    const other = vi.fn()
    session.onRevoked(() => {
      throw new Error('listener failed')
    })
    session.onRevoked(other)
    await store.delete(keyOf('c'))
    expect(other).toHaveBeenCalledTimes(1)
    expect(errors).toMatchObject([{ place: 'listener of onRevoked' }])
  })
})

describe('a listener of a session', () => {
  it.each<[string, () => void | Promise<void>]>([
    [
      'throws',
      () => {
        throw new Error('listener failed')
      },
    ],
    ['rejects', () => Promise.reject(new Error('listener failed'))],
  ])('that %s is reported, and keeps nobody from hearing the news', async (_, fail) => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['old'])]])
    const authorizer = authorizerOf(store)
    const errors = heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    const work = deferred()
    const other = vi.fn(() => work.promise)
    session.onChange(fail)
    session.onChange(other)
    let isWritten = false
    const writing = store.put(keyOf('c'), recordOf(['new'])).then(() => {
      isWritten = true
    })
    await idle()
    expect(other).toHaveBeenCalledTimes(1)
    expect(isWritten).toBe(false)
    work.resolve()
    await writing
    expect(errors).toMatchObject([{ place: 'listener of onChange' }])
    expect(answers(session, 'new')).toEqual(ALLOWED)
  })

  it('that never finishes does not keep the session from later changes', async () => {
    const store = new SteppedStore([[keyOf('c'), recordOf(['1'])]])
    const authorizer = authorizerOf(store)
    const session = await logIn(authorizer, 'c')
    const listener = vi.fn(() => new Promise<void>(() => {}))
    session.onChange(listener)
    void store.put(keyOf('c'), recordOf(['2']))
    await idle()
    expect(answers(session, '2')).toEqual(ALLOWED)
    void store.put(keyOf('c'), recordOf(['3']))
    await idle()
    expect(answers(session, '3')).toEqual(ALLOWED)
    expect(listener).toHaveBeenCalledTimes(2)
    void store.delete(keyOf('c'))
    await idle()
    expect(session.revoked.reason).toBe('deleted')
  })
})

describe('filters that a subscribe modifier wrote', () => {
  const modified: AclRecord = {
    passhash: 'plain:pw',
    publishAcl: [],
    subscribeAcl: [
      { pattern: 'ask', modifiers: [{ filter: 'given/+', qos: 1 }] },
      { pattern: 'beg', modifiers: [{ filter: 'refused', qos: 128 }] },
    ],
  }

  it('may be received from then on, by that session alone, until its rules change', async () => {
    const store = createMemoryStore([[keyOf('*'), modified]])
    const authorizer = authorizerOf(store)
    const [session, other] = [await logIn(authorizer, 'c'), await logIn(authorizer, 'd')]
    expect(session.authorizeReceive('given/x').allow).toBe(false)
    expect(session.authorizeSubscribe('ask').allow).toBe(true)
    expect(session.authorizeSubscribe('beg').allow).toBe(true)
    expect(session.authorizeReceive('given/x')).toEqual({ allow: true, rule: modified.subscribeAcl[0] })
    expect(session.authorizeReceive('given/x/y').allow).toBe(false)
    expect(session.authorizeReceive('refused').allow).toBe(false)
    expect(session.authorizeReceive('given/+').allow).toBe(false)
    expect(other.authorizeReceive('given/x').allow).toBe(false)
    await store.put(keyOf('*'), recordOf(['a']))
    expect(session.authorizeReceive('given/x').allow).toBe(false)
  })

  it('may not be received when nothing else may', async () => {
    const store = createMemoryStore([[keyOf('c'), modified]])
    const session = await logIn(authorizerOf(store), 'c')
    session.authorizeSubscribe('ask')
    await store.delete(keyOf('c'))
    expect(reasonOf(session.authorizeReceive('given/x'))).toBe('revoked')
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

function rules(pattern: string) {
  return { publishAcl: [{ pattern }], subscribeAcl: [{ pattern }] }
}
