// Plays a story on two aedes nodes: what two accounts may say to each other, and what happens when they may not. In
// memory, or with REDIS_URL set on that Redis, each node then being a process of its own. Exit code 1 if any scene goes
// otherwise than told.
import { createAuthorizer } from 'mqtt-warden'
import { type Listener, startInMemory, startOnRedis } from './demo/cluster.js'
import { Report } from './demo/report.js'
import { rememberRecords, Scenes } from './demo/scenes.js'

const url = process.env.REDIS_URL
const report = new Report()
console.log(
  url === undefined
    ? 'Two aedes nodes A and B in this process, records in memory.'
    : `Two aedes nodes A and B, a process each, on ${new URL(url).host}.`,
)

let scenes: Scenes | undefined
const listener: Listener = (node, line) => scenes?.hear(node, line)
const cluster = url === undefined ? await startInMemory(listener) : await startOnRedis(url, listener)
const authorizer = createAuthorizer({ store: cluster.store })
const restore = await rememberRecords(cluster.store)
try {
  scenes = new Scenes(cluster, authorizer, report)
  await scenes.play()
} finally {
  // What the nodes say about the cleaning up is no part of the story.
  scenes = undefined
  await restore()
  await authorizer.close()
  await cluster.close()
}
console.log(report.failures === 0 ? '\nAll scenes went as told.' : `\n${report.failures} claims did not hold.`)
process.exitCode = report.failures === 0 ? 0 : 1
