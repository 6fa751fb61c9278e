import fc from 'fast-check'
import {
  type Acl,
  type AclRecord,
  type Authorizer,
  createAuthorizer,
  type RecordKey,
  type RecordStore,
  type Session,
  type StoreEvent,
  type StoreListener,
  type WriteResult,
} from 'mqtt-warden'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { connectOf, keyOf, plainHasher } from './support.js'

const LIMITS = { maxAgeMs: 1_000, staleWindowMs: 100, readTimeoutMs: 20, outageGraceMs: 300, connectTimeoutMs: 100 }
const BOUND_MS = Math.max(LIMITS.staleWindowMs + LIMITS.readTimeoutMs, LIMITS.outageGraceMs)
const CLIENTS = ['a', 'b'] as const
const KEYS = [...CLIENTS, '*'] as const

/** What stood under one key for some time. */
interface Span {
  readonly record: AclRecord | undefined
  endedAt: number
  /** When the authorizer was told of the write that ended it. */
  toldAt: number
  /** The same, in steps of the world. */
  toldIn: number
}

interface Read {
  readonly key: RecordKey
  /** What the store held when it came to the question, which is some time after it was asked. */
  value: { readonly record: AclRecord | undefined } | undefined
  answer(): void
  fail(): void
}

/** A store that knows its whole past, and whose every step is the test's: serving, answering, delivering, beating. */
class WorldStore implements RecordStore {
  readonly semantics = 'strict'
  readonly reads: Read[] = []
  /** By client id of the key, the present last. */
  readonly spans: Record<string, Span[]> = {}
  /** News on their way, in order. */
  readonly news: { event: StoreEvent; told?: () => void }[] = []
  steps = 0
  link: 'live' | 'deaf' = 'deaf'
  #heardUntil = Number.NEGATIVE_INFINITY
  #listener: StoreListener = () => {}

  constructor() {
    for (const id of KEYS) this.spans[id] = [spanOf(undefined)]
  }

  get(key: RecordKey): Promise<AclRecord | undefined> {
    return new Promise((resolve, reject) => {
      const leave = () => void this.reads.splice(this.reads.indexOf(read), 1)
      const read: Read = {
        key,
        value: undefined,
        answer: () => {
          this.serve(read)
          leave()
          resolve(read.value!.record)
        },
        fail: () => {
          leave()
          reject(new Error('connection lost'))
        },
      }
      this.reads.push(read)
    })
  }

  serve(read: Read): void {
    read.value ??= { record: this.present(read.key.clientId).record }
  }

  write(id: string, record: AclRecord | undefined): void {
    const ended = this.present(id)
    ended.endedAt = performance.now()
    this.spans[id]!.push(spanOf(record))
    const told = () => {
      ended.toldAt = performance.now()
      ended.toldIn = this.steps
    }
    if (this.link === 'live') this.news.push({ event: { type: 'changed', key: keyOf(id) }, told })
  }

  /** Sends a beat, which vouches for everything up to now when it arrives. */
  beat(): void {
    if (this.link === 'live') this.news.push({ event: { type: 'link', state: 'live', at: performance.now() } })
  }

  /** Whatever is under way is lost; the authorizer may or may not notice. */
  cut(isNoticed: boolean): void {
    this.link = 'deaf'
    this.news.length = 0
    if (isNoticed) void this.#listener({ type: 'link', state: 'blind', at: this.#heardUntil })
  }

  arm(): void {
    if (this.link === 'live') return
    this.link = 'live'
    this.news.push({ event: { type: 'unknown' } })
    this.beat()
  }

  deliver(): void {
    const item = this.news.shift()
    if (item === undefined) return
    item.told?.()
    if (item.event.type === 'link') this.#heardUntil = item.event.at
    void this.#listener(item.event)
  }

  present(id: string): Span {
    return this.spans[id]!.at(-1)!
  }

  watch(listener: StoreListener): () => void {
    this.#listener = listener
    return () => {
      this.#listener = () => {}
    }
  }

