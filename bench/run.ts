import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { type BenchName, RESULTS } from './report.js'
import { spread } from './stats.js'
import { printBudgets, printTables } from './table.js'
import type { Bench, Result, Spread } from './types.js'

/** Loaded when their turn comes: what another one loads may change how fast the engine runs everything. */
const benches: Readonly<Record<BenchName, () => Promise<Bench>>> = {
  match: async () => (await import('./match/bench.js')).matchBench,
  aedes: async () => (await import('./aedes/bench.js')).aedesBench,
  storm: async () => (await import('./storm/bench.js')).stormBench,
  guessing: async () => (await import('./guessing/bench.js')).guessingBench,
  webhook: async () => (await import('./webhook/bench.js')).webhookBench,
  memory: async () => (await import('./memory/bench.js')).memoryBench,
  'revoke-latency': async () => (await import('./revoke-latency/bench.js')).revokeLatencyBench,
}

function versionOf(name: string): string {
  const path = name === 'mqtt-warden' ? '../package.json' : `../node_modules/${name}/package.json`
  return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version
}

/** Digits beyond the fifth say nothing, and hide what changed between two runs. */
function rounded({ low, median, high }: Spread): Spread {
  const round = (value: number) => Number(value.toPrecision(5))
  return { low: round(low), median: round(median), high: round(high) }
}

async function runBench(name: string, bench: Bench): Promise<void> {
  const startedAt = performance.now()
  const machine = {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    load: Number(loadavg()[0]!.toFixed(1)),
    packages: Object.fromEntries(['mqtt-warden', ...bench.packages].map(one => [one, versionOf(one)])),
  }
  console.log(`${name}: ${JSON.stringify(machine)}\n`)
  const measured = await bench.measure()
  const { samples } = measured
  const budgets = bench.budgets(samples)
  printTables(samples, bench.base)
  printBudgets(budgets)
  const result: Result = {
    ...machine,
    seconds: Math.round((performance.now() - startedAt) / 1_000),
    ...(bench.base !== undefined && { base: bench.base }),
    budgets,
    cases: samples.map(({ of, rounds }) => ({
      ...of,
      rounds: rounds.filter(round => round !== undefined).length,
      ...rounded(spread(rounds)),
    })),
  }
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(new URL(`${name}.json`, RESULTS), `${JSON.stringify(result, undefined, 2)}\n`)
  for (const [file, picture] of Object.entries(bench.draw?.(measured) ?? {})) {
    writeFileSync(new URL(file, RESULTS), picture)
  }
}

const names = process.argv.slice(2)
for (const name of names) {
  const load = Object.hasOwn(benches, name) ? benches[name as BenchName] : undefined
  if (load === undefined) throw new TypeError(`no bench ${name}; there are: ${Object.keys(benches).join(', ')}`)
  await runBench(name, await load())
}

// Each in a process of its own: what the engine has learnt of one would count in the next.
for (const name of names.length > 0 ? [] : Object.keys(benches)) {
  const script = fileURLToPath(import.meta.url)
  const { status } = spawnSync(process.execPath, [...process.execArgv, script, name], { stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}
