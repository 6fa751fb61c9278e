import { type Authorizer, createMemoryStore } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { deferred } from '../helpers/deferred.js'
import {
  authorizerOf,
  CACHES,
  connectOf,
  drain,
  heard,
  idle,
  keyOf,
  logIn,
  plainHasher,
  reasonOf,
  recordOf,
  SteppedStore,
} from './support.js'

const LIVE = { type: 'link', state: 'live', at: Number.POSITIVE_INFINITY } as const

/** A store in stepped mode, heard of without a gap. */
async function stepped(authorizer: (store: SteppedStore) => Authorizer) {
  const store = new SteppedStore([[keyOf('c'), recordOf(['old'])]])
  const subject = authorizer(store)
  await store.tell(LIVE)
  store.isStepped = true
  return { store, authorizer: subject, ask: () => subject.authorizePublish(keyOf('c'), 'old') }
}

describe.each(CACHES)('a read of a record, %s', (_, cache) => {
  const start = () => stepped(store => authorizerOf(store, cache))

  it('is one for all who ask at the same time', async () => {
    const { store, authorizer, ask } = await start()
    const answers = [ask(), ask(), authorizer.authenticate(connectOf('c')), ask()]
    await idle()
    expect(store.sent).toEqual(['c'])
    expect(authorizer.stats().loading).toBe(1)
    store.pending[0]!.answer()
    for (const answer of await Promise.all(answers)) expect(answer.allow).toBe(true)
    expect(store.sent).toEqual(['c'])
    expect(authorizer.stats()).toMatchObject({ loading: 0, discarded: 0 })
  })

  it('reply sent before the revoke, received after it: thrown away, and read again', async () => {
    const { store, authorizer, ask } = await start()
    const answer = ask()
    await idle()
    const [early] = store.pending
    await store.delete(keyOf('c'))
    early!.answer()
    await drain(store)
    expect(reasonOf(await answer)).toBe('bad_credentials')
    expect(store.sent.slice(0, 3)).toEqual(['c', 'c', '*'])
    expect(authorizer.stats().discarded).toBe(1)
    store.isStepped = false
    expect(reasonOf(await ask())).toBe('bad_credentials')
  })

  it('reply sent before the revoke, received after the reply to a later read: still thrown away', async () => {
    const { store, ask } = await start()
    const first = ask()
    await idle()
    const [early] = store.pending
    await store.put(keyOf('c'), recordOf(['new']))
    const second = ask()
    await idle()
    expect(store.pending).toHaveLength(2)
    store.pending[1]!.answer()
    expect(reasonOf(await second)).toBe('no_matching_rule')
    early!.answer()
    await drain(store)
    expect(reasonOf(await first)).toBe('no_matching_rule')
    store.isStepped = false
    expect(reasonOf(await ask())).toBe('no_matching_rule')
  })

  it('begun after the revoke does not join one that was sent before it', async () => {
    const { store, ask } = await start()
    void ask()
    await idle()
    await store.tell({ type: 'changed', key: keyOf('c') })
    void ask()
    await idle()
    expect(store.sent).toEqual(['c', 'c'])
    await drain(store)
  })

  it('reply received before the revoke, used after it: the decision is made again', async () => {
    const { store, ask } = await start()
    const answer = ask()
    await idle()
    store.isStepped = false
    store.pending[0]!.answer()
    store.set(keyOf('c'), undefined)
    void store.tell({ type: 'changed', key: keyOf('c') })
    expect(reasonOf(await answer)).toBe('bad_credentials')
  })

  it('overtaken by "anything may have changed" is thrown away, and read again', async () => {
    const { store, authorizer, ask } = await start()
    const answer = ask()
    await idle()
    store.set(keyOf('c'), recordOf(['new']))
    await store.tell({ type: 'unknown' })
    store.isStepped = false
    store.pending[0]!.answer()
    expect(reasonOf(await answer)).toBe('no_matching_rule')
    expect(authorizer.stats().discarded).toBe(1)
  })

  it('is tried three times while the record changes each time, then the answer is busy', async () => {
    const { store, ask, authorizer } = await start()
    const denials = heard(authorizer, 'denied')
    const answer = ask()
    for (let tries = 0; tries < 3; tries++) {
      await idle()
      expect(store.pending).toHaveLength(1)
      await store.tell({ type: 'changed', key: keyOf('c') })
      store.pending[0]!.answer()
    }
    expect(reasonOf(await answer)).toBe('busy')
    expect(store.sent).toHaveLength(3)
    expect(denials[0]?.detail).toBe('the record of ["","c","u"] changed 3 times while it was read')
    store.isStepped = false
    expect((await ask()).allow).toBe(true)
  })

  it('of the absent exact record, overtaken by its appearance while the shared one is read: decided by the exact one', async () => {
    const store = new SteppedStore([[keyOf('*'), recordOf(['shared'])]])
    const authorizer = authorizerOf(store, cache)
    await store.tell(LIVE)
    store.isStepped = true
    const answer = authorizer.authorizePublish(keyOf('c'), 'shared')
    await idle()
    store.pending[0]!.answer()
    await idle()
    expect(store.pending[0]!.clientId).toBe('*')
    store.set(keyOf('c'), recordOf([]))
    await store.tell({ type: 'changed', key: keyOf('c') })
    store.isStepped = false
    store.pending[0]!.answer()
    expect(reasonOf(await answer)).toBe('no_matching_rule')
  })
})

