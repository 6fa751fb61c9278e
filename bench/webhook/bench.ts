import autocannon from 'autocannon'
import { Child } from '../child.js'
import { atLeast, find, ratio, show, spread } from '../stats.js'
import type { Bench, Budget, Label, Measured, Sample } from '../types.js'

const OWN = 'mqtt-warden'
const BARE = 'bare node:http'
const CONNECTIONS = [10, 100]
const ROUNDS = 7
const ROUND_SECONDS = 2

const BODY = JSON.stringify({
  username: 'plant',
  mountpoint: '',
  client_id: 'dev17',
  qos: 1,
  topic: 'org/site9/dev17/temp/celsius',
  payload: Buffer.alloc(120, 'x').toString('base64'),
  retain: false,
})

/** One server and one number of connections, and what was seen of them. */
interface Run {
  readonly of: Label
  readonly url: string
  readonly connections: number
  readonly rounds: number[]
}

/** Nanoseconds a request, at full load. */
async function load(url: string, connections: number, duration: number): Promise<number> {
  const headers = { 'content-type': 'application/json', 'vernemq-hook': 'auth_on_publish' }
  const result = await autocannon({ url, method: 'POST', headers, body: BODY, connections, duration })
  if (result.non2xx + result.errors > 0) throw new Error(`${result.non2xx + result.errors} requests failed at ${url}`)
  return (result.duration * 1e9) / result.requests.total
}

async function measure(): Promise<Measured> {
  const servers: Child[] = []
  try {
    const runs: Run[] = []
    for (const subject of [OWN, BARE]) {
      const server = await Child.start(new URL('server.ts', import.meta.url), subject)
      servers.push(server)
      const url = `http://127.0.0.1:${await server.ask<number>('listen')}/`
      for (const connections of CONNECTIONS) {
        const of = {
          scenario: 'auth_on_publish, a request',
          column: columnOf(connections),
          subject,
          unit: 'ns',
        } as const
        runs.push({ of, url, connections, rounds: [] })
      }
    }
    for (const { url, connections } of runs) await load(url, connections, 1)
    for (let round = 0; round < ROUNDS; round++) {
      // Every other round the other way about, so that a machine that slows down is hard on both.
      for (const run of round % 2 === 0 ? runs : [...runs].reverse()) {
        run.rounds.push(await load(run.url, run.connections, ROUND_SECONDS))
      }
    }
    return { samples: runs.map(({ of, rounds }) => ({ of, rounds })) }
  } finally {
    for (const server of servers) await server.stop()
  }
}

function columnOf(connections: number): string {
  return `${connections} connections`
}

function budgets(samples: readonly Sample[]): Budget[] {
  return CONNECTIONS.map(connections => {
    const of = (subject: string) =>
      find(samples, { scenario: 'auth_on_publish, a request', column: columnOf(connections), subject })
    const [own, bare] = [of(OWN), of(BARE)]
    const extra = spread(own.rounds).median - spread(bare.rounds).median
    return atLeast(0.85, {
      what: `webhook requests a second, ${connections} connections, against ${BARE}`,
      measured: ratio(bare, own),
      unit: '×',
      peer: `${BARE} ${show(1e9 / spread(bare.rounds).median, '/s')}`,
      whenMissed: `a request takes ${show(extra, 'ns')} more than one of a server that only parses the body: routing, the check of the body, the look-up and the decision.`,
    })
  })
}

/** What a call of VerneMQ costs beside the least that any HTTP server has to do. */
export const webhookBench: Bench = { packages: ['autocannon'], base: OWN, measure, budgets }
