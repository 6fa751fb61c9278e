import { type AclRecord, createMemoryStore, type SessionChange } from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { deferred } from '../helpers/deferred.js'
import {
  ALLOWED,
  all,
  answers,
  authorizerOf,
  CACHES,
  heard,
  idle,
  keyOf,
  logIn,
  reasonOf,
  recordOf,
  SteppedStore,
} from './support.js'

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

function rules(pattern: string) {
  return { publishAcl: [{ pattern }], subscribeAcl: [{ pattern }] }
}
