import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach } from 'vitest'
import type { Respond } from '../../src/endpoint/index.js'

export const SECRET = 'correct-horse-battery'

const servers: Server[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
})

/** Answers with what it was asked. */
export const echo: Respond = request => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    method: request.method,
    path: request.path,
    query: request.query,
    body: Buffer.from(request.body).toString('utf8'),
    ...(request.parsed !== undefined && { parsed: request.parsed }),
  }),
})

/** Has a server listen on a free port until the test is over; resolves with the port. */
export async function listen(server: Server): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
