import { afterAll, expect, vi } from 'vitest'
import { type Fault, suffer, type World } from './fault.js'
import { endNodes } from './node-process.js'

// Processes are started, and outages sat through.
vi.setConfig({ testTimeout: 60_000 })

afterAll(endNodes)

/** Lets a fault happen, and expects of the nodes what holds for every one. */
export async function expectBound<W extends World>(fault: Fault<W>): Promise<void> {
  const outcome = await suffer(fault)
  expect(outcome.survivedMs, outcome.longest).toBeLessThanOrEqual(outcome.boundMs)
  expect(outcome.crashes).toEqual([])
}
