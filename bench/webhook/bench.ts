import { Child } from '../child.js'
import { atLeast, find, ratio, show, showSpread, spread, told } from '../stats.js'
import type { Bench, Budget, Label, Measured, Sample } from '../types.js'
import { type Call, OTHERS, PUBLISH } from './calls.js'
import { type Cost, type Load, load } from './load.js'

const OWN = 'mqtt-warden'
const BARE = 'bare node:http'
const CONNECTIONS = [10, 100]
const ROUNDS = 21
/** Rounds and connections of the calls that no budget is set for. */
const FEW_ROUNDS = 5
const OTHERS_CONNECTIONS = 100
const WARM_UP_MS = 1_000

const TIME = 'a request'
const CPU = 'processor time of the server, a request'

/** One call on one server, and what it took. */
interface Run extends Load {
  readonly subject: string
  readonly costs: Cost[]
}

async function measure(): Promise<Measured> {
  const servers: { subject: string; server: Child; url: string }[] = []
  try {
    for (const subject of [OWN, BARE]) {
      const server = await Child.start(new URL('server.ts', import.meta.url), subject)
      servers.push({ subject, server, url: `http://127.0.0.1:${await server.ask<number>('listen')}/` })
    }
    const runsOf = (call: Call, connections: number): Run[] =>
      servers.map(server => ({ ...server, call, connections, costs: [] }))
    const publishes = CONNECTIONS.flatMap(connections => runsOf(PUBLISH, connections))
    const others = OTHERS.flatMap(call => runsOf(call, OTHERS_CONNECTIONS))
    await rounds(publishes, ROUNDS)
    await rounds(others, FEW_ROUNDS)
    return {
      samples: [
        ...publishes.flatMap(run => [sample(run, 'time'), sample(run, 'cpu')]),
        ...others.map(run => sample(run, 'cpu')),
      ],
    }
  } finally {
    for (const { server } of servers) await server.stop()
  }
}

/** Both servers after each other, then the next case; every other round the other way about. */
async function rounds(runs: readonly Run[], count: number): Promise<void> {
  for (const run of runs) await load(run, WARM_UP_MS)
  const backwards = [...runs].reverse()
  for (let round = 0; round < count; round++) {
    for (const run of round % 2 === 0 ? runs : backwards) run.costs.push(await load(run))
  }
}

function sample({ call, subject, connections, costs }: Run, what: keyof Cost): Sample {
  const scenario = `${call.name}, ${what === 'time' ? TIME : CPU}`
  const of: Label = { scenario, column: columnOf(connections), subject, unit: 'ns' }
  return { of, rounds: costs.map(cost => cost[what]) }
}

function columnOf(connections: number): string {
  return `${connections} connections`
}

function budgets(samples: readonly Sample[]): Budget[] {
  const of = (call: Call, what: string, connections: number) => {
    const one = (subject: string) =>
      find(samples, { scenario: `${call.name}, ${what}`, column: columnOf(connections), subject })
    return [one(OWN), one(BARE)] as const
  }
  const cpu = (call: Call, connections: number) => {
    const [own, bare] = of(call, CPU, connections)
    return told(
      `webhook ${call.name}, ${columnOf(connections)}: ${CPU}`,
      `${showSpread(ratio(own, bare), '×')}, ${show(spread(own.rounds).median, 'ns')}`,
      `${BARE} ${show(spread(bare.rounds).median, 'ns')}`,
    )
  }
  const throughput = CONNECTIONS.map(connections => {
    const [own, bare] = of(PUBLISH, TIME, connections)
    const extra = spread(own.rounds).median - spread(bare.rounds).median
    return atLeast(0.85, {
      what: `webhook requests a second, ${columnOf(connections)}, against ${BARE}`,
      measured: ratio(bare, own),
      unit: '×',
      peer: `${BARE} ${show(1e9 / spread(bare.rounds).median, '/s')}`,
      whenMissed: `a request takes ${show(extra, 'ns')} more than one of a server that only parses the body: routing, the check of the body, the look-up and the decision.`,
    })
  })
  return [
    ...throughput,
    ...CONNECTIONS.map(connections => cpu(PUBLISH, connections)),
    ...OTHERS.map(call => cpu(call, OTHERS_CONNECTIONS)),
  ]
}

/** What a call of VerneMQ costs beside the least that any HTTP server has to do. */
export const webhookBench: Bench = { packages: ['autocannon'], base: OWN, measure, budgets }
