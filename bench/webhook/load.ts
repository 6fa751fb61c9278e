import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import autocannon from 'autocannon'
import type { Child } from '../child.js'
import type { Call } from './calls.js'

/** A server under load: how, and with what. */
export interface Load {
  readonly server: Child
  readonly url: string
  readonly connections: number
  readonly call: Call
}

/** What a request took, in nanoseconds: by the clock at full load, and of the server's processors. */
export interface Cost {
  readonly time: number
  readonly cpu: number
}

/** Until all connections are open and have been used. */
const SETTLE_MS = 100
const ROUND_MS = 400
/** Fewest answers of a round, which goes on for them: refused logins are answered late. */
const LEAST_ANSWERS = 100
/** Longest a run may take, in seconds. */
const MOST_SECONDS = 20

/** Loads a server for a moment. Opening and closing connections does not count. */
export async function load({ server, url, connections, call }: Load, ms: number = ROUND_MS): Promise<Cost> {
  const headers = { 'content-type': 'application/json', 'vernemq-hook': call.hook }
  const { body } = call
  const request =
    typeof body === 'string' ? { body } : { setupRequest: (common: object) => ({ ...common, body: body() }) }
  const options = { url, method: 'POST', headers, requests: [request], connections } as const
  const run = autocannon({ ...options, duration: MOST_SECONDS, sampleInt: 10 })
  let answered = 0
  run.on('response', () => answered++)
  const look = async () => ({ cpu: await server.ask<number>('cpu'), at: performance.now(), answered })
  await setTimeout(SETTLE_MS)
  const before = await look()
  do await setTimeout(ms)
  while (answered - before.answered < LEAST_ANSWERS && performance.now() - before.at < MOST_SECONDS * 1_000)
  const after = await look()
  run.stop()
  const { non2xx, errors } = await run
  const answers = after.answered - before.answered
  if (non2xx + errors > 0 || answers === 0) throw new Error(`${non2xx + errors} requests to ${url} failed`)
  return { time: ((after.at - before.at) * 1e6) / answers, cpu: ((after.cpu - before.cpu) * 1e3) / answers }
}
