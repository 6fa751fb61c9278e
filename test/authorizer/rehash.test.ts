import {
  type Authorizer,
  type AuthorizerOptions,
  createAuthorizer,
  createMemoryStore,
  hashPassword,
  type RecordStore,
} from 'mqtt-warden'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createRedisStore } from '../../src/redis/index.js'
import { isSamePassword, linkedHash, rehashed } from '../../src/store/rehash.js'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { connectOf, heard, keyOf, logIn, plainHasher, recordOf } from './support.js'

const KEY = keyOf('c')
const REHASH = { cost: 5 } as const

let server: RedisServer
let old: string

beforeAll(async () => {
  server = await startRedisServer()
  old = await hashPassword('pw', { cost: 4, prefix: '$2b$' })
})
afterAll(() => server.stop())

function open(store: RecordStore, options: Partial<AuthorizerOptions> = {}): Authorizer {
  const authorizer = createAuthorizer({ store, refusalCapMs: 0, ...options })
  onTestFinished(() => authorizer.close())
  return authorizer
}

const rehashes = (authorizer: Authorizer, count = 1) =>
  eventually(() => authorizer.stats().rehashed === count, 'the record is rehashed')

describe.each([
  ['the memory store', () => [createMemoryStore()]],
  ['two Redis stores', () => [1, 2].map(() => createRedisStore(server.url, { heartbeatMs: 50 }))],
])('a new hash of the same password, on %s', (_, create) => {
  it('is written at a login, and cuts nobody on any node', async () => {
    const [one, two] = create() as [RecordStore, RecordStore?]
    onTestFinished(async () => {
      await Promise.all([one.close(), two?.close()])
    })
    const record = recordOf(['a'], { passhash: old, extra: { note: 'kept' }, expiresAt: 4_000_000_000 })
    await one.put(KEY, record)
    const [first, second] = [open(one, { rehash: REHASH }), open(two ?? one)]
    await Promise.all([first.ready(), second.ready()])
    const elsewhere = await logIn(second, 'c')
    const revoked = [...[first, second].map(authorizer => heard(authorizer, 'revoked'))]
    const session = await logIn(first, 'c')
    await rehashes(first)

    const written = (await one.get(KEY))!
    expect(written.passhash).toMatch(/^\$2a\$05\$/)
    expect(written).toEqual({ ...record, passhash: written.passhash, extra: { note: 'kept', ...written.extra } })
    // What comes after a later change was heard comes after this one as well.
    await one.put(KEY, { ...written, publishAcl: [{ pattern: 'b' }] })
    await eventually(() => elsewhere.authorizePublish('b').allow, 'the other node has read the new record')
    expect(session.authorizePublish('b').allow).toBe(true)
    expect(revoked).toEqual([[], []])

    // The client that comes back needs no hash; a new password does end it all.
    await logIn(first, 'c')
    await one.put(KEY, { ...written, passhash: await hashPassword('new', { cost: 4 }) })
    await eventually(() => elsewhere.revokeCause === 'password', 'the new password is heard')
    expect(session.revokeCause).toBe('password')
  })
})

describe('a rehash', () => {
  it('is not made unless wanted, nor of a hash that is good enough', async () => {
    const passhash = await hashPassword('pw', { cost: 5 })
    for (const [stored, options] of [
      [old, {}],
      [passhash, { rehash: REHASH }],
      [passhash, { rehash: { cost: 4 } }],
    ] as const) {
      const store = createMemoryStore([[KEY, recordOf([], { passhash: stored })]])
      const authorizer = open(store, options)
      await logIn(authorizer, 'c')
      expect(authorizer.stats()).toMatchObject({ rehashed: 0, hashing: { running: 0, queued: 0 } })
      expect((await store.get(KEY))?.passhash).toBe(stored)
    }
  })

  it('is not made at a login with a wrong password', async () => {
    const authorizer = open(createMemoryStore([[KEY, recordOf([], { passhash: old })]]), { rehash: REHASH })
    await authorizer.authenticate(connectOf('c', { password: 'wrong' }))
    expect(authorizer.stats().hashing).toEqual({ running: 0, queued: 0 })
  })

  it('keeps no login waiting, and writes nothing over what was changed meanwhile', async () => {
    const hash = deferred<string>()
    const hasher = { ...plainHasher(), isOutdated: () => true, hash: () => hash.promise }
    const store = createMemoryStore([[KEY, recordOf()]])
    const authorizer = open(store, { hasher, rehash: REHASH })
    const errors = heard(authorizer, 'error')
    await logIn(authorizer, 'c')
    await store.put(KEY, recordOf(['new'], { passhash: 'plain:other' }))
    hash.resolve('plain:pw')
    await new Promise(resolve => setImmediate(resolve))
    expect((await store.get(KEY))?.passhash).toBe('plain:other')
    expect(authorizer.stats().rehashed).toBe(0)
    expect(errors).toEqual([])
  })

  it('is made once for a record, by whichever login is first', async () => {
    const passwords: string[] = []
    const hash = deferred<string>()
    const hasher = Object.assign(plainHasher(), {
      isOutdated: (passhash: string) => passhash === 'plain:pw',
      hash: (password: string) => {
        passwords.push(password)
        return hash.promise
      },
    })
    const store = createMemoryStore([[keyOf('*'), recordOf()]])
    const authorizer = open(store, { hasher, rehash: REHASH, verifiedTtlMs: 0 })
    await Promise.all(['c1', 'c2'].map(clientId => logIn(authorizer, clientId)))
    expect(passwords).toEqual(['pw'])
    hash.reject(new Error('broken'))
    const [error] = await new Promise<unknown[]>(resolve => authorizer.once('error', (...given) => resolve(given)))
    expect(error).toMatchObject({ place: 'rehash of ["","*","u"]' })
  })

  it.each([
    [true, '"rehash" option must be false or an object'],
    [{}, '"rehash.cost" option must be an integer from 4 to 14'],
    [{ cost: 15 }, '"rehash.cost" option must be an integer from 4 to 14'],
    [{ cost: 10, prefix: '$2x$' }, '"rehash.prefix" option must be a variant that the store\'s records may have'],
  ])('is refused with the option %j', (rehash, message) => {
    const options = { store: createMemoryStore(), rehash } as unknown as AuthorizerOptions
    expect(() => createAuthorizer(options)).toThrow(new TypeError(message))
  })

  it('needs a hasher and a store that can', () => {
    const store = createMemoryStore()
    expect(() => createAuthorizer({ store, rehash: REHASH, hasher: plainHasher() })).toThrow(
      new TypeError('"rehash" option needs a hasher with isOutdated() and hash()'),
    )
    const { get, watch } = store
    const readable = { get, watch, semantics: 'strict' } as unknown as RecordStore
    expect(() => createAuthorizer({ store: readable, rehash: REHASH })).toThrow(
      new TypeError('"rehash" option needs a store with getStored() and put()'),
    )
  })
})

describe('the link to the hash that was replaced', () => {
  it('holds for these two hashes only, also where it is left behind in a record with another password', () => {
    const record = rehashed(recordOf([], { passhash: 'one' }), 'two')
    expect(isSamePassword('one', linkedHash(record))).toBe(true)
    expect(isSamePassword('two', linkedHash(record))).toBe(true)
    expect(isSamePassword('other', linkedHash(record))).toBe(false)
    const changed = { ...record, passhash: 'three' }
    expect(isSamePassword('one', linkedHash(changed))).toBe(false)
    expect(isSamePassword('two', linkedHash(changed))).toBe(false)
  })
})
