import { performance } from 'node:perf_hooks'
import type { BrokerKind } from '../broker/types.js'
import { Child } from '../child.js'
import { atLeast, find, ratio, show, showSpread, told } from '../stats.js'
import type { Bench, Budget, Label, Measured, Sample, Spread } from '../types.js'
import { Pair } from './pair.js'

const NONE = 'no auth'
const OWN = 'mqtt-warden'
const NAIVE = 'mqtt-match loop'
const PAIRS = 50
const RULES = [10, 100, 1_000]
const QOS = [0, 1] as const
/** Rounds of what the budget compares, and of the rest. */
const ROUNDS = 20
const FEW_ROUNDS = 5
const ROUND_MS = 500
/** Most time a case may take in all, in milliseconds; a slow one is given fewer rounds. */
const CASE_MS = 12_000

const RATE = 'messages a second'
const CPU = 'processor time of the broker, a message'

/** A broker with its clients. */
interface Running {
  readonly subject: string
  readonly column: string
  readonly broker: Child
  readonly pairs: readonly Pair[]
}

/** One broker at one QoS, and what was seen. */
interface Case {
  readonly running: Running
  readonly qos: 0 | 1
  readonly rounds: number
  readonly rates: number[]
  readonly cpu: number[]
  spentMs: number
}

async function run(subject: string, column: string, kind: BrokerKind): Promise<Running> {
  const broker = await Child.start(new URL('../broker/server.ts', import.meta.url), kind)
  const port = await broker.ask<number>('listen')
  const pairs = await Promise.all(Array.from({ length: PAIRS }, (_, at) => Pair.open(port, at)))
  return { subject, column, broker, pairs }
}

/** Publishes for half a second, and counts until the last message has arrived. */
async function load({ running: { broker, pairs }, qos }: Case): Promise<{ rate: number; cpu: number; ms: number }> {
  const cpuBefore = await broker.ask<number>('cpu')
  const startedAt = performance.now()
  for (const pair of pairs) pair.start(qos)
  await new Promise(resolve => setTimeout(resolve, ROUND_MS))
  await Promise.all(pairs.map(pair => pair.stop()))
  const ms = performance.now() - startedAt
  const cpu = (await broker.ask<number>('cpu')) - cpuBefore
  const messages = pairs.reduce((sum, { received }) => sum + received, 0)
  return { rate: (messages * 1_000) / ms, cpu: (cpu * 1_000) / messages, ms }
}

async function measure(): Promise<Measured> {
  const all: Running[] = []
  try {
    all.push(await run(NONE, 'no rules', { auth: 'none' }))
    for (const rules of RULES) {
      const column = columnOf(rules)
      all.push(await run(OWN, column, { auth: 'warden rules', rules }))
      all.push(await run(NAIVE, column, { auth: 'loop', rules }))
    }
    const cases: Case[] = all.flatMap(running =>
      QOS.map(qos => ({ running, qos, rounds: roundsOf(running), rates: [], cpu: [], spentMs: 0 })),
    )
    for (const one of cases) await load(one)
    for (let round = 0; round < ROUNDS; round++) {
      for (let at = 0; at < cases.length; at++) {
        const one = cases[(at + round) % cases.length]!
        if (round >= one.rounds || one.spentMs > CASE_MS) continue
        const { rate, cpu, ms } = await load(one)
        one.rates.push(rate)
        one.cpu.push(cpu)
        one.spentMs += ms
      }
    }
    return { samples: cases.flatMap(samplesOf) }
  } finally {
    for (const { broker } of all) await broker.stop()
  }
}

function roundsOf({ column }: Running): number {
  return column === 'no rules' || column === columnOf(100) ? ROUNDS : FEW_ROUNDS
}

function samplesOf({ running: { subject, column }, qos, rates, cpu }: Case): Sample[] {
  const label = (scenario: string, unit: Label['unit']) => ({
    scenario: scenarioOf(scenario, qos),
    column,
    subject,
    unit,
  })
  return [
    { of: label(RATE, '/s'), rounds: rates },
    { of: label(CPU, 'ns'), rounds: cpu },
  ]
}

function scenarioOf(what: string, qos: 0 | 1): string {
  return `QoS ${qos}, ${what}`
}

function columnOf(rules: number): string {
  return `${rules.toLocaleString('en')} rules`
}

function budgets(samples: readonly Sample[]): Budget[] {
  return QOS.flatMap(qos => {
    const share = (what: string, subject: string): Spread => {
      const scenario = scenarioOf(what, qos)
      const none = find(samples, { scenario, column: 'no rules', subject: NONE })
      return ratio(find(samples, { scenario, column: columnOf(100), subject }), none)
    }
    const others = (what: string) => `${NAIVE} ${show(share(what, NAIVE).median, '×')}`
    const what = `aedes, 50 → 50 clients, QoS ${qos}, 100 rules, against ${NONE}`
    return [
      atLeast(0.97, {
        what: `${what}: messages a second`,
        measured: share(RATE, OWN),
        unit: '×',
        peer: others(RATE),
        whenMissed:
          'each message passes two hooks and two decisions; see the processor time, which other work disturbs less.',
      }),
      told(`${what}: processor time of the broker, a message`, showSpread(share(CPU, OWN), '×'), others(CPU)),
    ]
  })
}

/** What auth takes of the messages that a broker forwards. */
export const aedesBench: Bench = { packages: ['aedes', 'mqtt-match'], measure, budgets }
