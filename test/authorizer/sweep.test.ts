import { type AclRecord, encodeRecordKey, type RecordKey, type Session, StoreUnavailable } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { authorizerOf, drain, heard, idle, keyOf, logIn, recordOf, SteppedStore } from './support.js'

/** Counts reads, and can be out of reach. */
class CountingStore extends SteppedStore {
  readonly reads: Map<string, number> = new Map()
  isDown = false
  readsAtOnce = 50

  override get(key: RecordKey): Promise<AclRecord | undefined> {
    const text = encodeRecordKey(key)
    this.reads.set(text, (this.reads.get(text) ?? 0) + 1)
    return this.isDown ? Promise.reject(new StoreUnavailable('is down')) : super.get(key)
  }
}

const ACCOUNTS = 200
const CLIENTS = 5
const RECORDS = Array.from({ length: ACCOUNTS }, (_, at) => [keyOf('*', `u${at}`), recordOf(['a'])] as const)

/** A store with sessions, those of one account far apart. */
async function populated(more: { readonly maxRecords?: number } = {}) {
  const clock = createClock(1_000)
  const store = new CountingStore(RECORDS)
  const authorizer = authorizerOf(store, { clock, ...more })
  await store.tell({ type: 'link', state: 'live', at: 1_000 })
  const sessions: Session[] = []
  for (let client = 0; client < CLIENTS; client++) {
    for (let at = 0; at < ACCOUNTS; at++) {
      sessions.push(await logIn(authorizer, `c${at}-${client}`, { username: `u${at}` }))
    }
  }
  store.sent.length = 0
  store.reads.clear()
  return { clock, store, authorizer, sessions }
}

describe('sessions that are all due at once', () => {
  it.each([
    ['50 where the store does not say', undefined, 50],
    ['as many as the store says', 200, 200],
    ['50 where the store says what is no number', Number.NaN, 50],
    ['50 where the store says none', 0, 50],
  ])('are read again %s', async (_, readsAtOnce, expected) => {
    const { store, authorizer } = await populated()
    store.readsAtOnce = readsAtOnce as number
    store.isStepped = true
    await store.tell({ type: 'unknown' })
    for (let turns = 0; turns < 20; turns++) await idle()
    expect(store.pending).toHaveLength(expected)
    expect(authorizer.stats().loading).toBe(expected)
  })

  it('begin a few in each turn of the event loop', async () => {
    const { store } = await populated()
    store.readsAtOnce = 1_000
    store.isStepped = true
    void store.tell({ type: 'unknown' })
    const perTurn: number[] = []
    while (store.pending.length < 1_000) {
      const before = store.pending.length
      await new Promise(resolve => setImmediate(resolve))
      perTurn.push(store.pending.length - before)
    }
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(128)
  })

  it('share the read of the record that they are on, however small the cache', async () => {
    const { store, sessions } = await populated({ maxRecords: 2 * CLIENTS })
    for (const [key] of RECORDS) store.set(key, recordOf(['b']))
    await store.tell({ type: 'unknown' })
    while (!sessions.every(session => session.authorizePublish('b').allow)) await idle()
    for (const [key] of RECORDS) expect(store.reads.get(encodeRecordKey(key))).toBe(1)
    expect(store.sent).toHaveLength(ACCOUNTS * CLIENTS + ACCOUNTS)
  })

  it('keep no login waiting that needs a record of its own', async () => {
    const { store, authorizer } = await populated()
    store.set(keyOf('*', 'new'), recordOf(['a']))
    store.isStepped = true
    await store.tell({ type: 'unknown' })
    for (let turns = 0; turns < 5; turns++) await idle()
    const login = logIn(authorizer, 'new', { username: 'new' })
    for (const clientId of ['new', '*']) {
      await idle()
      expect(store.pending.at(-1)?.clientId).toBe(clientId)
      store.pending.at(-1)!.answer()
    }
    expect((await login).authorizePublish('a').allow).toBe(true)
    expect(store.pending).toHaveLength(50)
  })

  it('take nothing older than what a change brought them meanwhile', async () => {
    const { store, sessions } = await populated()
    store.isStepped = true
    await store.tell({ type: 'unknown' })
    await idle()
    // The exact records are absent: answered, and the shared ones asked for.
    for (const read of [...store.pending]) if (read.clientId !== '*') read.answer()
    await idle()
    const early = store.pending.filter(({ clientId }) => clientId === '*')
    expect(early.length).toBeGreaterThan(0)
    store.isStepped = false
    const written = Promise.all(RECORDS.slice(0, 20).map(([key]) => store.put(key, recordOf(['b']))))
    await idle()
    for (const read of early) read.answer()
    await written
    await drain(store)
    const named = sessions.filter(({ principal }) => Number(principal.username.slice(1)) < 20)
    expect(named).toHaveLength(100)
    for (const session of named) {
      expect(session.authorizePublish('b').allow).toBe(true)
      expect(session.authorizePublish('a').allow).toBe(false)
    }
  })
})

describe('a store that cannot be reached', () => {
  it('is asked for a few of the sessions at each sweep, never the same ones first, and for all when it is back', async () => {
    const { store, authorizer, sessions } = await populated()
    const errors = heard(authorizer, 'error')
    store.isDown = true
    await store.tell({ type: 'unknown' })
    for (let turns = 0; turns < 20; turns++) await idle()
    const tried = store.reads.size
    expect(tried).toBeGreaterThan(0)
    expect(tried).toBeLessThan(300)
    for (let sweep = 1; sweep < 4; sweep++) {
      await store.tell({ type: 'unknown' })
      for (let turns = 0; turns < 20; turns++) await idle()
    }
    expect(store.reads.size).toBeGreaterThan(3 * tried * 0.9)
    expect(errors.length).toBeGreaterThan(0)
    expect(sessions.every(session => session.authorizePublish('a').allow)).toBe(true)

    for (const [key] of RECORDS) store.set(key, recordOf(['b']))
    store.isDown = false
    await store.tell({ type: 'unknown' })
    while (!sessions.every(session => session.authorizePublish('b').allow)) await idle()
  })

  it('in part keeps the sessions waiting whose records it has, no others', async () => {
    const { store, sessions } = await populated()
    const isOut = ({ username }: { readonly username: string }) => Number(username.slice(1)) % 3 === 0
    const { get } = CountingStore.prototype
    store.get = key => (isOut(key) ? Promise.reject(new StoreUnavailable('is out')) : get.call(store, key))
    for (const [key] of RECORDS) store.set(key, recordOf(['b']))
    await store.tell({ type: 'unknown' })
    const others = sessions.filter(({ principal }) => !isOut(principal))
    while (!others.every(session => session.authorizePublish('b').allow)) await idle()
    expect(others.length).toBeLessThan(sessions.length)
  })
})
