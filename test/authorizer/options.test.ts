import { type AuthorizerOptions, createAuthorizer, createMemoryStore } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { AUTHORIZER_DEFAULTS } from '../../src/authorizer/options.js'
import { authorizerOf, plainHasher } from './support.js'

const store = createMemoryStore()
const create = (options: unknown) => () => createAuthorizer(options as AuthorizerOptions)

describe('createAuthorizer', () => {
  it('needs a store and nothing else', async () => {
    const authorizer = createAuthorizer({ store })
    expect([authorizer.semantics, authorizer.store]).toEqual(['strict', store])
    await authorizer.close()
  })

  it('takes the semantics of the store', () => {
    const vernemq = createMemoryStore([], { semantics: 'vernemq' })
    expect(authorizerOf(vernemq).semantics).toBe('vernemq')
    expect(authorizerOf(vernemq, { semantics: 'vernemq' }).semantics).toBe('vernemq')
    expect(create({ store: vernemq, semantics: 'strict' })).toThrow(
      new TypeError('"semantics" option must be left out or "vernemq", as the store has it'),
    )
  })

  it.each(Object.entries(AUTHORIZER_DEFAULTS))(
    'takes %s from its least to its greatest, and nothing else',
    (name, range) => {
      const { fallback, min, max } = range
      expect(fallback).toBeGreaterThanOrEqual(min)
      expect(fallback).toBeLessThanOrEqual(max)
      for (const value of [min, fallback]) expect(() => authorizerOf(store, { [name]: value })).not.toThrow()
      const error = new TypeError(`"${name}" option must be an integer from ${min} to ${max}`)
      for (const value of [
        min - 1,
        max + 1,
        min + 0.5,
        String(fallback),
        Number.NaN,
        Number.POSITIVE_INFINITY,
        null,
        {},
      ]) {
        expect(create({ store, [name]: value })).toThrow(error)
      }
    },
  )

  it.each<[string, object, string]>([
    ['no options', undefined as never, '"options" must be an object with a "store"'],
    ['null', null as never, '"options" must be an object with a "store"'],
    ['a text', 'store' as never, '"options" must be an object with a "store"'],
    ['no store', {}, '"store" option must be a record store'],
    ['a URL in place of the store', { store: 'redis://127.0.0.1' }, '"store" option must be a record store'],
    ['null as store', { store: null }, '"store" option must be a record store'],
    [
      'a store that cannot be watched',
      { store: { semantics: 'strict', get() {} } },
      '"store" option must be a record store',
    ],
    [
      'a store of other semantics',
      { store: { semantics: 'loose', get() {}, watch() {} } },
      '"store" option must be a record store',
    ],
    ['a misspelt name', { store, maxAge: 1_000 }, '"maxAge" is not an option of createAuthorizer'],
    ['an option of the store', { store, heartbeatMs: 1 }, '"heartbeatMs" is not an option of createAuthorizer'],
    [
      'other semantics',
      { store, semantics: 'vernemq' },
      '"semantics" option must be left out or "strict", as the store has it',
    ],
    ['too few levels', { store, maxLevels: 0 }, '"maxLevels" option must be an integer from 1 to 1024'],
    ['too many levels', { store, maxLevels: 1_025 }, '"maxLevels" option must be an integer from 1 to 1024'],
    ['levels as text', { store, maxLevels: '8' }, '"maxLevels" option must be an integer from 1 to 1024'],
    [
      'another word',
      { store, unknownPayloadSize: 'ignore' },
      '"unknownPayloadSize" option must be "refuse" or "allow"',
    ],
    ['null for a word', { store, unknownPayloadSize: null }, '"unknownPayloadSize" option must be "refuse" or "allow"'],
    ['a number for a flag', { store, wildcardClientId: 0 }, '"wildcardClientId" option must be true or false'],
    ['null for a flag', { store, wildcardClientId: null }, '"wildcardClientId" option must be true or false'],
    ['a clock that does not tell', { store, clock: {} }, '"clock" option must have a function now()'],
    ['null as clock', { store, clock: null }, '"clock" option must have a function now()'],
    ['an empty hasher', { store, hasher: {} }, '"hasher" option must be "native" or a password hasher'],
    ['null as hasher', { store, hasher: null }, '"hasher" option must be "native" or a password hasher'],
    [
      'half a hasher',
      { store, hasher: { ...plainHasher(), close: undefined } },
      '"hasher" option must be "native" or a password hasher',
    ],
    ['null as rules', { store, anonymous: null }, '"anonymous" option cannot be used: acl: must be an object'],
    [
      'a record in wire names as rules',
      { store, anonymous: { publish_acl: [] } },
      '"anonymous" option cannot be used: publish_acl: use parseRecord() or publishAcl',
    ],
    [
      'rules that are none',
      { store, anonymous: { publishAcl: [], subscribeAcl: [{ pattern: 'a/#/b' }] } },
      '"anonymous" option cannot be used: subscribeAcl[0].pattern: ',
    ],
  ])('throws a TypeError that names what is wrong, given %s', (_, options, message) => {
    expect(create(options)).toThrow(TypeError)
    expect(create(options)).toThrow(message)
  })

  it('takes undefined for an option left out', async () => {
    const names = [...Object.keys(AUTHORIZER_DEFAULTS), 'semantics', 'maxLevels', 'clock', 'hasher', 'anonymous']
    const options = Object.fromEntries(
      [...names, 'unknownPayloadSize', 'wildcardClientId'].map(name => [name, undefined]),
    )
    expect(() => authorizerOf(store, { ...options, hasher: plainHasher() })).not.toThrow()
  })
})
