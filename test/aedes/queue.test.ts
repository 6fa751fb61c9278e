import { expect, it } from 'vitest'
import { KeyedQueue } from '../../src/aedes/queue.js'
import { deferred } from '../helpers/deferred.js'

it('runs a task in the same turn where nothing of its key is under way', async () => {
  const queue = new KeyedQueue()
  expect(queue.runNow('a', () => 1)).toBe(1)
  expect(queue.rest('a')).toBeUndefined()
  const gate = deferred<void>()
  const first = queue.runNow('a', () => gate.promise)
  const second = queue.runNow('a', () => 2)
  expect([second instanceof Promise, queue.runNow('b', () => 3)]).toEqual([true, 3])
  gate.resolve()
  await Promise.all([first, second])
  expect([await second, queue.rest('a')]).toEqual([2, undefined])
})

it('has what comes while a task begins wait for its end, whether that is in the same turn or not', async () => {
  for (const end of [() => undefined, () => Promise.resolve().then(() => {})]) {
    const queue = new KeyedQueue()
    const steps: string[] = []
    let inner: unknown
    await queue.runNow('a', () => {
      inner = queue.runNow('a', () => void steps.push('inner'))
      const rest = end()
      if (rest === undefined) steps.push('outer')
      return rest?.then(() => void steps.push('outer'))
    })
    await inner
    expect(steps).toEqual(['outer', 'inner'])
  }
})

it('goes on after a task that throws, or rejects', async () => {
  const queue = new KeyedQueue()
  const fail = (): never => {
    throw new Error('no')
  }
  expect(() => queue.runNow('a', fail)).toThrow('no')
  await expect(queue.runNow('a', async () => fail())).rejects.toThrow('no')
  const failed = queue.run('a', async () => fail())
  const next = queue.runNow('a', () => 1)
  await expect(failed).rejects.toThrow('no')
  expect([await next, queue.runNow('a', () => 2)]).toEqual([1, 2])
})

it('has each key wait for its own tasks where one begins within another', async () => {
  const queue = new KeyedQueue()
  const steps: string[] = []
  let last: unknown
  expect(() =>
    queue.runNow('a', () => {
      expect(queue.rest('b')).toBeUndefined()
      expect(() =>
        queue.runNow('b', () => {
          expect([queue.rest('a') instanceof Promise, queue.rest('b') instanceof Promise]).toEqual([true, true])
          last = queue.runNow('a', () => void steps.push('last'))
          throw new Error('b')
        }),
      ).toThrow('b')
      expect(queue.runNow('b', () => 1)).toBe(1)
      steps.push('first')
      throw new Error('a')
    }),
  ).toThrow('a')
  await last
  expect([steps, queue.rest('a'), queue.rest('b')]).toEqual([['first', 'last'], undefined, undefined])
})