  put(): Promise<WriteResult> {
    throw new Error('not used')
  }
  delete(): Promise<WriteResult> {
    throw new Error('not used')
  }
  async *scan(): AsyncGenerator<RecordKey> {}
  async close(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

function spanOf(record: AclRecord | undefined): Span {
  const never = Number.POSITIVE_INFINITY
  return { record, endedAt: never, toldAt: never, toldIn: never }
}

/** The store, the authorizer, and everything that came of it. */
class World {
  readonly store = new WorldStore()
  readonly authorizer: Authorizer
  readonly sessions: { session: Session; openedAt: number }[] = []
  /** What went wrong where nobody waits. */
  readonly failures: unknown[] = []
  #versions = 0

  constructor() {
    const options = { hasher: plainHasher(), refusalCapMs: 0, verifiedTtlMs: 0, maxRecords: 2, maxAbsent: 2 }
    this.authorizer = createAuthorizer({ store: this.store, ...LIMITS, ...options })
    this.authorizer.on('error', () => {})
    this.store.arm()
    while (this.store.news.length > 0) this.store.deliver()
  }

  /** A record whose one topic no other record has. */
  record(password: string): AclRecord {
    const rules = [{ pattern: `v${this.#versions++}` }]
    return { passhash: `plain:${password}`, publishAcl: rules, subscribeAcl: rules }
  }

  logIn(client: string): void {
    const begunIn = this.store.steps
    this.#later(async () => {
      const login = await this.authorizer.authenticate(connectOf(client))
      if (!login.allow) return
      const { session } = login
      this.sessions.push({ session, openedAt: performance.now() })
      const [pattern] = patternsOf(session.acl)
      expect(this.#spanOf(session.recordKey!.clientId, pattern!)?.record?.passhash).toBe('plain:pw')
      this.decide(session, begunIn)
    })
  }

  decide(session: Session, begunIn = 0): void {
    for (const pattern of patternsOf(session.acl)) {
      const answers = [session.authorizePublish(pattern), session.authorizeSubscribe(pattern)]
      if (answers.some(({ allow }) => allow)) this.#judge(session.principal.clientId, pattern, begunIn)
    }
  }

  /** The same for decisions without a session, which are made when they are answered. */
  ask(client: string): void {
    const begunIn = this.store.steps
    for (const { record } of [client, '*'].flatMap(id => this.store.spans[id]!.slice(-2))) {
      for (const pattern of record === undefined ? [] : patternsOf(record)) {
        this.#later(async () => {
          const { allow } = await this.authorizer.authorizePublish(keyOf(client), pattern)
          if (allow) this.#judge(client, pattern, begunIn)
        })
      }
    }
  }

  #later(work: () => Promise<void>): void {
    work().catch(error => this.failures.push(error))
  }

  /**
   * A decision may rest only on what stood under a key not longer ago than the bound, and was not told to have ended, or
   * not long ago; one that was begun when that was told already, not at all.
   */
  #judge(client: string, pattern: string, begunIn: number): void {
    const own = this.#spanOf(client, pattern)
    const absences = this.store.spans[client]!.filter(({ record }) => record === undefined)
    const grounds = own === undefined ? [this.#spanOf('*', pattern)!, absences.at(-1)!] : [own]
    const now = performance.now()
    for (const { endedAt, toldAt, toldIn } of grounds) {
      expect(now - endedAt).toBeLessThanOrEqual(BOUND_MS)
      expect(now - toldAt).toBeLessThan(LIMITS.readTimeoutMs)
      expect(toldIn).toBeGreaterThanOrEqual(begunIn)
    }
  }

  #spanOf(id: string, pattern: string): Span | undefined {
    return this.store.spans[id]!.find(({ record }) => record !== undefined && patternsOf(record)[0] === pattern)
  }

  /** Lets everything arrive that is under way, and looks whether all decide by what the store holds. */
  async settle(): Promise<void> {
    this.store.cut(true)
    this.store.arm()
    for (let rounds = 0; rounds < 60; rounds++) {
      if (rounds % 10 === 0) {
        this.store.beat()
        vi.advanceTimersByTime(30)
      }
      while (this.store.news.length > 0) this.store.deliver()
      await turn()
      for (const read of [...this.store.reads]) read.answer()
      await turn()
    }
    expect(this.store.reads).toEqual([])
    for (const { session, openedAt } of this.sessions) this.#check(session, openedAt)
  }

  #check(session: Session, openedAt: number): void {
    const { principal, recordKey } = session
    const id = recordKey!.clientId
    if (session.revoked.aborted) {
      const since = (key: string) => this.store.spans[key]!.filter(({ endedAt }) => endedAt >= openedAt - BOUND_MS)
      const isChanged = since(id).some(({ record }) => record?.passhash !== 'plain:pw')
      const isHidden = id === '*' && since(principal.clientId).some(({ record }) => record !== undefined)
      expect(isChanged || isHidden, 'a revoked session had a reason to be').toBe(true)
      return
    }
    const own = this.store.present(principal.clientId).record
    const record = own ?? this.store.present('*').record
    expect([id, session.acl.publishAcl]).toEqual([own === undefined ? '*' : principal.clientId, record?.publishAcl])
    expect(record?.passhash).toBe('plain:pw')
    expect(session.authorizePublish(patternsOf(record!)[0]!).allow).toBe(true)
  }
}

