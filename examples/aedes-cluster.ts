// Two nodes, a process each, joined by the Redis at REDIS_URL, which holds the records too. An account that is connected
// on both evicts itself, which is told once; then a right is taken away on one side and gone on the other. Needs a Redis;
// it writes two keys of its own there and removes them.
import mqtt from 'mqtt'
import { hashPassword } from 'mqtt-warden'
import { startOnRedis } from './demo/cluster.js'

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
let tellLoop: () => void = () => {}
const loop = new Promise<void>(resolve => {
  tellLoop = resolve
})
const cluster = await startOnRedis(url, (node, line) => {
  console.log(`node ${node}: ${line}`)
  if (line.includes('evicts itself')) tellLoop()
})
const { store, ports } = cluster

const speaker = { mountpoint: '', clientId: 'example-speaker', username: 'example' }
const screen = { mountpoint: '', clientId: 'example-screen', username: 'example' }
const passhash = await hashPassword('correct horse', { cost: 8 })
await store.put(speaker, { passhash, publishAcl: [{ pattern: 'news/#' }], subscribeAcl: [] })
await store.put(screen, { passhash, publishAcl: [], subscribeAcl: [{ pattern: 'news/#' }] })

const connect = (port: number, { clientId, username }: typeof speaker) =>
  mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, username, password: 'correct horse', reconnectPeriod: 0 })

// Each of the two throws the other off, and comes back. Whose log the loop is told in is settled in Redis.
const twins = [ports.A, ports.B].map(port =>
  mqtt.connect(`mqtt://127.0.0.1:${port}`, { ...screen, password: 'correct horse', reconnectPeriod: 50 }),
)
await loop
for (const twin of twins) await twin.endAsync(true)

const speaking = await connect(ports.A, speaker)
const listening = await connect(ports.B, screen)
const heard = new Promise<void>(resolve => {
  listening.once('message', (topic, payload) => {
    console.log(`heard on node B: ${topic} ${payload}`)
    resolve()
  })
})
await listening.subscribeAsync('news/#', { qos: 1 })
await speaking.publishAsync('news/today', 'first', { qos: 1 })
await heard

// Written once, here; both nodes hear of it from Redis. Without its record a client is cut.
const cut = new Promise<void>(resolve => listening.once('close', () => resolve()))
const writtenAt = performance.now()
await store.delete(screen)
await cut
console.log(`cut on node B ${(performance.now() - writtenAt).toFixed(1)} ms after the write began`)

await speaking.endAsync()
await listening.endAsync(true)
await store.delete(speaker)
await cluster.close()
console.log('done')
