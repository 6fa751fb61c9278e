import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Batched, Batches } from '../../src/aedes/batches.js'

class Item extends AsyncResource implements Batched {
  readonly #task: () => void

  constructor(task: () => void) {
    super('Item')
    this.#task = task
  }

  run(): void {
    this.#task()
  }
}

let immediates: (() => void)[]

beforeEach(() => {
  immediates = []
  vi.stubGlobal('setImmediate', (callback: () => void) => void immediates.push(callback))
})

afterEach(() => {
  vi.unstubAllGlobals()
})

/** One turn of the event loop; tells whether it will spin on. */
function turn(): boolean {
  for (const callback of immediates.splice(0)) callback()
  return immediates.length > 0
}

describe('batches', () => {
  let done: number[]
  let batches: Batches<Item>
  const add = (...numbers: number[]) => {
    for (const number of numbers) batches.add(new Item(() => void done.push(number)))
  }
  const upTo = (end: number, from = 0) => Array.from({ length: end - from }, (_, at) => from + at)

  beforeEach(() => {
    done = []
    batches = new Batches()
  })

  it('are done as soon as sixteen have come, in the order they came', () => {
    add(...upTo(15))
    expect(done).toEqual([])
    add(15)
    expect(done).toEqual(upTo(16))
    while (turn());
    expect(done).toEqual(upTo(16))
  })

  it('grow for as long as one turn in five brings something', () => {
    for (const number of upTo(15)) {
      add(number)
      for (const _ of upTo(4)) expect(turn()).toBe(true)
      expect(done).toEqual([])
    }
    add(15)
    expect(done).toEqual(upTo(16))
  })

  it('are done with what there is after a few turns that brought nothing, one that comes alone too', () => {
    for (const numbers of [[1], [2], [3, 4]]) {
      done = []
      add(...numbers)
      for (const _ of upTo(4)) {
        expect(turn()).toBe(true)
        expect(done).toEqual([])
      }
      expect(turn()).toBe(false)
      expect(done).toEqual(numbers)
    }
  })

  it('leave the event loop alone when nothing waits', () => {
    expect(immediates).toHaveLength(0)
    add(...upTo(16))
    expect(turn()).toBe(false)
    add(16)
    while (turn());
    expect(done).toEqual(upTo(17))
    expect(immediates).toHaveLength(0)
  })

  it('take what comes while one is done into the next', () => {
    batches.add(new Item(() => add(1, 2)))
    while (turn());
    expect(done).toEqual([1, 2])
    done = []
    batches.add(new Item(() => add(...upTo(16))))
    while (turn());
    expect(done).toEqual(upTo(16))
  })

  it('go on after one of them throws, which nobody else is told of', () => {
    const error = new Error('thrown by a listener')
    batches.add(
      new Item(() => {
        throw error
      }),
    )
    add(...upTo(15))
    expect(done).toEqual(upTo(15))
    const thrown: unknown[] = []
    for (const callback of immediates.splice(0)) {
      try {
        callback()
      } catch (caught) {
        thrown.push(caught)
      }
    }
    expect(thrown).toEqual([error])
  })

  it('are done each in the asynchronous context it came in', () => {
    const storage = new AsyncLocalStorage<number>()
    for (const number of upTo(16)) {
      storage.run(number, () => batches.add(new Item(() => void done.push(storage.getStore()!))))
    }
    expect(done).toEqual(upTo(16))
  })
})
