import fc from 'fast-check'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { story } from './model/steps.js'
import { type Kind, turn, World } from './model/world.js'

const RUNS = Number(process.env.MODEL_RUNS ?? 100)

const kinds: fc.Arbitrary<Kind> = fc.record({
  isNeverDeaf: fc.constantFrom(false, false, false, false, true),
  maxRecords: fc.constantFrom(1, 2, 10),
  verifiedTtlMs: fc.constantFrom(0, 60_000),
})

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
})

afterEach(() => {
  vi.useRealTimers()
})

it.each([
  ['the same every time', 1],
  ['others every time', undefined],
])(
  'in whatever order things happen, no decision outlives its bound, and all is well in the end; %s',
  async (_, seed) => {
    await fc.assert(
      fc.asyncProperty(kinds, story, async (kind, steps) => {
        const world = new World(kind)
        try {
          for (const step of steps) {
            await step(world)
            await turn()
            world.decide()
            if (world.failures.length > 0) throw world.failures[0]
          }
          await world.settle()
          expect(world.failures).toEqual([])
        } finally {
          await world.authorizer.close()
        }
      }),
      { numRuns: RUNS, ...(seed !== undefined && { seed }) },
    )
  },
  60_000,
)
