import { createHasher, type HasherParts } from 'mqtt-warden'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { deferred } from '../helpers/deferred.js'

const timeoutMs = 15_000
const parts: HasherParts = {
  passhashProblem: passhash => (passhash.startsWith('plain:') ? undefined : 'is not plain'),
  verify: async (password, passhash) => passhash === `plain:${password}`,
}

describe('createHasher', () => {
  it('judges by the functions it is given, and never by anything but true', async () => {
    const hasher = createHasher(parts)
    expect(await hasher.verify('pw', 'plain:pw', { timeoutMs })).toBe(true)
    expect(await hasher.verify('no', 'plain:pw', { timeoutMs })).toBe(false)
    expect(await hasher.verify('pw', 'other', { timeoutMs })).toBe(false)
    const odd = createHasher({ ...parts, verify: async () => 'yes' as unknown as boolean })
    expect(await odd.verify('pw', 'plain:pw', { timeoutMs })).toBe(false)
  })

  it('bounds what is under way and what waits, and ends both when it is closed', async () => {
    const gate = deferred<boolean>()
    let closed = 0
    const hasher = createHasher({
      ...parts,
      threads: 1,
      queue: 1,
      verify: () => gate.promise,
      close: async () => void closed++,
    })
    const calls = [1, 2].map(() => hasher.verify('pw', 'plain:pw', { timeoutMs }))
    expect(hasher.stats()).toEqual({ running: 1, queued: 1 })
    await expect(hasher.verify('pw', 'plain:pw', { timeoutMs })).rejects.toMatchObject({ code: 'ERR_HASH_BUSY' })
    const ended = calls.map(call => expect(call).rejects.toMatchObject({ code: 'ERR_HASH_FAILED' }))
    await hasher.close()
    await Promise.all(ended)
    expect(closed).toBe(1)
  })

  it('gives the place of a call that is not settled within two minutes to others', async () => {
    const passed = { ms: 0 }
    const { now } = performance
    vi.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + passed.ms)
    onTestFinished(() => void vi.restoreAllMocks())
    const hung = deferred<boolean>()
    const verify = vi.fn(parts.verify).mockReturnValueOnce(hung.promise)
    const hasher = createHasher({ ...parts, threads: 1, verify })
    const lost = hasher.verify('pw', 'plain:pw', { timeoutMs: 300_000 })
    const second = hasher.verify('pw', 'plain:pw', { timeoutMs })
    passed.ms = 119_000
    const third = hasher.verify('pw', 'plain:pw', { timeoutMs })
    expect(hasher.stats()).toEqual({ running: 1, queued: 2 })
    passed.ms = 121_000
    const fourth = hasher.verify('pw', 'plain:pw', { timeoutMs })
    await expect(lost).rejects.toMatchObject({
      code: 'ERR_HASH_FAILED',
      message: 'hash was not finished within 120000 ms',
    })
    expect(await Promise.all([second, third, fourth])).toEqual([true, true, true])
    hung.resolve(true)
    await new Promise(resolve => setImmediate(resolve))
    expect(hasher.stats()).toEqual({ running: 0, queued: 0 })
    await hasher.close()
  })

  it('tells what a function throws as its cause', async () => {
    const hasher = createHasher({ ...parts, verify: () => Promise.reject(new Error('broken')) })
    await expect(hasher.verify('pw', 'plain:pw', { timeoutMs })).rejects.toMatchObject({
      name: 'HashFailed',
      message: 'password was not judged',
      cause: { message: 'broken' },
    })
  })

  it('finds every hash good enough, and makes no new one, unless told how', async () => {
    const target = { cost: 10, prefix: '$2a$' } as const
    expect(createHasher(parts).isOutdated!('plain:pw', target)).toBe(false)
    expect(await createHasher(parts).hash!('pw', target, { timeoutMs })).toBeUndefined()
    const able = createHasher({ ...parts, isOutdated: () => true, hash: async password => `plain:${password}` })
    expect(able.isOutdated!('plain:pw', target)).toBe(true)
    expect(await able.hash!('pw', target, { timeoutMs })).toBe('plain:pw')
  })

  it.each([
    [{}, '"parts" argument must have functions passhashProblem() and verify()'],
    [{ ...parts, threads: 0 }, '"threads" option must be an integer from 1 to 64'],
    [{ ...parts, queue: -1 }, '"queue" option must be an integer from 0 to 1000000'],
  ])('throws a TypeError for %j', (given, message) => {
    expect(() => createHasher(given as HasherParts)).toThrow(new TypeError(message))
  })
})