describe.each(CACHES)('a login, %s', (_, cache) => {
  /** Logs in with a hasher that waits for the test, up to the point where it does. */
  async function verifying(options: object = {}) {
    const hasher = plainHasher()
    const verdicts: ReturnType<typeof deferred<boolean>>[] = []
    hasher.verify = () => {
      const verdict = deferred<boolean>()
      verdicts.push(verdict)
      return verdict.promise
    }
    const store = createMemoryStore([
      [keyOf('*'), recordOf(['shared'])],
      [keyOf('c'), recordOf(['old'])],
    ])
    const authorizer = authorizerOf(store, { ...cache, hasher, ...options })
    const login = authorizer.authenticate(connectOf('c'))
    await idle()
    expect(verdicts).toHaveLength(1)
    return { store, authorizer, login, verdicts }
  }

  it('record deleted while the password is judged: no session, but judged by what decides then', async () => {
    const { store, login, verdicts, authorizer } = await verifying()
    await store.delete(keyOf('c'))
    verdicts[0]!.resolve(true)
    await idle()
    // The shared record decides now; the password was not proven against that.
    expect(verdicts).toHaveLength(2)
    verdicts[1]!.resolve(false)
    expect(reasonOf(await login)).toBe('bad_credentials')
    expect(authorizer.stats().sessions).toBe(0)
  })

  it('password changed while it is judged: the old one does not let in', async () => {
    const { store, login, verdicts } = await verifying()
    await store.put(keyOf('c'), recordOf(['old'], { passhash: 'plain:new' }))
    verdicts[0]!.resolve(true)
    await idle()
    verdicts[1]!.resolve(false)
    expect(reasonOf(await login)).toBe('bad_credentials')
  })

  it('password changed while a wrong one is judged: the new one decides, for refusals too', async () => {
    const { store, login, verdicts } = await verifying()
    await store.put(keyOf('c'), recordOf(['new'], { passhash: 'plain:new' }))
    verdicts[0]!.resolve(false)
    await idle()
    verdicts[1]!.resolve(true)
    const outcome = await login
    expect(outcome.allow && outcome.session.authorizePublish('new').allow).toBe(true)
  })

  it('rules changed while the password is judged: the session opens with the new ones, and nothing is hashed twice', async () => {
    const { store, login, verdicts } = await verifying()
    await store.put(keyOf('c'), recordOf(['new']))
    verdicts[0]!.resolve(true)
    const outcome = await login
    if (!outcome.allow) throw new Error(outcome.reason)
    expect(verdicts).toHaveLength(1)
    expect(reasonOf(outcome.session.authorizePublish('old'))).toBe('no_matching_rule')
    expect(outcome.session.authorizePublish('new').allow).toBe(true)
  })

  it('exact record appearing while a shared password is judged: the exact one decides', async () => {
    const { store, authorizer, verdicts, login } = await verifying()
    const other = authorizer.authenticate(connectOf('d'))
    await idle()
    await store.put(keyOf('d'), recordOf(['own'], { passhash: 'plain:own' }))
    verdicts[1]!.resolve(true)
    await idle()
    verdicts[2]!.resolve(false)
    expect(reasonOf(await other)).toBe('bad_credentials')
    verdicts[0]!.resolve(true)
    expect((await login).allow).toBe(true)
  })

  it('shared record changed while the password of one of its clients is judged: the new one decides', async () => {
    const { store, authorizer, verdicts, login } = await verifying()
    const other = authorizer.authenticate(connectOf('d'))
    await idle()
    await store.put(keyOf('*'), recordOf(['new'], { passhash: 'plain:new' }))
    verdicts[1]!.resolve(true)
    await idle()
    verdicts[2]!.resolve(false)
    expect(reasonOf(await other)).toBe('bad_credentials')
    verdicts[0]!.resolve(true)
    expect((await login).allow).toBe(true)
  })

  it('anything may have changed while the password is judged: the record is read again', async () => {
    const store = new SteppedStore([[keyOf('c'), recordOf(['old'])]])
    const hasher = plainHasher()
    const { verify } = hasher
    hasher.verify = async (...args) => {
      store.set(keyOf('c'), recordOf(['new']))
      await store.tell({ type: 'unknown' })
      return verify.apply(hasher, args)
    }
    const session = await logIn(authorizerOf(store, { ...cache, hasher }), 'c')
    expect(session.authorizePublish('new').allow).toBe(true)
    expect(session.authorizePublish('old').allow).toBe(false)
  })

  it('record changed each time the password is judged: busy after three', async () => {
    const { store, login, verdicts, authorizer } = await verifying()
    for (let tries = 0; tries < 3; tries++) {
      await store.put(keyOf('c'), recordOf(['old'], { passhash: `plain:${tries}` }))
      verdicts[tries]!.resolve(true)
      await idle()
    }
    expect(reasonOf(await login)).toBe('busy')
    expect(verdicts).toHaveLength(3)
    expect(authorizer.stats().sessions).toBe(0)
  })
})

