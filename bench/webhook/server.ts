// One of the two servers of the bench, as a process of its own.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAuthorizer, createMemoryStore, hashPassword } from 'mqtt-warden'
import { createEndpointServer, createWebhookHandler } from 'mqtt-warden/vernemq'
import { answer, childArgument } from '../child.js'
import { PASSWORD, USERNAME } from './calls.js'

/** The time-outs of our server, so that they make no difference. */
const TIMEOUTS = { keepAliveTimeout: 75_000, headersTimeout: 80_000, requestTimeout: 80_000 }

/** The least a server can do: parse the same body, and answer a constant. */
function bareServer(): Server {
  return createServer(TIMEOUTS, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      JSON.parse(Buffer.concat(chunks).toString())
      response.setHeader('content-type', 'application/json')
      response.end('{"result":"ok"}')
    })
  })
}

async function wardenServer(): Promise<Server> {
  const rules = Array.from({ length: 10 }, (_, at) => ({ pattern: `org/site${at}/+/temp/#`, maxQos: 1 as const }))
  const record = { passhash: await hashPassword(PASSWORD), publishAcl: rules, subscribeAcl: rules }
  const store = createMemoryStore([[{ mountpoint: '', clientId: 'dev17', username: USERNAME }, record]])
  return createEndpointServer(createWebhookHandler(createAuthorizer({ store })))
}

const server = childArgument() === 'mqtt-warden' ? await wardenServer() : bareServer()

answer({
  /** Resolves with the port. */
  async listen() {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return (server.address() as AddressInfo).port
  },
  /** Microseconds of processor time since the start, of all threads. */
  cpu(): number {
    const { user, system } = process.cpuUsage()
    return user + system
  },
})
