import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HashFailed } from '../../src/errors.js'
import { Flows } from '../../src/password/flows.js'
import { HashQueue } from '../../src/password/queue.js'
import type { HashOrigin } from '../../src/password/types.js'
import { type Deferred, deferred } from '../helpers/deferred.js'

const timeoutMs = 60_000

/** A queue whose hashes the test finishes one by one. */
function stepped(slots: number, size: number) {
  const queue = new HashQueue(slots, size)
  const begun: { readonly name: string; readonly result: Deferred<string> }[] = []
  const order: string[] = []
  const ask = (name: string, origin: HashOrigin = {}, isBackground = false) => {
    const begin = () => {
      const result = deferred<string>()
      begun.push({ name, result })
      order.push(name)
      return result.promise
    }
    const outcome = queue.run(begin, { timeoutMs, origin, isBackground })
    return outcome.catch((error: Error) => error.message)
  }
  const finish = async () => {
    const { name, result } = begun.shift()!
    result.resolve(name)
    await new Promise(resolve => setImmediate(resolve))
  }
  /** The order in which everything that waits is begun. */
  const drain = async () => {
    order.length = 0
    while (begun.length > 0) await finish()
    return [...order]
  }
  return { queue, ask, finish, drain, begun }
}

const many = (count: number) => Array.from({ length: count }, (_, index) => index)

