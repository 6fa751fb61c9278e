import {
  type AclRecord,
  createMemoryStore,
  RecordInvalid,
  type RecordStore,
  StoreTimeout,
  StoreUnavailable,
} from 'mqtt-warden'
import { describe, expect, it, vi } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { eventually } from '../helpers/eventually.js'
import { authorizerOf, connectOf, heard, idle, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

const good = recordOf(['a'])
const proxy = (): object => {
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  return revoked
}
const cyclic = (): object => {
  const rules: unknown[] = []
  rules.push({ pattern: 'a', modifiers: rules })
  return { ...good, publishAcl: rules }
}

/** What a store may do instead of answering, and the reason it becomes. */
const FAULTS: readonly (readonly [string, () => unknown, string])[] = [
  ['rejects with an error', () => Promise.reject(new Error('broken')), 'store_unavailable'],
  ['rejects with StoreUnavailable', () => Promise.reject(new StoreUnavailable('gone')), 'store_unavailable'],
  ['rejects with StoreTimeout', () => Promise.reject(new StoreTimeout('late', 1)), 'store_unavailable'],
  ['rejects with nothing', () => Promise.reject(undefined), 'store_unavailable'],
  ['rejects with a text', () => Promise.reject('broken'), 'store_unavailable'],
  ['rejects with an object that cannot be printed', () => Promise.reject(Object.create(null)), 'store_unavailable'],
  [
    'throws synchronously',
    () => {
      throw new Error('broken')
    },
    'store_unavailable',
  ],
  ['hangs', () => new Promise(() => {}), 'store_unavailable'],
  // biome-ignore lint/suspicious/noThenProperty: a store of somebody else may return anything
  ['returns a thenable that hangs', () => ({ then() {} }), 'store_unavailable'],
  ['returns a proxy that was revoked', async () => proxy(), 'store_unavailable'],
  ['finds no record there', () => Promise.reject(new RecordInvalid('', 'is not JSON')), 'record_invalid'],
  ...(
    [
      null,
      0,
      1,
      '',
      'record',
      true,
      Number.NaN,
      [],
      {},
      [good],
      () => good,
      Symbol('record'),
      new Map([['passhash', 'plain:pw']]),
      cyclic(),
      { ...good, passhash: undefined },
      { ...good, passhash: 1 },
      { ...good, passhash: null },
      { ...good, publishAcl: null },
      { ...good, publishAcl: 'a' },
      { ...good, publishAcl: {} },
      { ...good, publishAcl: [null] },
      { ...good, publishAcl: ['a'] },
      { ...good, publishAcl: [{}] },
      { ...good, publishAcl: [{ pattern: 1 }] },
      { ...good, publishAcl: [{ pattern: 'a#' }] },
      { ...good, publishAcl: [{ pattern: 'a', maxQos: '2' }] },
      { ...good, publishAcl: [{ pattern: 'a', max_qos: 0 }] },
      { ...good, publishAcl: [{ pattern: 'a', deny: true }] },
      { ...good, publishAcl: [{ pattern: 'a', maxPayloadSize: 1n }] },
      { ...good, subscribeAcl: null },
      { ...good, subscribeAcl: [{ pattern: 'a/#/b' }] },
      { ...good, expiresAt: 'never' },
      { ...good, expiresAt: Number.NaN },
      { ...good, expiresAt: null },
      Object.defineProperty({ ...good }, 'publishAcl', {
        get() {
          throw new Error('trap')
        },
      }),
    ] as const
  ).map((garbage, index): [string, () => unknown, string] => [
    `returns garbage (${index})`,
    async () => garbage,
    'record_invalid',
  ]),
]

/** A store whose reads do as the test says. */
class FaultyStore extends SteppedStore {
  fault: (() => unknown) | undefined

  override get(key: { mountpoint: string; clientId: string; username: string }): Promise<AclRecord | undefined> {
    return this.fault === undefined ? super.get(key) : (this.fault() as Promise<AclRecord>)
  }
}

const newStore = () => new FaultyStore([[keyOf('c'), good]])

describe.each(FAULTS)('a store that %s', (_, fault, reason) => {
  it('lets nobody in, and every decision refuses', async () => {
    const store = newStore()
    store.fault = fault
    const authorizer = authorizerOf(store, { readTimeoutMs: 10 })
    const errors = heard(authorizer, 'error')
    const principal = keyOf('c')
    const answers = [
      await authorizer.authenticate(connectOf('c')),
      await authorizer.verify(connectOf('c')),
      await authorizer.access(principal),
      await authorizer.authorizePublish(principal, 'a'),
      await authorizer.authorizeSubscribe(principal, 'a'),
      await authorizer.authorizeReceive(principal, 'a'),
    ]
    expect(answers.map(reasonOf)).toEqual(answers.map(() => reason))
    expect(authorizer.stats().sessions).toBe(0)
    const places = ['login', 'login', 'decision', 'decision', 'decision', 'decision']
    const expected = reason === 'store_unavailable' ? places.map(place => `${place}`) : []
    expect(errors.map(({ place }) => place.split(' ')[0])).toEqual(expected)
    for (const { place } of errors) expect(place).toMatch(/^(login of|decision for) \["","c","u"\]$/)
  })

  it('leaves a live session its rules for readTimeoutMs after they were named, and not a millisecond more', async () => {
    const clock = createClock(1_000)
    const store = newStore()
    const authorizer = authorizerOf(store, { clock, readTimeoutMs: 10 })
    const errors = heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    const decide = () => [session.authorizePublish('a'), session.authorizeSubscribe('a'), session.authorizeReceive('a')]
    store.fault = fault
    const told = store.tell({ type: 'changed', key: keyOf('c') })
    clock.advance(9)
    expect(decide().every(({ allow }) => allow)).toBe(true)
    clock.advance(1)
    for (const decision of decide()) expect(decision.allow).toBe(false)
    await told
    expect(decide().map(reasonOf)).toEqual([reason, reason, reason])
    expect(errors).toHaveLength(1)
    expect(errors[0]?.place).toBe(`${reason === 'record_invalid' ? 'record' : 'refresh'} of ["","c","u"]`)
    store.fault = undefined
    await store.tell({ type: 'changed', key: keyOf('c') })
    expect(decide().every(({ allow }) => allow)).toBe(true)
  })
})

describe('a store that answers with more than a record', () => {
  it.each([
    [null],
    [7],
    [{}],
    [{ record: undefined }],
    [{ record: null }],
    [{ record: good, expiresAtMs: Number.NaN }],
    [{ record: good, expiresAtMs: 'tomorrow' }],
    [{ record: good, expiresAtMs: null }],
    [{ record: good, expiresAtMs: {} }],
  ])('is not believed what makes no sense: %j', async stored => {
    const store = Object.assign(newStore(), { getStored: async () => stored as never })
    const authorizer = authorizerOf(store)
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('record_invalid')
    expect(reasonOf(await authorizer.authorizePublish(keyOf('c'), 'a'))).toBe('record_invalid')
  })
})

describe('a store that reports a change whenever it is asked', () => {
  it('is given up after some tries, and its clients are refused in time', async () => {
    const clock = createClock(1_000)
    const store = newStore()
    const authorizer = authorizerOf(store, { clock })
    heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    let reads = 0
    store.fault = async () => {
      reads++
      await idle()
      void store.tell({ type: 'unknown' })
      return good
    }
    await store.tell({ type: 'unknown' })
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('busy')
    expect(reasonOf(await authorizer.authorizePublish(keyOf('c'), 'a'))).toBe('busy')
    expect(reads).toBeLessThan(1_000)
    clock.advance(60_001)
    expect(reasonOf(session.authorizePublish('a'))).toBe('store_unavailable')
    store.fault = undefined
    await store.tell({ type: 'unknown' })
    await eventually(() => session.authorizePublish('a').allow, 'the session is read again')
  })
})

describe('a store that is closed', () => {
  it('lets nobody in who is not known, and live sessions go on for their grace', async () => {
    const clock = createClock(performance.now())
    const store = createMemoryStore([[keyOf('c'), good]])
    const authorizer = authorizerOf(store, { clock })
    heard(authorizer, 'error')
    await authorizer.ready()
    const session = await logIn(authorizer, 'c')
    await store.close()
    expect(reasonOf(await authorizer.authenticate(connectOf('d')))).toBe('store_unavailable')
    expect(reasonOf(await authorizer.authorizePublish(keyOf('d'), 'a'))).toBe('store_unavailable')
    expect(session.authorizePublish('a').allow).toBe(true)
    clock.advance(60_001)
    expect(reasonOf(session.authorizePublish('a'))).toBe('store_unavailable')
    expect(reasonOf(await authorizer.authorizePublish(keyOf('c'), 'a'))).toBe('store_unavailable')
  })

  it('cannot be given to an authorizer', async () => {
    const store = createMemoryStore()
    await store.close()
    expect(() => authorizerOf(store)).toThrow(StoreUnavailable)
  })
})

describe('an event that makes no sense', () => {
  it.each([
    [undefined],
    [null],
    [7],
    ['changed'],
    [{}],
    [{ type: 'nonsense' }],
    [{ type: 'changed' }],
    [{ type: 'changed', key: null }],
    [{ type: 'changed', key: { mountpoint: '', clientId: 1, username: 'u' } }],
  ])('is taken for a change of anything: %j', async event => {
    const store = newStore()
    const authorizer = authorizerOf(store)
    const errors = heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    store.set(keyOf('c'), recordOf(['b']))
    await expect(store.tell(event as never)).resolves.toBeUndefined()
    await idle()
    expect(session.authorizePublish('b').allow).toBe(true)
    expect(session.authorizePublish('a').allow).toBe(false)
    expect(errors).toMatchObject([{ place: 'event of the store' }])
  })

  it('about the link vouches for nothing', async () => {
    const clock = createClock(1_000)
    const store = newStore()
    const authorizer = authorizerOf(store, { clock, outageGraceMs: 0, staleWindowMs: 100, readTimeoutMs: 10 })
    const session = await logIn(authorizer, 'c')
    clock.advance(111)
    for (const event of [
      { type: 'link' },
      { type: 'link', state: 'live' },
      { type: 'link', state: 'fine', at: 1_111 },
    ]) {
      await store.tell(event as never)
      expect(reasonOf(session.authorizePublish('a'))).toBe('store_unavailable')
    }
  })
})

describe('a failure that nobody waits for', () => {
  it('of the store is an error event with its place', async () => {
    const store = newStore()
    const authorizer = authorizerOf(store)
    const errors = heard(authorizer, 'error')
    const error = new Error('not armed')
    await store.tell({ type: 'error', error, place: 'link' })
    expect(errors).toMatchObject([{ error, place: 'store: link', suppressed: 0 }])
  })

  it('becomes one warning of the process when nobody listens for errors', async () => {
    const warnings: NodeJS.ErrnoException[] = []
    const listen = (warning: Error) => void warnings.push(warning)
    process.on('warning', listen)
    const store = newStore()
    const authorizer = authorizerOf(store)
    store.fault = () => Promise.reject(new Error('broken'))
    for (let count = 0; count < 3; count++) await authorizer.authorizePublish(keyOf('c'), 'a')
    await idle()
    process.off('warning', listen)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatchObject({
      code: 'MQTT_WARDEN_ERROR',
      message: `decision for ["","c","u"]: the store failed to read (no listener for 'error'; reported once)`,
    })
  })

  it('is reported twenty times, then once a second with how many were left out', async () => {
    const clock = createClock(1_000)
    const store = newStore()
    const authorizer = authorizerOf(store, { clock })
    const errors = heard(authorizer, 'error')
    store.fault = () => Promise.reject(new Error('broken'))
    const fail = async (times: number) => {
      for (let count = 0; count < times; count++) await authorizer.authorizePublish(keyOf('c'), 'a')
    }
    await fail(50)
    expect(errors).toHaveLength(20)
    clock.advance(1_000)
    await fail(5)
    expect(errors).toHaveLength(21)
    expect(errors.at(-1)?.suppressed).toBe(30)
  })
})

describe('a listener of events that fails', () => {
  const ways: readonly (readonly [string, () => unknown])[] = [
    [
      'throws',
      () => {
        throw new Error('listener failed')
      },
    ],
    ['rejects', () => Promise.reject(new Error('listener failed'))],
    ['throws what cannot be printed', () => throwing(Object.create(null))],
  ]

  it.each(ways)('because it %s changes no decision, is reported, and keeps no other from hearing', async (_, fail) => {
    const store = createMemoryStore([
      [keyOf('*'), good],
      [keyOf('c', 'v'), good],
    ])
    const authorizer = authorizerOf(store)
    const names = ['denied', 'revoked', 'changed', 'takeover', 'link'] as const
    const others = names.map(name => {
      authorizer.on(name, () => fail() as never)
      return heard(authorizer, name)
    })
    const errors = heard(authorizer, 'error')
    const first = await logIn(authorizer, 'c')
    const second = await logIn(authorizer, 'c')
    const third = await logIn(authorizer, 'c', { username: 'v' })
    expect(second.revoked.aborted).toBe(true)
    expect(reasonOf(third.authorizePublish('x'))).toBe('no_matching_rule')
    await store.put(keyOf('c', 'v'), recordOf(['b']))
    expect(third.authorizePublish('b').allow).toBe(true)
    await store.delete(keyOf('c', 'v'))
    expect(third.revoked.aborted).toBe(true)
    await idle()
    for (const other of others) expect(other.length).toBeGreaterThan(0)
    const places = new Set(errors.map(({ place }) => place))
    expect(places).toEqual(new Set(names.map(name => `listener of ${name}`)))
    first.close()
  })

  it.each(ways)('of errors, because it %s, becomes a warning of the process', async (_, fail) => {
    const emitWarning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const store = newStore()
    const authorizer = authorizerOf(store)
    authorizer.on('error', () => fail() as never)
    store.fault = () => Promise.reject(new Error('broken'))
    expect(reasonOf(await authorizer.authorizePublish(keyOf('c'), 'a'))).toBe('store_unavailable')
    await idle()
    const calls = [...emitWarning.mock.calls]
    emitWarning.mockRestore()
    expect(calls).toHaveLength(1)
    expect(calls[0]?.[0]).toMatch(/^listener of error: /)
  })
})

describe('listeners of events', () => {
  it('can be taken off, and can hear once only', async () => {
    const authorizer = authorizerOf(newStore() as RecordStore)
    const [always, never, once] = [vi.fn(), vi.fn(), vi.fn()]
    expect(authorizer.on('denied', always).on('denied', never).once('denied', once).off('denied', never)).toBe(
      authorizer,
    )
    await authorizer.authorizePublish(keyOf('c'), 'x')
    await authorizer.authorizePublish(keyOf('c'), 'x')
    expect([always, never, once].map(({ mock }) => mock.calls.length)).toEqual([2, 0, 1])
  })
})

function throwing(value: unknown): never {
  throw value
}
