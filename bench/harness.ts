import { performance } from 'node:perf_hooks'
import type { Label, Sample } from './types.js'

/** One thing to time. */
export interface Case extends Omit<Label, 'unit'> {
  /** Does the work once; the result keeps the engine from leaving it out. */
  readonly run: (turn: number) => unknown
}

/** Shortest time a case runs in one round, in milliseconds: far above the resolution of the clock. */
const BATCH_MS = 2
/** Most time a case may take in all, in milliseconds; a slow one is given fewer rounds. */
const CASE_MS = 1_500
/** How long each case runs before anything counts, twice: what comes later can make the engine think again. */
const WARM_UP_MS = 25

/**
 * Times cases against each other on a machine that does other things too.
 *
 * Every round runs each case once, for a batch of a few milliseconds, in an order that moves on from round to round. What
 * slows the machine down for longer than a batch then hits all cases of a round alike, and ratios are formed within
 * rounds.
 */
export function measure(cases: readonly Case[], rounds = 40): Sample[] {
  const loops = cases.map(of => ({ of, loop: makeLoop(of) }))
  for (const { loop } of [...loops, ...loops]) turnsFor(loop, WARM_UP_MS)
  const timed = loops.map(({ of, loop }) => ({ of, loop, batch: turnsFor(loop, BATCH_MS), rounds: [] as number[] }))
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < timed.length; at++) {
      const one = timed[(at + round) % timed.length]!
      if (round >= CASE_MS / one.batch.ms && round >= 3) continue
      one.rounds[round] = time(one.loop, one.batch.turns) / one.batch.turns
    }
  }
  return timed.map(({ of: { run: _, ...label }, rounds }) => ({ of: { ...label, unit: 'ns' }, rounds }))
}

type Loop = (turns: number) => number

/** A loop of its own for every case: one shared by all would call through a site that has seen everything. */
function makeLoop({ run }: Case): Loop {
  return new Function(
    'run',
    'return turns => { let sum = 0; for (let turn = 0; turn < turns; turn++) if (run(turn)) sum++; return sum }',
  )(run) as Loop
}

/**
 * Nanoseconds that a batch takes. One during which the process had to wait for a processor says nothing about the code,
 * and is run again, within reason.
 */
function time(loop: Loop, turns: number): number {
  let shortest = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < 4; attempt++) {
    const cpu = process.cpuUsage()
    const start = performance.now()
    loop(turns)
    const ms = performance.now() - start
    const { user, system } = process.cpuUsage(cpu)
    shortest = Math.min(shortest, ms)
    if (ms > 5 * BATCH_MS || (user + system) / 1_000 > 0.95 * ms) break
  }
  return shortest * 1e6
}

/** How many turns take as long as that, at least one; and how long they do take. */
function turnsFor(loop: Loop, leastMs: number): { turns: number; ms: number } {
  for (let turns = 1; ; turns *= 2) {
    const ms = time(loop, turns) / 1e6
    if (ms >= leastMs) return { turns, ms }
  }
}