describe('the queue of hashes', () => {
  it('lets a newcomer from another address wait for a few, and not for all of a noisy one', async () => {
    const { ask, drain } = stepped(1, 1_000)
    for (const n of many(100)) void ask(`noisy ${n}`, { address: 'a', account: `u${n}` })
    void ask('newcomer', { address: 'b', account: 'other' })
    expect((await drain()).indexOf('newcomer')).toBeLessThan(4)
  })

  it('lets a newcomer of another account wait for a few, though the noisy one comes from many addresses', async () => {
    const { ask, drain } = stepped(1, 1_000)
    for (const n of many(100)) void ask(`noisy ${n}`, { address: `a${n}`, account: 'u' })
    void ask('newcomer', { address: 'b', account: 'other' })
    expect((await drain()).indexOf('newcomer')).toBeLessThan(4)
  })

  it('tells accounts apart where all come from one address, as behind a proxy', async () => {
    const { ask, drain } = stepped(1, 1_000)
    for (const n of many(100)) void ask(`noisy ${n}`, { address: 'proxy', account: 'u' })
    void ask('newcomer', { address: 'proxy', account: 'other' })
    expect((await drain()).indexOf('newcomer')).toBeLessThan(5)
  })

  it('serves one origin in order of arrival', async () => {
    const { ask, drain } = stepped(1, 1_000)
    for (const n of many(10)) void ask(`${n}`, { address: 'a', account: 'u' })
    expect(await drain()).toEqual(many(9).map(n => `${n + 1}`))
  })

  it.each([
    ['address', (n: number) => ({ address: 'a', account: `u${n}` })],
    ['account', (n: number) => ({ address: `a${n}`, account: 'u' })],
  ])('has the %s that fills it lose its oldest to a newcomer from elsewhere', async (_, origin) => {
    const { queue, ask, drain } = stepped(1, 4)
    const noisy = many(5).map(n => ask(`noisy ${n}`, origin(n)))
    const newcomer = ask('newcomer', { address: 'b', account: 'other' })
    expect(await noisy[1]).toBe('gave way to another client: too many hashes of one address or account are waiting')
    expect(queue.stats()).toEqual({ running: 1, queued: 4 })
    await drain()
    expect(await Promise.all([...noisy.filter((_, n) => n !== 1), newcomer])).toEqual([
      'noisy 0',
      'noisy 2',
      'noisy 3',
      'noisy 4',
      'newcomer',
    ])
  })

  it('drops a guess, and not the login of the owner, where both wait for the account that fills it', async () => {
    const { ask, drain } = stepped(1, 4)
    void ask('guess 0', { address: 'a', account: 'u' })
    void ask('owner', { address: 'home', account: 'u' })
    for (const n of [1, 2, 3]) void ask(`guess ${n}`, { address: 'a', account: 'u' })
    void ask('newcomer', { address: 'b', account: 'v' })
    expect((await drain()).sort()).toEqual(['guess 2', 'guess 3', 'newcomer', 'owner'])
  })

  it('refuses more of the one that fills it, and anybody where all have equally many', async () => {
    const { queue, ask } = stepped(1, 2)
    for (const n of many(3)) void ask(`${n}`, { address: 'a', account: 'u' })
    expect(await ask('more', { address: 'a', account: 'u' })).toBe('2 hashes are waiting already')
    void ask('newcomer', { address: 'b', account: 'v' })
    expect(await ask('third', { address: 'c', account: 'w' })).toBe('2 hashes are waiting already')
    expect(queue.stats()).toEqual({ running: 1, queued: 2 })
  })

  it('computes what can wait when nothing else does, one at a time', async () => {
    const { ask, begun, finish } = stepped(2, 10)
    const names = () => begun.map(({ name }) => name)
    for (const n of many(2)) void ask(`login ${n}`)
    for (const n of many(3)) void ask(`rehash ${n}`, {}, true)
    void ask('login 2')
    await finish()
    expect(names()).toEqual(['login 1', 'login 2'])
    await finish()
    expect(names()).toEqual(['login 2', 'rehash 0'])
    await finish()
    expect(names()).toEqual(['rehash 0'])
    void ask('login 3')
    expect(names()).toEqual(['rehash 0', 'login 3'])
    await finish()
    expect(names()).toEqual(['login 3', 'rehash 1'])
  })

  it('bounds what can wait, apart from logins', async () => {
    const { ask } = stepped(1, 1)
    void ask('login')
    for (const n of many(100)) void ask(`rehash ${n}`, {}, true)
    expect(await ask('one more', {}, true)).toBe('100 hashes wait for a quiet time')
  })

  it('passes on what a hash fails with, even at once', async () => {
    const queue = new HashQueue(1, 1)
    const failing = queue.run(
      () => {
        throw new Error('told to')
      },
      { timeoutMs },
    )
    await expect(failing).rejects.toThrow('told to')
    expect(queue.stats()).toEqual({ running: 0, queued: 0 })
    queue.close(new HashFailed('over'))
    await expect(queue.run(async () => 1, { timeoutMs })).rejects.toThrow('hasher is closed')
  })

  it('loses nothing and never exceeds its bounds, whatever comes and goes', async () => {
    const origin = fc.record({ address: fc.constantFrom('a', 'b', 'c'), account: fc.constantFrom('u', 'v', 'w') })
    const step = fc.oneof(
      origin.map(from => ({ from })),
      fc.nat(20).map(leave => ({ leave })),
      fc.constant('finish' as const),
    )
    const run = async (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
      const queue = new HashQueue(2, 5)
      const begun: Deferred<void>[] = []
      const clients: AbortController[] = []
      const outcomes: Promise<unknown>[] = []
      for (const action of steps) {
        if (action === 'finish') {
          begun.shift()?.resolve()
          await new Promise(resolve => setImmediate(resolve))
        } else if ('leave' in action) clients[action.leave]?.abort()
        else {
          const client = new AbortController()
          const begin = () => {
            begun.push(deferred())
            return begun.at(-1)!.promise
          }
          outcomes.push(queue.run(begin, { timeoutMs, origin: action.from, signal: client.signal }).catch(() => {}))
          clients.push(client)
        }
        const { running, queued } = queue.stats()
        expect(running).toBeLessThanOrEqual(2)
        expect(queued).toBeLessThanOrEqual(5)
        if (queued > 0) expect(running).toBe(2)
      }
      while (begun.length > 0) {
        begun.shift()!.resolve()
        await new Promise(resolve => setImmediate(resolve))
      }
      await Promise.all(outcomes)
      expect(queue.stats()).toEqual({ running: 0, queued: 0 })
    }
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), run), { numRuns: 100 })
  })
})

describe('Flows', () => {
  it('always knows which origin has most, as counting them all would tell', () => {
    const step = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(8), fc.boolean())
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const flows = new Flows<number>()
        const model = new Map<string, Set<number>>()
        for (const [origin, task, isAdded] of steps) {
          const tasks = model.get(origin) ?? new Set()
          model.set(origin, tasks)
          if (isAdded && !tasks.has(task)) {
            flows.add(origin, task)
            tasks.add(task)
          } else if (!isAdded) {
            flows.delete(origin, task)
            tasks.delete(task)
          }
          const longest = Math.max(...[...model.values()].map(({ size }) => size))
          expect(flows.longest).toBe(longest)
          for (const [name, { size }] of model) expect(flows.sizeOf(name)).toBe(size)
          const most = [...model.values()].filter(({ size }) => size === longest).map(all => [...all])
          if (longest > 0) expect(most).toContainEqual([...flows.tasksOfLongest()])
        }
      }),
    )
  })
})
