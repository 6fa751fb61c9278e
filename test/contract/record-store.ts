import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  OutcomeUnknown,
  RecordConflict,
  RecordInvalid,
  RecordKeyInvalid,
  StoreUnavailable,
  WardenError,
} from '../../src/errors.js'
import { parseRecord } from '../../src/record/parse.js'
import type { AclRecord, RecordKey } from '../../src/record/types.js'
import { NotDurable } from '../../src/store/not-durable.js'
import type { ChangeEffects, RecordStore, StoreEvent } from '../../src/store/types.js'
import { VERSION } from '../../src/version.js'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'

/** How the shared suite gets an empty store, and rid of what it needed. */
export interface StoreSubject {
  /** Once, before the first store. */
  setUp?(): Promise<void>
  /** A store without records. The suite closes it. */
  create(): RecordStore | Promise<RecordStore>
  /** After each test, when its stores are closed. */
  clean?(): Promise<void>
  /** Once, after everything. */
  tearDown?(): Promise<void>
}

const HASH = '$2a$04$abcdefghijklmnopqrstuuJ6zrjCk0vJKgVDsJrGzBbXxCMCDPRF2'

export const key = (clientId: string, username = 'u', mountpoint = ''): RecordKey => ({
  mountpoint,
  clientId,
  username,
})

export const recordOf = (...patterns: string[]): AclRecord => ({
  passhash: HASH,
  publishAcl: patterns.map(pattern => ({ pattern })),
  subscribeAcl: [{ pattern: 'a/+', maxQos: 1 }],
})

/** Ids that would break a key built, matched, split or escaped carelessly. */
const ODD_IDS = [
  '',
  '*',
  'a,b',
  '["',
  '"]',
  '\\',
  'a b',
  '?[x]*',
  '__proto__',
  'constructor',
  'ü€😀',
  '\u2028',
  '{tag}',
  '\n',
]

