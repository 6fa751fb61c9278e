import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Deadlines, type Timed } from '../../src/endpoint/deadlines.js'

const TIMEOUT_MS = 100

class Exchange implements Timed {
  expiresAt = 0
  before: Timed | undefined
  behind: Timed | undefined
  readonly name: string
  readonly over: string[]

  constructor(name: string, over: string[]) {
    this.name = name
    this.over = over
  }

  expire(): void {
    this.over.push(this.name)
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})

afterEach(() => {
  vi.useRealTimers()
})

describe('deadlines', () => {
  it('come to each exchange that is not over by then, in order of arrival, whatever else starts and ends', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('start' as const) }),
      fc.record({ type: fc.constant('stop' as const), place: fc.nat(30) }),
      fc.record({ type: fc.constant('wait' as const), ms: fc.nat(60) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const deadlines = new Deadlines(TIMEOUT_MS)
        const over: string[] = []
        const made: Exchange[] = []
        const startedAt: number[] = []
        const stopped = new Set<string>()
        let now = 0
        for (const one of steps) {
          if (one.type === 'start') {
            const exchange = new Exchange(String(made.length), over)
            made.push(exchange)
            startedAt.push(now)
            deadlines.start(exchange)
          } else if (one.type === 'wait') {
            now += one.ms
            vi.advanceTimersByTime(one.ms)
          } else if (one.place < made.length) {
            const exchange = made[one.place]!
            if (!over.includes(exchange.name)) stopped.add(exchange.name)
            deadlines.stop(exchange)
          }
          const due = made.filter(({ name }, index) => !stopped.has(name) && startedAt[index]! + TIMEOUT_MS <= now)
          expect(over).toEqual(due.map(({ name }) => name))
        }
      }),
    )
  })

  it('of all exchanges are kept by one timer, and by none when there is nothing left', () => {
    const deadlines = new Deadlines(TIMEOUT_MS)
    const over: string[] = []
    const exchanges = Array.from({ length: 1_000 }, (_, index) => new Exchange(String(index), over))
    for (const exchange of exchanges) deadlines.start(exchange)
    expect(vi.getTimerCount()).toBe(1)
    for (const exchange of exchanges) deadlines.stop(exchange)
    vi.advanceTimersByTime(TIMEOUT_MS)
    expect(vi.getTimerCount()).toBe(0)
    expect(over).toEqual([])
  })
})