function patternsOf({ publishAcl }: Acl): string[] {
  return publishAcl.map(({ pattern }) => pattern)
}

const turn = () => new Promise(resolve => setImmediate(resolve))

type Step = (world: World) => void
const step = <T>(name: string, arbitrary: fc.Arbitrary<T>, act: (world: World, value: T) => void) =>
  arbitrary.map(
    (value): Step => Object.assign((world: World) => act(world, value), { toString: () => `${name}(${value})` }),
  )

const pick = fc.nat(5)
const at = <T>(items: readonly T[], index: number): T | undefined => items[index % Math.max(1, items.length)]

/** Most of what happens concerns one client, so that it meets. */
const someClient = fc.constantFrom('a', 'a', 'a', ...CLIENTS)
const someKey = fc.constantFrom('a', 'a', '*', '*', ...KEYS)

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: step('write', someKey, (world, id) => world.store.write(id, world.record('pw'))) },
    { weight: 1, arbitrary: step('repass', someKey, (world, id) => world.store.write(id, world.record('x'))) },
    { weight: 2, arbitrary: step('delete', someKey, (world, id) => world.store.write(id, undefined)) },
    { weight: 5, arbitrary: step('logIn', someClient, (world, id) => world.logIn(id)) },
    { weight: 6, arbitrary: step('ask', someClient, (world, id) => world.ask(id)) },
    {
      weight: 6,
      arbitrary: step('serve', pick, ({ store }, index) => {
        const read = at(store.reads, index)
        if (read !== undefined) store.serve(read)
      }),
    },
    { weight: 9, arbitrary: step('answer', pick, ({ store }, index) => at(store.reads, index)?.answer()) },
    { weight: 1, arbitrary: step('fail', pick, ({ store }, index) => at(store.reads, index)?.fail()) },
    {
      weight: 7,
      arbitrary: step('deliver', fc.constant(''), ({ store }) => {
        for (let news = store.news.length; news > 0; news--) store.deliver()
      }),
    },
    { weight: 2, arbitrary: step('deliver one', fc.constant(''), ({ store }) => store.deliver()) },
    { weight: 2, arbitrary: step('beat', fc.constant(''), ({ store }) => store.beat()) },
    { weight: 2, arbitrary: step('arm', fc.constant(''), ({ store }) => store.arm()) },
    { weight: 1, arbitrary: step('cut', fc.boolean(), ({ store }, isNoticed) => store.cut(isNoticed)) },
    {
      weight: 3,
      arbitrary: step('advance', fc.constantFrom(1, 10, 19, 20, 50, 100, 150, 299, 700), (_, ms) =>
        vi.advanceTimersByTime(ms),
      ),
    },
    {
      weight: 1,
      arbitrary: step('close', pick, ({ sessions }, index) => sessions.splice(index, 1)[0]?.session.close()),
    },
  ),
  { minLength: 30, maxLength: 80, size: 'max' },
)

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
})

afterEach(() => {
  vi.useRealTimers()
})

it('whatever happens in whatever order, no decision rests on what ended longer ago than the bound, and all is well in the end', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async sequence => {
      const world = new World()
      try {
        for (const act of sequence) {
          world.store.steps++
          act(world)
          await turn()
          for (const { session } of world.sessions) world.decide(session)
          expect(world.failures).toEqual([])
        }
        await world.settle()
        expect(world.failures).toEqual([])
      } finally {
        await world.authorizer.close()
      }
    }),
    { numRuns: Number(process.env.MODEL_RUNS ?? 300) },
  )
}, 60_000)
