import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEndpoint, createEndpointServer } from '../../src/endpoint/index.js'

const pem = (name: string) => readFileSync(new URL(`./certs/${name}`, import.meta.url))
const identity = (name: string) => ({ key: pem(`${name}.key`), cert: pem(`${name}.pem`) })

describe('an endpoint that wants client certificates', () => {
  const endpoint = createEndpoint(() => ({ status: 200, headers: {}, body: 'in' }), { clientCertificate: true })
  const server = createEndpointServer(endpoint, {
    tls: { ...identity('server'), ca: pem('ca.pem'), requestCert: true, rejectUnauthorized: false },
  })

  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })

  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  it.each([
    ['one of its authority', identity('client'), 200],
    ['one of a stranger', identity('stranger'), 403],
    ['none', {}, 403],
  ])('answers a client with %s accordingly', async (_name, shown, status) => {
    const { port } = server.address() as AddressInfo
    const sent = request({ host: '127.0.0.1', port, ca: pem('ca.pem'), agent: false, ...shown }).end()
    const [response] = await once(sent, 'response')
    response.resume()
    expect(response.statusCode).toBe(status)
  })
})
