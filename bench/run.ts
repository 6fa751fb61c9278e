import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { type Sample, spread } from './harness.js'
import { matchBench } from './match/bench.js'
import { type Budget, printBudgets, printTables } from './table.js'
import { webhookBench } from './webhook/bench.js'

/** A set of cases that are measured together, and what is promised about them. */
interface Bench {
  /** Packages whose versions belong beside the figures. */
  readonly packages: readonly string[]
  /** The subject that the others are compared with. */
  readonly base: string
  measure(): Sample[] | Promise<Sample[]>
  budgets(samples: readonly Sample[]): Budget[]
}

const benches: Readonly<Record<string, Bench>> = { match: matchBench, webhook: webhookBench }

function versionOf(name: string): string {
  const path = name === 'mqtt-warden' ? '../package.json' : `../node_modules/${name}/package.json`
  return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version
}

async function runBench(name: string, bench: Bench): Promise<void> {
  const machine = {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    load: loadavg()[0],
    packages: Object.fromEntries(['mqtt-warden', ...bench.packages].map(one => [one, versionOf(one)])),
  }
  console.log(`${name}: ${JSON.stringify(machine)}\n`)
  const samples = await bench.measure()
  const budgets = bench.budgets(samples)
  printTables(samples, bench.base)
  printBudgets(budgets)
  const cases = samples.map(({ of: { scenario, subject, column }, rounds }) => ({
    scenario,
    subject,
    column,
    rounds: rounds.filter(round => round !== undefined).length,
    nanoseconds: spread(rounds),
  }))
  mkdirSync(new URL('results/', import.meta.url), { recursive: true })
  const file = new URL(`results/${name}.json`, import.meta.url)
  writeFileSync(file, `${JSON.stringify({ ...machine, budgets, cases }, undefined, 2)}\n`)
}

const names = process.argv.slice(2)
for (const name of names.length > 0 ? names : Object.keys(benches)) {
  const bench = Object.hasOwn(benches, name) ? benches[name] : undefined
  if (bench === undefined) throw new TypeError(`no bench ${name}; there are: ${Object.keys(benches).join(', ')}`)
  await runBench(name, bench)
}
