import { createAuthorizer, createMemoryStore, type HashOrigin } from 'mqtt-warden'
import { expect, it } from 'vitest'
import { connectOf, keyOf, recordOf } from './support.js'

it('has hashes take turns by account, and by networks of which one subscriber has all addresses', async () => {
  const origins: (HashOrigin | undefined)[] = []
  const hasher = {
    passhashProblem: () => undefined,
    verify: async (_password: string, _passhash: string, { origin }: { readonly origin?: HashOrigin | undefined }) => {
      origins.push(origin)
      return false
    },
    stats: () => ({ running: 0, queued: 0 }),
    close: async () => {},
  }
  const store = createMemoryStore([[keyOf('c'), recordOf([])]])
  const authorizer = createAuthorizer({ store, hasher, refusalCapMs: 0 })
  for (const address of ['2001:db8:0:1::7', '2001:DB8::1:0:0:0:8', '::ffff:192.0.2.1']) {
    await authorizer.authenticate(connectOf('c', { password: `guess from ${address}`, address }))
  }
  await authorizer.close()
  const networks = origins.map(origin => origin?.address)
  expect(networks).toEqual(['2001:db8:0:1::/64', '2001:db8:0:1::/64', '192.0.2.1'])
  expect(new Set(origins.map(origin => origin?.account)).size).toBe(1)
})
