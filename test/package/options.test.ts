import { describe, expect, it } from 'vitest'
import { compileAcl } from '../../src/acl/index.js'
import { protect } from '../../src/aedes/index.js'
import { createAuthorizer } from '../../src/authorizer/index.js'
import { createBrokerAdapter } from '../../src/broker/index.js'
import {
  createEmqxHandler,
  createEndpointServer,
  createGoAuthHandler,
  createNanomqHandler,
  createRabbitmqHandler,
} from '../../src/http/index.js'
import { createBcryptHasher, hashPassword, verifyPassword } from '../../src/password/index.js'
import { parseRecord } from '../../src/record/index.js'
import { createRedisStore } from '../../src/redis/index.js'
import { createMemoryStore } from '../../src/store/index.js'
import { createVernemqAdmin, createWebhookHandler, enforceOnVernemq } from '../../src/vernemq/index.js'

/** An option that nothing has. What it was meant to say would be passed over, and perhaps let somebody in. */
const MISSPELT = { misspelt: 1 } as object

const store = createMemoryStore()
const key = { mountpoint: '', clientId: 'c', username: 'u' }
const record = {
  passhash: '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6',
  publishAcl: [],
  subscribeAcl: [],
}
const authorizer = createAuthorizer({ store })
const admin = createVernemqAdmin({ nodes: ['http://127.0.0.1:1'], apiKey: 'k' })
const broker = { handle() {}, clients: {}, authorizeForward() {} }

const takers: Readonly<Record<string, () => unknown>> = {
  compileAcl: () => compileAcl({ publishAcl: [], subscribeAcl: [] }, MISSPELT),
  parseRecord: () => parseRecord('{}', MISSPELT),
  hashPassword: () => hashPassword('x', MISSPELT),
  verifyPassword: () => verifyPassword('x', record.passhash, MISSPELT),
  createBcryptHasher: () => createBcryptHasher(MISSPELT),
  createMemoryStore: () => createMemoryStore([], MISSPELT),
  'store.put': () => store.put(key, record, MISSPELT),
  'store.delete': () => store.delete(key, MISSPELT),
  'store.put with a receipt': () => store.put(key, record, { receipt: { timeoutMs: 1_000, ...MISSPELT } }),
  'store.watch': () => store.watch(() => {}, MISSPELT),
  createRedisStore: () => createRedisStore('redis://127.0.0.1', MISSPELT),
  createAuthorizer: () => createAuthorizer({ store, ...MISSPELT }),
  'createAuthorizer with rehash': () => createAuthorizer({ store, rehash: { cost: 12, ...MISSPELT } }),
  'createAuthorizer with throttle': () => createAuthorizer({ store, throttle: MISSPELT }),
  protect: () => protect(broker as never, authorizer, MISSPELT),
  createBrokerAdapter: () => createBrokerAdapter(authorizer, MISSPELT),
  createVernemqAdmin: () => createVernemqAdmin({ nodes: ['http://127.0.0.1:1'], apiKey: 'k', ...MISSPELT }),
  enforceOnVernemq: () => enforceOnVernemq(authorizer, admin, MISSPELT),
  createWebhookHandler: () => createWebhookHandler(authorizer, MISSPELT),
  createEmqxHandler: () => createEmqxHandler(authorizer, MISSPELT),
  createRabbitmqHandler: () => createRabbitmqHandler(authorizer, MISSPELT),
  createGoAuthHandler: () => createGoAuthHandler(authorizer, MISSPELT),
  createNanomqHandler: () => createNanomqHandler(authorizer, MISSPELT),
  createEndpointServer: () => createEndpointServer({ node() {} }, MISSPELT),
}

describe('an option that is misspelt', () => {
  it.each(Object.entries(takers))('is refused by %s, by name', async (_, take) => {
    const outcome = await (async () => take())().catch((error: unknown) => error)
    expect(outcome).toBeInstanceOf(TypeError)
    expect(String(outcome)).toMatch(/"(?:\w+\.)?misspelt" is not an option of /)
  })
})