describe('a session', () => {
  async function live() {
    const store = new SteppedStore([[keyOf('c'), recordOf(['old'])]])
    const authorizer = authorizerOf(store)
    await store.tell(LIVE)
    const session = await logIn(authorizer, 'c')
    store.isStepped = true
    return { store, authorizer, session }
  }

  it('reply sent before the second change, received after it: the session waits for the later one', async () => {
    const { store, session, authorizer } = await live()
    const changed = heard(authorizer, 'changed')
    const first = store.put(keyOf('c'), recordOf(['1']))
    await idle()
    const second = store.put(keyOf('c'), recordOf(['2']))
    await idle()
    await drain(store)
    await Promise.all([first, second])
    expect(session.authorizePublish('2').allow).toBe(true)
    expect(changed.map(({ acl }) => acl.publishAcl)).toEqual([[{ pattern: '2' }]])
  })

  it('change while its listeners are at work: both writers find it deciding by the later record', async () => {
    const { store, session } = await live()
    store.isStepped = false
    const works = [deferred(), deferred()]
    const seen: unknown[] = []
    session.onChange(({ acl }) => {
      seen.push(acl.publishAcl)
      return works[seen.length - 1]!.promise
    })
    const first = store.put(keyOf('c'), recordOf(['1']))
    await idle()
    const second = store.put(keyOf('c'), recordOf(['2']))
    await idle()
    expect(session.authorizePublish('2').allow).toBe(true)
    works[0]!.resolve()
    works[1]!.resolve()
    await Promise.all([first, second])
    expect(seen).toEqual([[{ pattern: '1' }], [{ pattern: '2' }]])
  })

  it('read failed for a change, then another change: the later one is read all the same', async () => {
    const { store, session, authorizer } = await live()
    const errors = heard(authorizer, 'error')
    const first = store.put(keyOf('c'), recordOf(['1']))
    await idle()
    const second = store.put(keyOf('c'), recordOf(['2']))
    await idle()
    store.isStepped = false
    for (const read of [...store.pending]) read.fail(new Error('link lost'))
    await Promise.all([first, second])
    await idle()
    if (session.authorizePublish('2').allow) return
    // The change heard last has failed to be read itself: then somebody was told.
    expect(errors.length).toBeGreaterThan(0)
  })

  it('change told by a listener of the error about it: not lost', async () => {
    const { store, session, authorizer } = await live()
    let writing: Promise<unknown> | undefined
    authorizer.on('error', () => {
      writing ??= store.put(keyOf('c'), recordOf(['2']))
    })
    void store.put(keyOf('c'), recordOf(['1']))
    await idle()
    store.isStepped = false
    store.pending[0]!.fail(new Error('link lost'))
    await idle()
    await writing
    expect(session.authorizePublish('2').allow).toBe(true)
  })

  it('own record named and unread, shared record read anew: still refused when the time for the own one is over', async () => {
    const clock = createClock(1_000)
    const store = new SteppedStore([[keyOf('*'), recordOf(['old'])]])
    const authorizer = authorizerOf(store, { clock, readTimeoutMs: 1_000 })
    await store.tell(LIVE)
    const session = await logIn(authorizer, 'c')
    store.isStepped = true
    const own = store.put(keyOf('c'), recordOf(['own']))
    const shared = store.put(keyOf('*'), recordOf(['new']))
    await idle()
    store.pending.find(({ clientId }) => clientId === '*')!.answer()
    await idle()
    clock.advance(1_000)
    expect(reasonOf(session.authorizePublish('new'))).toBe('store_unavailable')
    await drain(store)
    await Promise.all([own, shared])
    expect(session.revoked.reason).toBe('password')
  })

  it('closed while its record is read: nothing more happens to it', async () => {
    const { store, session, authorizer } = await live()
    const changed = heard(authorizer, 'changed')
    const writing = store.put(keyOf('c'), recordOf(['1']))
    await idle()
    session.close()
    store.pending[0]!.answer()
    await writing
    expect(changed).toEqual([])
    expect(reasonOf(session.authorizePublish('1'))).toBe('closed')
  })

  it('link lost and changes missed: read again as soon as that is told, without waiting for any window', async () => {
    const { store, session } = await live()
    store.isStepped = false
    store.set(keyOf('c'), recordOf(['missed']))
    await store.tell({ type: 'unknown' })
    await idle()
    expect(session.authorizePublish('missed').allow).toBe(true)
    store.set(keyOf('c'), undefined)
    await store.tell({ type: 'unknown' })
    await idle()
    expect(session.revoked.reason).toBe('deleted')
  })

  it('link lost while the record is read: read once more in the new epoch', async () => {
    const { store, session } = await live()
    void store.put(keyOf('c'), recordOf(['1']))
    await idle()
    store.set(keyOf('c'), recordOf(['missed']))
    await store.tell({ type: 'unknown' })
    store.isStepped = false
    for (const read of [...store.pending]) read.answer()
    await idle()
    expect(session.authorizePublish('missed').allow).toBe(true)
  })
})
