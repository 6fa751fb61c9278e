import fc from 'fast-check'
import { expect, it } from 'vitest'
import { MinHeap } from '../../src/authorizer/heap.js'

const step = fc.oneof(
  fc.record({ push: fc.integer({ min: -50, max: 50 }) }),
  fc.constant({ shift: true as const }),
  fc.record({ refill: fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 30 }) }),
)

it('a heap gives what a sorted list would, whatever is put in and taken out', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), steps => {
      const heap = new MinHeap()
      let sorted: number[] = []
      for (const each of steps) {
        if ('push' in each) {
          heap.push(each.push)
          sorted.push(each.push)
        } else if ('refill' in each) {
          heap.refill(each.refill)
          sorted = [...each.refill]
        } else expect(heap.shift()).toBe(sorted.shift())
        sorted.sort((a, b) => a - b)
        expect([heap.first, heap.size]).toEqual([sorted[0], sorted.length])
      }
      expect(Array.from({ length: heap.size }, () => heap.shift())).toEqual(sorted)
    }),
  )
})
