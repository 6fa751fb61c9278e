// The endpoint that every broker over HTTP asks, with an in-memory store, and a broker of one's own that asks it: any
// language will do that can POST JSON. Prints each question with its answer, and why it was refused.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createAuthorizer, createMemoryStore, describeDenial, hashPassword } from 'mqtt-warden'
import { createEmqxHandler, createEndpointServer } from 'mqtt-warden/http'

const SECRET = 'example-0123456789'

const key = { mountpoint: '', clientId: 'pump-1', username: 'plant' }
const record = {
  passhash: await hashPassword('correct horse', { cost: 8 }),
  publishAcl: [{ pattern: 'state/%c/#', maxQos: 1 as const }],
  subscribeAcl: [{ pattern: 'command/%c/+' }],
}
const store = createMemoryStore([[key, record]])
const authorizer = createAuthorizer({ store })
authorizer.on('denied', event => console.log(`  ${describeDenial(event)}`))

// The contract of EMQX is the plainest of the four; brokers of one's own do well to speak it.
const handler = createEmqxHandler(authorizer, { pathSecret: SECRET, onError: error => console.log(`  ${error}`) })
const server = createEndpointServer(handler).listen(0, '127.0.0.1')
await once(server, 'listening')
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${SECRET}`

async function ask(call: 'authentication' | 'authorization', fields: object): Promise<void> {
  const question = { clientid: 'pump-1', username: 'plant', ...fields }
  console.log(call, JSON.stringify(fields))
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${base}/${call}`, { method: 'POST', headers, body: JSON.stringify(question) })
  console.log(`  -> ${await response.text()}`)
}

await ask('authentication', { password: 'correct horse' })
await ask('authentication', { password: 'wrong' })
await ask('authorization', { action: 'publish', topic: 'state/pump-1/temperature', qos: 1, retain: false })
await ask('authorization', { action: 'publish', topic: 'state/pump-2/temperature', qos: 1, retain: false })
await ask('authorization', { action: 'subscribe', topic: 'command/pump-1/+', qos: 1 })
await ask('authorization', { action: 'subscribe', topic: 'command/#', qos: 1 })

console.log('The record may no longer publish.')
await store.put(key, { ...record, publishAcl: [] })
await ask('authorization', { action: 'publish', topic: 'state/pump-1/temperature', qos: 1, retain: false })

server.closeAllConnections()
server.close()
await authorizer.close()
