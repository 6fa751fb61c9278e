import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { type Case, ratio, type Sample } from '../harness.js'
import { type Budget, spreadOf, times } from '../table.js'

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
  readonly of: Case
  readonly url: string
  readonly connections: number
  readonly rounds: number[]
}

async function start(kind: 'warden' | 'bare'): Promise<{ url: string; child: ChildProcess }> {
  const script = fileURLToPath(new URL('server.ts', import.meta.url))
  const child = fork(script, [kind], { execArgv: ['--import', 'tsx'] })
  const [port] = (await once(child, 'message')) as [number]
  return { url: `http://127.0.0.1:${port}/`, child }
}

/** Nanoseconds a request, at full load. */
async function load(url: string, connections: number, duration: number): Promise<number> {
  const headers = { 'content-type': 'application/json', 'vernemq-hook': 'auth_on_publish' }
  const result = await autocannon({ url, method: 'POST', headers, body: BODY, connections, duration })
  if (result.non2xx + result.errors > 0) throw new Error(`${result.non2xx + result.errors} requests failed at ${url}`)
  return (result.duration * 1e9) / result.requests.total
}

async function measure(): Promise<Sample[]> {
  const servers: Readonly<Record<string, Awaited<ReturnType<typeof start>>>> = {
    [OWN]: await start('warden'),
    [BARE]: await start('bare'),
  }
  try {
    const runs: Run[] = CONNECTIONS.flatMap(connections =>
      [OWN, BARE].map(subject => ({
        of: { scenario: 'auth_on_publish', column: `${connections} connections`, subject, run: () => undefined },
        url: servers[subject]!.url,
        connections,
        rounds: [],
      })),
    )
    for (const { url, connections } of runs) await load(url, connections, 1)
    for (let round = 0; round < ROUNDS; round++) {
      // Every other round the other way about, so that a machine that slows down is hard on both.
      for (const run of round % 2 === 0 ? runs : [...runs].reverse()) {
        run.rounds.push(await load(run.url, run.connections, ROUND_SECONDS))
      }
    }
    return runs
  } finally {
    for (const { child } of Object.values(servers)) child.disconnect()
  }
}

function budgets(samples: readonly Sample[]): Budget[] {
  return CONNECTIONS.map(connections => {
    const find = (subject: string) =>
      samples.find(({ of }) => of.subject === subject && of.column === `${connections} connections`)!
    const share = ratio(find(BARE), find(OWN))
    return {
      what: `requests a second, ${connections} connections, against ${BARE}`,
      budget: '≥ 0.85×',
      measured: spreadOf(share, times),
      isWithin: share.median >= 0.85,
    }
  })
}

/** What a call of VerneMQ costs beside the least that any HTTP server has to do. */
export const webhookBench = { packages: ['autocannon'], base: OWN, measure, budgets }
