// An aedes broker whose accounts are records, and one right taken away while its owner is connected. Uses the Redis at
// REDIS_URL if that is set (it writes one key of its own there and removes it), otherwise memory.
import mqtt from 'mqtt'
import { createMemoryStore, describeDenial, hashPassword } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { startNode } from './node.js'

const url = process.env.REDIS_URL
await using store = url === undefined ? createMemoryStore() : createRedisStore(url)

const key = { mountpoint: '', clientId: 'example-screen', username: 'example' }
const record = {
  passhash: await hashPassword('correct horse', { cost: 8 }),
  publishAcl: [{ pattern: 'news/#' }],
  subscribeAcl: [{ pattern: 'news/#' }],
}
await store.put(key, record)

const node = await startNode(store, { id: 'example' })
node.authorizer.on('denied', event => console.log(describeDenial(event)))

const { clientId, username } = key
const address = `mqtt://127.0.0.1:${node.port}`
const client = await mqtt.connectAsync(address, { clientId, username, password: 'correct horse' })
client.on('message', (topic, payload) => console.log(`received ${topic}: ${payload}`))
await client.subscribeAsync('news/+', { qos: 1 })
await client.publishAsync('news/today', 'first', { qos: 1 })

// From the next message on it counts, on every node that reads this Redis.
await store.put(key, { ...record, subscribeAcl: [] })
await client.publishAsync('news/today', 'second, which nobody receives', { qos: 1 })
const grants = await client.subscribeAsync('news/today').catch((error: Error) => error.message)
console.log('subscribing again:', grants)

await client.endAsync()
await node.close()
await store.delete(key)