/** Every promise a store makes through its port. Each store runs this suite, and adds what is special to it. */
export function describeRecordStore(name: string, subject: StoreSubject): void {
  describe(`${name} as a record store`, () => {
    let store: RecordStore
    const events: StoreEvent[] = []

    const ofType = <T extends StoreEvent['type']>(type: T): Extract<StoreEvent, { type: T }>[] =>
      events.filter((event): event is Extract<StoreEvent, { type: T }> => event.type === type)
    const isLive = (): boolean => ofType('link').at(-1)?.state === 'live'
    const watchLive = async (listener: (event: StoreEvent) => void = () => {}): Promise<() => void> => {
      const stop = store.watch(event => {
        events.push(event)
        return listener(event)
      })
      await eventually(isLive, 'the watch is live')
      return stop
    }

    beforeAll(async () => {
      await subject.setUp?.()
    })
    beforeEach(async () => {
      events.length = 0
      store = await subject.create()
    })
    afterEach(async () => {
      await store.close()
      await subject.clean?.()
    })
    afterAll(async () => {
      await subject.tearDown?.()
    })

    it('resolves with undefined for a key that has no record', async () => {
      expect(await store.get(key('c'))).toBeUndefined()
      expect(await store.getStored?.(key('c'))).toBeUndefined()
    })

    it('gives back the record that was put', async () => {
      const full: AclRecord = {
        passhash: HASH,
        publishAcl: [{ pattern: 'a/%c', maxQos: 1, maxPayloadSize: 128, allowedRetain: false }],
        subscribeAcl: [{ pattern: 'b/#', maxQos: 0 }, { pattern: 'c' }],
        expiresAt: 4_000_000_000,
        extra: { note: 'kept', nested: { list: [1, null, 'x'] } },
      }
      await store.put(key('c'), full)
      expect(await store.get(key('c'))).toEqual(full)
    })

    it('gives out records that nobody can change', async () => {
      const given = { passhash: HASH, publishAcl: [{ pattern: 'a' }], subscribeAcl: [] }
      await store.put(key('c'), given)
      given.publishAcl[0]!.pattern = '#'
      given.publishAcl.push({ pattern: '#' })
      const held = await store.get(key('c'))
      expect(held?.publishAcl).toEqual([{ pattern: 'a' }])
      expect(Object.isFrozen(held)).toBe(true)
      expect(Object.isFrozen(held?.publishAcl)).toBe(true)
      expect(Object.isFrozen(held?.publishAcl[0])).toBe(true)
    })

    it('tells apart keys that differ in any one part', async () => {
      const keys = [key('c', 'u', ''), key('c', 'u', 'm'), key('c', 'v', ''), key('d', 'u', ''), key('u', 'c', '')]
      for (const [at, each] of keys.entries()) await store.put(each, recordOf(`t/${at}`))
      for (const [at, each] of keys.entries()) {
        expect((await store.get(each))?.publishAcl[0]?.pattern).toBe(`t/${at}`)
      }
    })

    it('never falls back to the record of all client ids', async () => {
      await store.put(key('*'), recordOf('#'))
      expect(await store.get(key('c'))).toBeUndefined()
    })

    it.each(ODD_IDS)('keeps, reports, lists and removes the record of client id and username %j', async id => {
      await watchLive()
      const odd = key(id, id)
      await store.put(odd, recordOf('a'))
      expect(await store.get(odd)).toEqual(recordOf('a'))
      expect(await listed()).toEqual([odd])
      await store.delete(odd)
      expect(await store.get(odd)).toBeUndefined()
      for (const event of ofType('changed')) expect(event.key).toEqual(odd)
      expect(ofType('changed').length).toBeGreaterThanOrEqual(2)
    })

    const listed = async (): Promise<RecordKey[]> => {
      const keys: RecordKey[] = []
      for await (const each of store.scan()) keys.push(each)
      return keys
    }

    it('lists the key of every record', async () => {
      const names = Array.from({ length: 250 }, (_, at) => `client-${at}`)
      await Promise.all(names.map(each => store.put(key(each), recordOf('a'))))
      const found = new Set((await listed()).map(each => each.clientId))
      expect([...found].sort()).toEqual([...names].sort())
    })

    it('says what a write did', async () => {
      const first = await store.put(key('c'), recordOf('a'))
      expect(first).toEqual({ digest: expect.stringMatching(/^[0-9a-f]{64}$/), replaced: false, warnings: [] })
      const second = await store.put(key('c'), recordOf('b'))
      expect(second.replaced).toBe(true)
      expect(second.digest).not.toBe(first.digest)
      expect((await store.getStored?.(key('c')))?.digest ?? second.digest).toBe(second.digest)
      expect(await store.delete(key('c'))).toEqual({ digest: null, replaced: true, warnings: [] })
      expect(await store.delete(key('c'))).toEqual({ digest: null, replaced: false, warnings: [] })
    })

    it('warns of what VerneMQ cannot read', async () => {
      const spaced = await store.put(key('a b'), recordOf('a'))
      expect(spaced.warnings).toHaveLength(1)
      expect(spaced.warnings[0]).toMatch(/space/)
      const other = await store.put(key('c'), { ...recordOf('a'), passhash: HASH.replace('$2a$', '$2b$') })
      expect(other.warnings).toEqual(['passhash is not $2a$: VerneMQ cannot read it'])
    })

    it('warns of an end that is hardly meant', async () => {
      const past = await store.put(key('c'), { ...recordOf('a'), expiresAt: 1 })
      expect(past.warnings).toEqual(['expiresAt has passed: nobody can log in by this record'])
      const inMilliseconds = await store.put(key('c'), { ...recordOf('a'), expiresAt: Date.now() + 1_000 })
      expect(inMilliseconds.warnings).toEqual(['expiresAt is after the year 9999: it counts seconds, not milliseconds'])
    })

    it('warns of a member that looks like a misspelt one, and keeps it', async () => {
      const extra = { expire_at: 1, Publish_ACL: [], banned: true }
      const { warnings } = await store.put(key('c'), { ...recordOf('a'), extra })
      expect(warnings).toEqual([
        '"expire_at" means nothing to anybody: did you mean expires_at?',
        '"Publish_ACL" means nothing to anybody: did you mean publish_acl?',
      ])
      expect((await store.get(key('c')))?.extra).toEqual(extra)
    })

    it('warns of a number that may have lost digits when the record was read', async () => {
      const read = parseRecord(
        `{"passhash":"${HASH}","tenant":{"safe":9007199254740991,"ids":[0.5,9223372036854775807]}}`,
      )
      expect((await store.put(key('c'), read)).warnings).toEqual([
        'tenant.ids[1] is beyond 9007199254740991 and may have lost digits: keep it as text',
      ])
      const { warnings } = await store.put(key('c'), {
        ...read,
        extra: { id: '9223372036854775807', most: 2 ** 53 - 1 },
      })
      expect(warnings).toEqual([])
    })

    it('refuses an invalid record and an invalid key, and writes nothing', async () => {
      await store.put(key('c'), recordOf('a'))
      await watchLive()
      const before = events.length
      const wire = { passhash: HASH, publish_acl: [{ pattern: '#' }], subscribe_acl: [] } as unknown as AclRecord
      await expect(store.put(key('c'), wire)).rejects.toThrow(RecordInvalid)
      await expect(store.put(key('c'), recordOf('a#'))).rejects.toThrow(RecordInvalid)
      const noKey = { mountpoint: '', clientId: 7, username: 'u' } as unknown as RecordKey
      await expect(store.put(noKey, recordOf('a'))).rejects.toThrow(RecordKeyInvalid)
      await expect(store.get(noKey)).rejects.toThrow(RecordKeyInvalid)
      await expect(store.delete(noKey)).rejects.toThrow(RecordKeyInvalid)
      expect(await store.get(key('c'))).toEqual(recordOf('a'))
      expect(events.slice(before).filter(event => event.type === 'changed')).toEqual([])
    })

    describe('given a condition', () => {
      it('creates a record only where there is none', async () => {
        const { digest } = await store.put(key('c'), recordOf('a'), { ifMatch: null })
        expect(digest).not.toBeNull()
        const again = store.put(key('c'), recordOf('b'), { ifMatch: null })
        await expect(again).rejects.toMatchObject({ name: 'RecordConflict', code: 'ERR_RECORD_CONFLICT' })
        expect(await store.get(key('c'))).toEqual(recordOf('a'))
      })

      it('replaces a record only while it is the one named', async () => {
        const first = await store.put(key('c'), recordOf('a'))
        const second = await store.put(key('c'), recordOf('b'), { ifMatch: first.digest! })
        expect(second.replaced).toBe(true)
        await expect(store.put(key('c'), recordOf('z'), { ifMatch: first.digest! })).rejects.toThrow(RecordConflict)
        expect(await store.get(key('c'))).toEqual(recordOf('b'))
      })

      it('does not replace a record that is gone', async () => {
        const { digest } = await store.put(key('c'), recordOf('a'))
        await store.delete(key('c'))
        await expect(store.put(key('c'), recordOf('b'), { ifMatch: digest! })).rejects.toThrow(RecordConflict)
        expect(await store.get(key('c'))).toBeUndefined()
      })

      it('removes a record only while it is the one named', async () => {
        const first = await store.put(key('c'), recordOf('a'))
        const second = await store.put(key('c'), recordOf('b'))
        await expect(store.delete(key('c'), { ifMatch: first.digest! })).rejects.toThrow(RecordConflict)
        await expect(store.delete(key('c'), { ifMatch: null })).rejects.toThrow(RecordConflict)
        expect(await store.get(key('c'))).toEqual(recordOf('b'))
        expect(await store.delete(key('c'), { ifMatch: second.digest! })).toMatchObject({ replaced: true })
        expect(await store.delete(key('c'), { ifMatch: null })).toMatchObject({ replaced: false })
      })

      it('lets one of many writers win', async () => {
        const { digest } = await store.put(key('c'), recordOf('start'))
        const writes = Array.from({ length: 20 }, (_, at) =>
          store.put(key('c'), recordOf(`w/${at}`), { ifMatch: digest! }),
        )
        const outcomes = await Promise.allSettled(writes)
        const won = outcomes.flatMap((outcome, at) => (outcome.status === 'fulfilled' ? [at] : []))
        expect(won).toHaveLength(1)
        expect((await store.get(key('c')))?.publishAcl[0]?.pattern).toBe(`w/${won[0]}`)
      })

      it.each([
        ['a number', 7],
        ['an upper-case digest', 'A'.repeat(64)],
        ['a short text', 'abc'],
      ])('refuses %s as a condition', async (_, ifMatch) => {
        const options = { ifMatch: ifMatch as string }
        const message = '"ifMatch" option must be null or a SHA-256 digest in lower-case hex'
        await expect(store.put(key('c'), recordOf('a'), options)).rejects.toThrow(new TypeError(message))
        await expect(store.delete(key('c'), options)).rejects.toThrow(new TypeError(message))
      })
    })

    describe('watched', () => {
      it('tells nothing before watch has returned, then that the link is live', async () => {
        let returned = false
        const heard: { readonly early: boolean; readonly event: StoreEvent }[] = []
        store.watch(event => void heard.push({ early: !returned, event }))
        returned = true
        await eventually(() => heard.some(({ event }) => event.type === 'link'), 'the watch is live')
        expect(heard.filter(({ early }) => early)).toEqual([])
        const types = heard.map(({ event }) => event.type)
        expect(types.slice(0, types.indexOf('link')).filter(type => type !== 'unknown')).toEqual([])
        expect(heard.find(({ event }) => event.type === 'link')?.event).toMatchObject({ state: 'live' })
      })

      it('tells of each put and delete by key, whether or not there was a record', async () => {
        await watchLive()
        const from = events.length
        await store.put(key('c'), recordOf('a'))
        expect(events.slice(from)).toContainEqual({ type: 'changed', key: key('c') })
        const second = events.length
        await store.delete(key('d', 'v', 'm'))
        expect(events.slice(second)).toContainEqual({ type: 'changed', key: key('d', 'v', 'm') })
      })

      it('lets a write wait for what the listeners still have to do', async () => {
        const gate = deferred()
        let isFinished = false
        await watchLive(async event => {
          if (event.type !== 'changed') return
          await gate.promise
          isFinished = true
        })
        const finishedFirst = store.put(key('c'), recordOf('a')).then(() => isFinished)
        await eventually(() => ofType('changed').length > 0, 'the listener was told')
        // By the time this is answered, so is the write itself.
        await store.get(key('c'))
        gate.resolve()
        expect(await finishedFirst).toBe(true)
      })

      it('has the new record before it tells of it', async () => {
        const seen: unknown[] = []
        await watchLive(async event => {
          if (event.type === 'changed') seen.push((await store.get(event.key))?.publishAcl[0]?.pattern)
        })
        await store.put(key('c'), recordOf('new'))
        expect(seen.length).toBeGreaterThan(0)
        expect(new Set(seen)).toEqual(new Set(['new']))
      })

      it.each([
        [
          'throws',
          () => {
            throw new Error('broken listener')
          },
        ],
        ['rejects', () => Promise.reject(new Error('broken listener'))],
      ])('goes on when a listener %s, and says so to all', async (_, fail) => {
        store.watch(event => (event.type === 'changed' ? (fail() as Promise<void>) : undefined))
        await watchLive()
        await store.put(key('c'), recordOf('a'))
        expect(ofType('changed').length).toBeGreaterThan(0)
        await eventually(() => ofType('error').length > 0, 'the failure is reported')
        expect(ofType('error')[0]).toMatchObject({ place: 'store listener', error: { message: 'broken listener' } })
      })

      it('tells every listener, the same function twice if it watches twice', async () => {
        const heard: StoreEvent[] = []
        const listener = (event: StoreEvent): void => void heard.push(event)
        const stops = [store.watch(listener), store.watch(listener)]
        await watchLive()
        await eventually(() => heard.filter(event => event.type === 'link').length >= 2, 'both are live')
        heard.length = 0
        await store.put(key('c'), recordOf('a'))
        expect(heard.filter(event => event.type === 'changed').length).toBeGreaterThanOrEqual(2)
        stops[0]!()
        stops[1]!()
      })

      it('tells nothing more once the watch was ended, which may be done twice', async () => {
        const stop = await watchLive()
        stop()
        stop()
        const before = events.length
        await store.put(key('c'), recordOf('a'))
        expect(events.slice(before)).toEqual([])
      })

      it('is live again for one who watches after all others have stopped', async () => {
        const stop = await watchLive()
        stop()
        events.length = 0
        await watchLive()
        await store.put(key('c'), recordOf('a'))
        expect(ofType('changed')[0]?.key).toEqual(key('c'))
      })

      it('refuses a listener that is no function', () => {
        const message = '"listener" argument must be a function'
        expect(() => store.watch('x' as never)).toThrow(new TypeError(message))
      })
    })

    describe('receipts', () => {
      const receipt = { timeoutMs: 5_000 }
      /** A watcher that decides, and has this to tell of the first change it hears. */
      const decide = async (effects: ChangeEffects, decidesForMs = 1_000): Promise<() => void> => {
        let told = false
        const listener = (event: StoreEvent): ChangeEffects | undefined => {
          if (event.type !== 'changed') return undefined
          const first = !told
          told = true
          return first ? effects : {}
        }
        const stop = store.watch(listener, { decidesForMs })
        await eventually(async () => (await store.nodes!()).length === 1, 'the node is announced')
        return stop
      }

      it('have the word of this process, with what it read and what the change did', async () => {
        await decide({ sessionsCut: 2, subscriptionsDropped: 3 })
        const [node] = await store.nodes!()
        const written = await store.put(key('c'), recordOf('a'), { receipt })
        expect(written.receipt).toEqual({
          confirmed: true,
          rows: [
            {
              node: node!.id,
              digest: written.digest,
              sessionsCut: 2,
              subscriptionsDropped: 3,
              messagesDropped: 0,
              ms: expect.any(Number),
            },
          ],
          silent: [],
          silentNodes: [],
        })
        const deleted = await store.delete(key('c'), { receipt, ifMatch: written.digest })
        expect(deleted.receipt).toMatchObject({ confirmed: true, rows: [{ digest: null, sessionsCut: 0 }] })
      })

      it('are given when what follows the change is done as well', async () => {
        const work = deferred<ChangeEffects>()
        await decide({ sessionsCut: 1, later: work.promise })
        const writing = store.put(key('c'), recordOf('a'), { receipt })
        await eventually(async () => (await store.get(key('c'))) !== undefined, 'it is written')
        work.resolve({ subscriptionsDropped: 2, messagesDropped: 4 })
        const [row] = (await writing).receipt!.rows
        expect(row).toMatchObject({ sessionsCut: 1, subscriptionsDropped: 2, messagesDropped: 4 })
        expect(row).not.toHaveProperty('pending')
      })

      it('confirm what is in force when the time is over, and say that the counts are not the last', async () => {
        await decide({ sessionsCut: 1, later: new Promise(() => {}) })
        const written = await store.put(key('c'), recordOf('a'), { receipt: { timeoutMs: 300 } })
        expect(written.receipt).toMatchObject({ confirmed: true, rows: [{ sessionsCut: 1, pending: true }] })
      })

      it('hold up no other write by what follows the change', async () => {
        await decide({ later: new Promise(() => {}) })
        expect(await store.put(key('c'), recordOf('a'))).toMatchObject({ replaced: false })
      })

      it('do not confirm what fails afterwards', async () => {
        const fail = async (): Promise<ChangeEffects> => {
          throw new Error('broken later')
        }
        const stop = store.watch(event => (event.type === 'changed' ? { later: fail() } : {}), { decidesForMs: 0 })
        const written = await store.put(key('c'), recordOf('a'), { receipt })
        expect(written.receipt).toMatchObject({ confirmed: false, rows: [{ failed: 'broken later' }] })
        stop()
      })

      it('confirm nothing that a watcher failed at', async () => {
        const stop = store.watch(
          () => {
            throw new Error('broken')
          },
          { decidesForMs: 0 },
        )
        const written = await store.put(key('c'), recordOf('a'), { receipt })
        expect(written.receipt).toMatchObject({ confirmed: false, rows: [{ failed: 'broken' }] })
        stop()
      })

      it('confirm nothing where nobody decides', async () => {
        store.watch(() => {})
        const written = await store.put(key('c'), recordOf('a'), { receipt })
        expect(written.receipt).toMatchObject({ confirmed: false, rows: [], silent: [] })
        expect(await store.nodes!()).toEqual([])
      })

      it('are there only for who asks', async () => {
        await decide({})
        expect(await store.put(key('c'), recordOf('a'))).not.toHaveProperty('receipt')
      })

      it('no longer wait for who has stopped watching', async () => {
        const stop = await decide({})
        stop()
        await eventually(async () => (await store.nodes!()).length === 0, 'the node has left')
        const { receipt: given } = await store.delete(key('c'), { receipt })
        expect(given).toMatchObject({ confirmed: false, rows: [], silent: [] })
      })

      it('are not given for a write whose condition does not hold', async () => {
        await expect(store.put(key('c'), recordOf('a'), { receipt, ifMatch: 'a'.repeat(64) })).rejects.toThrow(
          RecordConflict,
        )
      })

      it('say that a write is not durable, with what it did', async () => {
        await decide({})
        const error = await store.put(key('c'), recordOf('a'), { receipt, minReplicas: 1 }).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        expect(error).toBeInstanceOf(NotDurable)
        expect(error).toMatchObject({ code: 'ERR_NOT_DURABLE', result: { replicas: 0, receipt: { confirmed: true } } })
        expect(await store.get(key('c'))).toEqual(recordOf('a'))
      })

      it.each([
        [{ receipt: 5 }, '"receipt" option must be an object with a "timeoutMs"'],
        [{ receipt: {} }, '"receipt" option must be an object with a "timeoutMs"'],
        [{ receipt: { timeoutMs: 0 } }, '"timeoutMs" option must be an integer from 1 to 600000'],
        [{ minReplicas: 0 }, '"minReplicas" option must be an integer from 1 to 100'],
      ])('refuse %j before anything is written', async (options, message) => {
        await expect(store.put(key('c'), recordOf('a'), options as never)).rejects.toThrow(new TypeError(message))
        expect(await store.get(key('c'))).toBeUndefined()
      })

      it('name the node with its version and its live sessions', async () => {
        store.watch(() => {}, { decidesForMs: 1_000, sessions: () => 2 })
        await eventually(async () => (await store.nodes!()).length === 1, 'the node is announced')
        expect(await store.nodes!()).toMatchObject([{ version: VERSION, sessions: 2, pid: process.pid }])
      })

      it('refuse a watcher that says nonsense about itself', () => {
        const sessions = '"sessions" option must be a function'
        expect(() => store.watch(() => {}, { sessions: 5 as never })).toThrow(new TypeError(sessions))
        const message = '"decidesForMs" option must be a number, 0 or more'
        for (const decidesForMs of [-1, Number.NaN, '5' as never]) {
          expect(() => store.watch(() => {}, { decidesForMs })).toThrow(new TypeError(message))
        }
      })
    })

    describe('closed', () => {
      it('refuses every call with StoreUnavailable', async () => {
        await store.put(key('c'), recordOf('a'))
        await store.close()
        const calls: (() => Promise<unknown>)[] = [
          () => store.get(key('c')),
          async () => store.getStored?.(key('c')) ?? Promise.reject(new StoreUnavailable('store is closed')),
          () => store.put(key('c'), recordOf('b')),
          () => store.delete(key('c')),
          listed,
          async () => store.watch(() => {}),
        ]
        for (const call of calls) {
          const error = await call().then(
            () => undefined,
            (reason: unknown) => reason,
          )
          expect(error).toBeInstanceOf(StoreUnavailable)
          expect(error).toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', message: 'store is closed' })
        }
      })

      it('tells its listeners once that nothing is heard any more', async () => {
        await watchLive()
        await store.close()
        expect(ofType('link').filter(event => event.state === 'blind')).toHaveLength(1)
        const before = events.length
        await store.close()
        expect(events.length).toBe(before)
      })

      it('answers what is under way, and does not hang', async () => {
        const calls = [store.get(key('c')), store.put(key('c'), recordOf('a')), store.delete(key('d'))]
        const outcomes = Promise.allSettled(calls)
        await store.close()
        for (const outcome of await outcomes) {
          if (outcome.status === 'fulfilled') continue
          expect(outcome.reason).toBeInstanceOf(WardenError)
          expect([StoreUnavailable, OutcomeUnknown]).toContain(outcome.reason.constructor)
        }
      })

      it('closes at the end of an `await using` scope', async () => {
        const scoped = await subject.create()
        await scoped[Symbol.asyncDispose]()
        await expect(scoped.get(key('c'))).rejects.toThrow(StoreUnavailable)
      })
    })
  })
}
