import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import type { Outcome } from '../../test/faults/fault.js'
import { sufferAll } from '../../test/faults/matrix.js'
import { LIMITS } from '../../test/faults/protocol.js'

/** A fault as the README shows it. */
interface Row {
  readonly fault: string
  readonly bound: string
  readonly survived: string
  readonly recovered: string
}

const ms = (value: number): string => `${Math.ceil(value).toLocaleString('en-US')} ms`

function toRow({ fault, boundMs, survivedMs, recoveredMs }: Outcome): Row {
  return { fault, bound: ms(boundMs), survived: ms(survivedMs), recovered: ms(recoveredMs) }
}

const machine = {
  date: new Date().toISOString().slice(0, 10),
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  load: loadavg()[0],
  limits: LIMITS,
}
const outcomes: Outcome[] = []
for await (const outcome of sufferAll()) {
  outcomes.push(outcome)
  const { fault, bound, survived, recovered } = toRow(outcome)
  console.log(`| ${fault} | ${bound} | ${survived} | ${recovered} |`)
}
const file = new URL('../results/faults.json', import.meta.url)
writeFileSync(file, `${JSON.stringify({ ...machine, rows: outcomes.map(toRow), outcomes }, undefined, 2)}\n`)
const broken = outcomes.filter(({ survivedMs, boundMs, crashes }) => survivedMs > boundMs || crashes.length > 0)
if (broken.length > 0) throw new Error(`not within the bound: ${broken.map(({ fault }) => fault).join('; ')}`)
// Half-open lines may be left, which would keep the process.
process.exit()
