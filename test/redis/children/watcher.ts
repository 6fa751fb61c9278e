import { createRedisStore } from '../../../src/redis/index.js'

/** Prints what a store on the given Redis tells, one line of JSON for each event. Ends with its parent. */
const store = createRedisStore(process.argv[2]!, { heartbeatMs: 50, ...JSON.parse(process.argv[3] ?? '{}') })
store.watch(event => {
  process.stdout.write(`${JSON.stringify(event)}\n`)
})
process.stdout.on('error', () => process.exit())
