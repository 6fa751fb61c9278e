import { Child } from '../child.js'
import { atMost, find, show, spread } from '../stats.js'
import type { Bench, Budget, Label, Measured, Sample } from '../types.js'
import type { MemoryCase } from './cases.js'

const OWN = 'mqtt-warden'
const PARSED = 'JSON.parse'
const USED = 'mqtt-warden, all rules used'
const NONE = 'aedes, no auth'
const PROTECTED = 'aedes, protected'
const EXTRA = 'aedes, difference'
/** How records are held, by subject. */
const HOLDERS = [
  [OWN, 'cached'],
  [USED, 'used'],
  [PARSED, 'parsed'],
] as const
const ROUNDS = 3

const SESSION = 'bytes a live session'
const SAME = 'bytes a cached record, all with the same rules'
const DIFFERENT = 'bytes a cached record, each with rules of its own'
const TOPIC = 'bytes a topic seen'

const session: MemoryCase = { fill: 'sessions', count: 100_000 }
/** Rules of their own are compiled for each, which takes its time. */
const recordCounts = { [SAME]: [10_000, 100_000], [DIFFERENT]: [10_000, 30_000] }
const topic: MemoryCase = { fill: 'topics', count: 300_000 }
const clientCount = 10_000

function columnOf(count: number): string {
  return count.toLocaleString('en')
}

/** Bytes each, in a process of its own. */
async function bytes(one: MemoryCase): Promise<number> {
  const child = await Child.start(new URL('child.ts', import.meta.url), one, ['--expose-gc'])
  try {
    return await child.ask<number>('measure')
  } finally {
    await child.stop()
  }
}

async function sample(of: Omit<Label, 'unit'>, one: MemoryCase): Promise<Sample> {
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round++) rounds.push(await bytes(one))
  return { of: { ...of, unit: 'B' }, rounds }
}

/** What protection adds to the clients of a broker. */
async function clientSamples(): Promise<Sample[]> {
  const label = { scenario: SESSION, column: columnOf(clientCount) }
  const of = (isProtected: boolean): MemoryCase => ({ fill: 'clients', count: clientCount, isProtected })
  const bare = await sample({ ...label, subject: NONE }, of(false))
  const guarded = await sample({ ...label, subject: PROTECTED }, of(true))
  const rounds = guarded.rounds.map((value, round) => value - bare.rounds[round]!)
  return [bare, guarded, { of: { ...label, subject: EXTRA, unit: 'B' }, rounds }]
}

async function recordSamples(): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const [scenario, counts] of Object.entries(recordCounts)) {
    for (const count of counts) {
      for (const [subject, held] of HOLDERS) {
        const one = { fill: 'records', count, sameRules: scenario === SAME, held } as const
        samples.push({ of: { scenario, column: columnOf(count), subject, unit: 'B' }, rounds: [await bytes(one)] })
      }
    }
  }
  return samples
}

async function measure(): Promise<Measured> {
  const samples = [
    await sample({ scenario: SESSION, column: columnOf(session.count), subject: OWN }, session),
    ...(await clientSamples()),
    ...(await recordSamples()),
    await sample({ scenario: TOPIC, column: columnOf(topic.count), subject: OWN }, topic),
  ]
  return { samples }
}

function budgets(samples: readonly Sample[]): Budget[] {
  const of = (scenario: string, count: number, subject: string) =>
    spread(find(samples, { scenario, column: columnOf(count), subject }).rounds)
  const parsed = `a record left by ${PARSED} ${show(of(DIFFERENT, 10_000, PARSED).median, 'B')}`
  return [
    atMost(500, {
      what: 'memory a live session, 100,000 on one role record of 200 rules',
      measured: of(SESSION, session.count, OWN),
      unit: 'B',
      peer: parsed,
      whenMissed: 'a session, its principal, and its places in the index by client id and by username.',
    }),
    atMost(500, {
      what: 'memory a client of aedes, over the broker without auth',
      measured: of(SESSION, clientCount, EXTRA),
      unit: 'B',
      peer: `${NONE} ${show(of(SESSION, clientCount, NONE).median, 'B')} a client`,
      whenMissed:
        'a session and its principal, the member that the adapter makes of a connection, and the places of both in the maps by client id and by username.',
    }),
    atMost(1, {
      what: 'memory a topic seen, 300,000 never seen before',
      measured: of(TOPIC, topic.count, OWN),
      unit: 'B',
      whenMissed: 'something remembers topics.',
    }),
  ]
}

/** What is held in memory, and for what. */
export const memoryBench: Bench = { packages: ['aedes'], measure, budgets }
