import { parseArgs } from 'node:util'
import { soak } from '../test/soak/soak.js'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' }, verbose: { type: 'boolean' } },
})
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
console.log(`soaking for ${values.minutes} minutes, --seed ${seed}`)
const log = (line: string): void => {
  if (values.verbose) console.log(line)
}
const { burdens, wrong, ...figures } = await soak({ ms: Number(values.minutes) * 60_000, seed, log })
console.log(figures)
for (const [at, burden] of burdens.entries()) {
  console.log(
    `node ${at + 1}: heap in MiB ${burden.map(({ heapBytes }) => (heapBytes / 2 ** 20).toFixed(1)).join(' ')}`,
  )
  console.log(`node ${at + 1}: handles ${burden.map(({ handles }) => handles).join(' ')}`)
}
for (const each of wrong) console.error(`WRONG: ${each}`)
process.exit(wrong.length === 0 ? 0 : 1)
