import { getEventListeners } from 'node:events'
import { createBcryptHasher, createNativeHasher, hashPassword, type PasswordHasher } from 'mqtt-warden'
import { afterEach, describe, expect, it } from 'vitest'

const timeoutMs = 15_000
const passhash = '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'
const password = '38b3eff8baf56627478ec76a704e9b52'
/** Of the same password, for tests that ask who is served and not what is computed. */
const cheap = await hashPassword(password, { cost: 5 })
/** Costs so much that it is still under way when the next line runs. */
const slow = passhash.replace('$10$', '$12$')

const opened: PasswordHasher[] = []
afterEach(() => Promise.all(opened.splice(0).map(hasher => hasher.close())))

describe.each([
  ['createBcryptHasher', createBcryptHasher],
  ['createNativeHasher', createNativeHasher],
])('%s', (_, create) => {
  function open(options: Parameters<typeof createBcryptHasher>[0]): PasswordHasher {
    const hasher = create(options)
    opened.push(hasher)
    return hasher
  }

  it('judges passwords', async () => {
    const hasher = open({})
    expect(await hasher.verify(password, passhash, { timeoutMs })).toBe(true)
    expect(await hasher.verify('wrong', passhash, { timeoutMs })).toBe(false)
    expect(await hasher.verify(`${password}\0`, passhash, { timeoutMs })).toBe(false)
    expect(hasher.stats()).toEqual({ running: 0, queued: 0 })
  })

  it('finds no fault with a bcrypt hash of any variant by default', () => {
    const hasher = open({})
    for (const prefix of ['$2a$', '$2b$', '$2y$']) {
      expect(hasher.passhashProblem(prefix + passhash.slice(4))).toBeUndefined()
    }
  })

  it.each([
    [{}, 'secret', 'must be a bcrypt hash of 60 characters'],
    [{}, passhash.replace('$10$', '$15$'), 'has cost 15, more than the highest accepted, 14'],
    [{ maxCost: 9 }, passhash, 'has cost 10, more than the highest accepted, 9'],
    [{ acceptedPrefixes: ['$2a$'] }, passhash.replace('$2a$', '$2b$'), 'begins with "$2b$", accepted is $2a$'],
  ] as const)('with the options %j, finds fault with %s and matches nothing with it', async (options, bad, problem) => {
    const hasher = open(options)
    expect(hasher.passhashProblem(bad)).toBe(problem)
    expect(await hasher.verify(password, bad, { timeoutMs })).toBe(false)
  })

  it.each([
    [{ threads: 0 }, '"threads" option must be an integer from 1 to 64'],
    [{ queue: -1 }, '"queue" option must be an integer from 0 to 1000000'],
    [{ queue: Number.POSITIVE_INFINITY }, '"queue" option must be an integer from 0 to 1000000'],
    [{ maxCost: 32 }, '"maxCost" option must be an integer from 4 to 31'],
    [
      { acceptedPrefixes: [] },
      '"acceptedPrefixes" option must list at least one of "$2a$", "$2b$" and "$2y$", and no other',
    ],
    [
      { acceptedPrefixes: ['$2x$' as '$2a$'] },
      '"acceptedPrefixes" option must list at least one of "$2a$", "$2b$" and "$2y$", and no other',
    ],
  ])('throws a TypeError for the options %j', (options, message) => {
    expect(() => create(options)).toThrow(new TypeError(message))
  })

  it('refuses at once what finds the queue full, and serves what does not', async () => {
    const hasher = open({ threads: 1, queue: 2 })
    const accepted = [1, 2, 3].map(() => hasher.verify(password, cheap, { timeoutMs }))
    expect(hasher.stats()).toEqual({ running: 1, queued: 2 })
    let finished = 0
    for (const verdict of accepted) void verdict.then(() => finished++)

    await expect(hasher.verify(password, cheap, { timeoutMs })).rejects.toMatchObject({
      name: 'HashBusy',
      code: 'ERR_HASH_BUSY',
      message: '2 hashes are waiting already',
    })
    expect(finished).toBe(0)
    expect(await Promise.all(accepted)).toEqual([true, true, true])
    expect(await hasher.verify(password, cheap, { timeoutMs })).toBe(true)
  })

  it('keeps the bound of the queue for calls that can be aborted', async () => {
    const hasher = open({ threads: 1, queue: 0 })
    const { signal } = new AbortController()
    const verdict = hasher.verify(password, cheap, { timeoutMs, signal })
    await expect(hasher.verify(password, cheap, { timeoutMs, signal })).rejects.toMatchObject({
      code: 'ERR_HASH_BUSY',
    })
    expect(await verdict).toBe(true)
  })

  it('gives up at the deadline, waiting included, and frees the place in the queue', async () => {
    const hasher = open({ threads: 1, queue: 1 })
    const first = hasher.verify(password, slow, { timeoutMs })
    await expect(hasher.verify(password, cheap, { timeoutMs: 10 })).rejects.toMatchObject({
      name: 'HashTimeout',
      code: 'ERR_HASH_TIMEOUT',
      message: 'hash was not finished within 10 ms',
    })
    expect(hasher.stats()).toEqual({ running: 1, queued: 0 })
    const last = hasher.verify(password, cheap, { timeoutMs })
    expect(await Promise.all([first, last])).toEqual([false, true])
  })

  it('gives up a hash under way at its deadline, yet lets its thread finish', async () => {
    const hasher = open({ threads: 1 })
    await expect(hasher.verify(password, slow, { timeoutMs: 10 })).rejects.toMatchObject({ code: 'ERR_HASH_TIMEOUT' })
    expect(hasher.stats()).toEqual({ running: 1, queued: 0 })
    expect(await hasher.verify(password, cheap, { timeoutMs })).toBe(true)
  })

  it.each([0, -1, Number.NaN])('takes a deadline of %d ms for over', async over => {
    const hasher = open({})
    await expect(hasher.verify(password, passhash, { timeoutMs: over })).rejects.toMatchObject({
      code: 'ERR_HASH_TIMEOUT',
    })
    expect(hasher.stats()).toEqual({ running: 0, queued: 0 })
  })

  it('takes a deadline longer than a timer can be', async () => {
    expect(await open({}).verify(password, cheap, { timeoutMs: Number.POSITIVE_INFINITY })).toBe(true)
  })

  it("drops what was aborted while waiting, with the signal's reason", async () => {
    const hasher = open({ threads: 1 })
    const client = new AbortController()
    const reason = new Error('client left')
    const first = hasher.verify(password, cheap, { timeoutMs })
    const second = hasher.verify(password, cheap, { timeoutMs, signal: client.signal })
    client.abort(reason)
    expect(hasher.stats()).toEqual({ running: 1, queued: 0 })
    await expect(second).rejects.toBe(reason)
    expect(await first).toBe(true)
  })

  it('answers an abort at once when the hash is under way, without harm to others', async () => {
    const hasher = open({ threads: 1 })
    const client = new AbortController()
    const first = hasher.verify(password, slow, { timeoutMs, signal: client.signal })
    const second = hasher.verify(password, cheap, { timeoutMs })
    client.abort()
    await expect(first).rejects.toMatchObject({ name: 'AbortError' })
    expect(await second).toBe(true)
  })

  it('rejects what is aborted already', async () => {
    const reason = new Error('client left')
    const hasher = open({})
    const signal = AbortSignal.abort(reason)
    await expect(hasher.verify(password, cheap, { timeoutMs, signal })).rejects.toBe(reason)
    expect(hasher.stats()).toEqual({ running: 0, queued: 0 })
  })

  it("leaves no listener on the caller's signal, however the call ends", async () => {
    const hasher = open({ threads: 1, queue: 1 })
    const { signal } = new AbortController()
    const calls = [
      hasher.verify(password, passhash, { timeoutMs, signal }),
      hasher.verify(password, passhash, { timeoutMs: 1, signal }),
      hasher.verify(password, passhash, { timeoutMs, signal }),
    ]
    expect((await Promise.allSettled(calls)).map(call => call.status)).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('fails what is under way and what waits when it is closed, and everything after', async () => {
    const hasher = open({ threads: 1 })
    const calls = [1, 2].map(() => hasher.verify(password, slow, { timeoutMs }))
    const closed = hasher.close()
    for (const call of calls) {
      await expect(call).rejects.toMatchObject({ code: 'ERR_HASH_FAILED', message: 'hasher was closed' })
    }
    await closed
    await hasher.close()
    await expect(hasher.verify(password, passhash, { timeoutMs })).rejects.toMatchObject({
      name: 'HashFailed',
      message: 'hasher is closed',
    })
    expect(hasher.stats()).toEqual({ running: 0, queued: 0 })
  })

  it('leaves the event loop free while it hashes', async () => {
    const hasher = open({})
    const some = await hashPassword(password, { cost: 8 })
    let turns = 0
    let hashing = true
    const spin = (): void => {
      turns++
      if (hashing) setImmediate(spin)
    }
    setImmediate(spin)
    const verdicts = await Promise.all(Array.from({ length: 20 }, () => hasher.verify(password, some, { timeoutMs })))
    hashing = false
    expect(verdicts).toEqual(Array(20).fill(true))
    // A hash on this thread would let the loop turn once or twice.
    expect(turns).toBeGreaterThan(200)
  })

  it.each([
    [{ cost: 10, prefix: '$2a$' }, passhash, false],
    [{ cost: 9, prefix: '$2a$' }, passhash, false],
    [{ cost: 11, prefix: '$2a$' }, passhash, true],
    [{ cost: 4, prefix: '$2b$' }, passhash, true],
    [{ cost: 4, prefix: '$2a$' }, '$7$1000$salt$hash', true],
  ] as const)('with the target %j, takes %s for outdated: %s', (target, hash, isOutdated) => {
    expect(open({}).isOutdated!(hash, target)).toBe(isOutdated)
  })

  it.each(['$2a$', '$2b$', '$2y$'] as const)('makes a new hash of the variant %s', async prefix => {
    const hash = await open({}).hash!(password, { cost: 5, prefix }, { timeoutMs })
    expect(hash?.slice(0, 7)).toBe(`${prefix}05$`)
    expect(await open({}).verify(password, hash!, { timeoutMs })).toBe(true)
    expect(await open({}).verify('wrong', hash!, { timeoutMs })).toBe(false)
  })

  it.each(['x'.repeat(73), 'a\0b'])('makes no new hash of a password that it would not be the hash of', async cut => {
    expect(await open({}).hash!(cut, { cost: 5, prefix: '$2a$' }, { timeoutMs })).toBeUndefined()
  })
})

describe('createNativeHasher', () => {
  const target = { cost: 5, prefix: '$2a$' } as const

  it('uses the package it is given, and says when that fails', async () => {
    const bcrypt = { verify: async () => true, hash: () => Promise.reject(new Error('broken')) }
    await using hasher = disposable(createNativeHasher({ bcrypt }))
    expect(await hasher.verify('anything', passhash, { timeoutMs })).toBe(true)
    await expect(hasher.hash!('anything', target, { timeoutMs })).rejects.toMatchObject({
      name: 'HashFailed',
      message: 'native bcrypt failed',
      cause: { message: 'broken' },
    })
  })

  it('has no more hashes under way than it may', async () => {
    let underWay = 0
    let most = 0
    const verify = async () => {
      most = Math.max(most, ++underWay)
      await new Promise(resolve => setImmediate(resolve))
      underWay--
      return true
    }
    await using hasher = disposable(createNativeHasher({ threads: 2, bcrypt: { verify, hash: async () => '' } }))
    await Promise.all(Array.from({ length: 20 }, () => hasher.verify('pw', passhash, { timeoutMs })))
    expect(most).toBe(2)
  })

  it('throws a TypeError for what is no bcrypt', () => {
    const bcrypt = { verify: async () => true } as unknown as NonNullable<
      Parameters<typeof createNativeHasher>[0]
    >['bcrypt']
    expect(() => createNativeHasher({ bcrypt: bcrypt! })).toThrow(
      new TypeError('"bcrypt" option must be the package @node-rs/bcrypt'),
    )
  })
})

function disposable(hasher: PasswordHasher): PasswordHasher & AsyncDisposable {
  return Object.assign(hasher, { [Symbol.asyncDispose]: () => hasher.close() })
}
