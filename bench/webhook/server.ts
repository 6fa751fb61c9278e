// One of the two servers of the bench, as a process of its own.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAuthorizer, createMemoryStore } from 'mqtt-warden'
import { createEndpointServer, createWebhookHandler } from 'mqtt-warden/vernemq'
import { answer, childArgument } from '../child.js'

const PASSHASH = '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'

/** The least a server can do: parse the same body, and answer a constant. */
function bareServer(): Server {
  return createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      JSON.parse(Buffer.concat(chunks).toString())
      response.setHeader('content-type', 'application/json')
      response.end('{"result":"ok"}')
    })
  })
}

function wardenServer(): Server {
  const rules = Array.from({ length: 10 }, (_, at) => ({ pattern: `org/site${at}/+/temp/#`, maxQos: 1 as const }))
  const record = { passhash: PASSHASH, publishAcl: rules, subscribeAcl: rules }
  const store = createMemoryStore([[{ mountpoint: '', clientId: 'dev17', username: 'plant' }, record]])
  return createEndpointServer(createWebhookHandler(createAuthorizer({ store })))
}

const server = childArgument() === 'mqtt-warden' ? wardenServer() : bareServer()

answer({
  /** Resolves with the port. */
  async listen() {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return (server.address() as AddressInfo).port
  },
})
