import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'
import { Cluster } from 'ioredis'
import { connectAsync } from 'mqtt'
import { createAuthorizer } from 'mqtt-warden'
import { protect } from 'mqtt-warden/aedes'
import { createRedisStore } from 'mqtt-warden/redis'

/**
 * A broker of one client, as a process: says `ready` when the client has connected and subscribed. Arguments: a URL, or
 * the ports of a Cluster; the name of the node; client id and password of the client, whose user name is `u`.
 */
const [url, nodeName, clientId, password] = process.argv.slice(2) as [string, string, string, string]
const target = url.includes(':')
  ? url
  : new Cluster(
      url.split(',').map(port => ({ host: '127.0.0.1', port: Number(port) })),
      { lazyConnect: true },
    )
const store = createRedisStore(target, { nodeName, heartbeatMs: 50 })
const authorizer = createAuthorizer({ store, staleWindowMs: 300, readTimeoutMs: 300, outageGraceMs: 0 })
const broker = await Aedes.createBroker()
const protection = protect(broker, authorizer)
const server = createServer(socket => void broker.handle(socket))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
await authorizer.ready()
const { port } = server.address() as AddressInfo
const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, username: 'u', password, reconnectPeriod: 0 })
client.on('error', () => {})
await client.subscribeAsync(['a/#', 'b', 'c'])
process.stdout.write('ready\n')

process.once('SIGTERM', async () => {
  client.end(true)
  await protection.close()
  await authorizer.close()
  await store.close()
  process.exit()
})
