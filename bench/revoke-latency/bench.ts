import type { AclRecord } from 'mqtt-warden'
import { startRedisServer } from '../../test/helpers/redis-server.js'
import { percentile, show, told } from '../stats.js'
import type { Bench, Budget, Measured, Sample } from '../types.js'
import { Cluster, keyOf, narrow, renewed, roleKey, type Write, wide } from './cluster.js'

const OWN = 'mqtt-warden'
const SESSIONS = 10_000
/** Of these sessions, as many are on one record for all of them. */
const ON_ROLE = 2_000
const WRITES = 400
const ROLE_WRITES = 20

const REVOKED = 'record deleted or password changed'
const NARROWED = 'rules narrowed'
const ROLE = 'rules of the one role of all sessions narrowed'
const IDLE = 'idle'
const LOADED = '500 decisions a ms'
const QUANTILES = { p50: 0.5, p99: 0.99, max: 1 } as const

/** Single records: each write takes the right of one client that had it. */
async function ofOneRecord(url: string, collect: Collect): Promise<void> {
  const exact = SESSIONS - ON_ROLE
  const cluster = await Cluster.start(url, { exact, role: ON_ROLE })
  const { writer } = cluster
  try {
    let next = 0
    for (const load of [IDLE, LOADED]) {
      await cluster.setLoad(load === LOADED)
      for (let turn = 0; turn < 2 * WRITES; turn++) {
        const clientId = `exact-${next++}`
        const key = keyOf(clientId)
        const kind = turn % 2 === 0 ? REVOKED : NARROWED
        const revoke = () => (turn % 4 === 0 ? writer.delete(key) : writer.put(key, renewed))
        const send = kind === REVOKED ? revoke : () => writer.put(key, narrow)
        collect(kind, load, await cluster.latency({ clientId, isAllowed: false, send }))
      }
    }
  } finally {
    await cluster.stop()
  }
}

/** One record that all sessions are on: the last of them counts. */
async function ofRole(url: string, collect: Collect): Promise<void> {
  const cluster = await Cluster.start(url, { exact: 0, role: SESSIONS })
  try {
    for (const load of [IDLE, LOADED]) {
      await cluster.setLoad(load === LOADED)
      for (let turn = 0; turn < ROLE_WRITES; turn++) {
        const write = (record: AclRecord, isAllowed: boolean): Write => ({
          clientId: undefined,
          isAllowed,
          send: () => cluster.writer.put(roleKey, record),
        })
        collect(ROLE, load, await cluster.latency(write(narrow, false)))
        await cluster.latency(write(wide, true))
      }
    }
  } finally {
    await cluster.stop()
  }
}

type Collect = (scenario: string, load: string, nanoseconds: number) => void

async function measure(): Promise<Measured> {
  const latencies = new Map<string, number[]>()
  const keyed = (scenario: string, load: string) => JSON.stringify([scenario, load])
  const collect: Collect = (scenario, load, value) => {
    const key = keyed(scenario, load)
    latencies.set(key, [...(latencies.get(key) ?? []), value])
  }
  const server = await startRedisServer()
  try {
    await ofOneRecord(server.url, collect)
  } finally {
    await server.stop()
  }
  const second = await startRedisServer()
  try {
    await ofRole(second.url, collect)
  } finally {
    await second.stop()
  }
  const samples = [REVOKED, NARROWED, ROLE].flatMap(scenario =>
    [IDLE, LOADED].flatMap(load =>
      Object.entries(QUANTILES).map(([name, share]): Sample => {
        const value = percentile(latencies.get(keyed(scenario, load))!, share)
        return { of: { scenario, column: `${load}, ${name}`, subject: OWN, unit: 'ns' }, rounds: [value] }
      }),
    ),
  )
  return { samples }
}

function budgets(samples: readonly Sample[]): Budget[] {
  const figure = (scenario: string, load: string, name: keyof typeof QUANTILES) =>
    samples.find(({ of }) => of.scenario === scenario && of.column === `${load}, ${name}`)!.rounds[0]!
  const limit = 25e6
  return [REVOKED, NARROWED, ROLE].flatMap(scenario =>
    [IDLE, LOADED].map((load): Budget => {
      const [p50, p99, max] = [
        figure(scenario, load, 'p50'),
        figure(scenario, load, 'p99'),
        figure(scenario, load, 'max'),
      ]
      const what = `${scenario} → last of 3 nodes enforces, 10,000 live sessions each, ${load}: p99`
      const measured = `${show(p99, 'ns')} (p50 ${show(p50, 'ns')}, max ${show(max, 'ns')})`
      if (scenario === ROLE) return told(what, measured)
      return {
        ...{ what, measured, peer: '', budget: `≤ ${show(limit, 'ns')}`, isWithin: p99 <= limit },
        whenMissed:
          'three nodes, Redis and the writer share the processors of one machine, and a node hears of a write when its event loop comes round to it.',
      }
    }),
  )
}

/** How long a right outlives its withdrawal, on the last node of a cluster. */
export const revokeLatencyBench: Bench = { packages: ['ioredis'], measure, budgets }
