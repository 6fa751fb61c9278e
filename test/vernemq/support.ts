import { readFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import {
  type AclRecord,
  type Authorizer,
  type AuthorizerOptions,
  createAuthorizer,
  createMemoryStore,
  type DeniedEvent,
  type PasswordHasher,
  type RecordKey,
  type RecordStore,
  type StoreListener,
} from '../../src/index.js'
import { createWebhookHandler, type WebhookHandler, type WebhookOptions } from '../../src/vernemq/index.js'

/** One hook call as a real VerneMQ 2.1.2 made it. */
export interface Recorded {
  readonly hook: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
  readonly case: string
  readonly mqtt: '3.1' | '3.1.1' | '5'
  readonly body_raw: string
}

export const RECORDED: readonly Recorded[] = readFileSync(
  new URL('../vectors/vernemq-webhooks.jsonl', import.meta.url),
  'utf8',
)
  .trim()
  .split('\n')
  .map(line => JSON.parse(line))

export const keyOf = (clientId: string, username = 'u1', mountpoint = ''): RecordKey => ({
  mountpoint,
  clientId,
  username,
})

/** A record of password `p1`. */
export const recordOf = (more: Partial<AclRecord> = {}): AclRecord => ({
  passhash: 'plain:p1',
  publishAcl: [],
  subscribeAcl: [],
  ...more,
})

/** Knows hashes that are the password behind `plain:`: these tests are not about bcrypt. */
export const plainHasher: PasswordHasher = {
  passhashProblem: passhash => (passhash.startsWith('plain:') ? undefined : 'is not plain'),
  verify: async (password, passhash) => passhash === `plain:${password}`,
  stats: () => ({ running: 0, queued: 0 }),
  close: async () => {},
}

export interface Desk {
  readonly store: RecordStore
  readonly authorizer: Authorizer
  readonly handler: WebhookHandler
  readonly denied: DeniedEvent[]
  readonly errors: unknown[]
  /** Asks a hook and returns the body of an answer of status 200. */
  ask(hook: string, body: object): Promise<string>
}

export type Entries = Iterable<readonly [RecordKey, AclRecord]>

export function open(
  entries: Entries,
  webhookOptions: WebhookOptions | ((authorizer: Authorizer) => WebhookOptions) = {},
  authorizerOptions: Partial<AuthorizerOptions> = {},
): Desk {
  const store = authorizerOptions.store ?? createMemoryStore(entries)
  const authorizer = createAuthorizer({ hasher: plainHasher, refusalCapMs: 0, ...authorizerOptions, store })
  onTestFinished(() => authorizer.close())
  const denied: DeniedEvent[] = []
  authorizer.on('denied', event => denied.push(event))
  const errors: unknown[] = []
  const options = typeof webhookOptions === 'function' ? webhookOptions(authorizer) : webhookOptions
  const handler = createWebhookHandler(authorizer, { onError: error => errors.push(error), ...options })
  const ask = async (hook: string, body: object) => {
    const answer = await handler.handle(hook, body)
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`)
    return answer.body
  }
  return { store, authorizer, handler, denied, errors, ask }
}

const USER = { username: 'u1', mountpoint: '', client_id: 'c1' }
const PEER = { peer_addr: '127.0.0.1', peer_port: 57598 }

/** A well-formed body of each hook, with what a test wants to be different. */
export const bodyOf = {
  register: (more: object = {}) => ({ ...PEER, ...USER, password: 'p1', clean_session: true, ...more }),
  registerV5: (more: object = {}) => ({ ...PEER, ...USER, password: 'p1', clean_start: true, properties: {}, ...more }),
  publish: (topic: string, more: object = {}) => ({
    ...USER,
    qos: 0,
    topic,
    payload: 'aGVsbG8=',
    retain: false,
    ...more,
  }),
  publishV5: (topic: string, more: object = {}) => ({ ...bodyOf.publish(topic), properties: {}, ...more }),
  subscribe: (topics: readonly (readonly [string, number])[], more: object = {}) => ({
    ...USER,
    topics: topics.map(([topic, qos]) => ({ topic, qos })),
    ...more,
  }),
  subscribeV5: (topics: readonly (readonly [string, number, object?])[], more: object = {}) => ({
    ...USER,
    topics: topics.map(([topic, qos, options]) => ({
      topic,
      qos,
      no_local: false,
      rap: false,
      retain_handling: 'send_retain',
      ...options,
    })),
    properties: {},
    ...more,
  }),
  unsubscribe: (topics: readonly string[], more: object = {}) => ({ ...USER, topics, ...more }),
}

/** A memory store whose listeners can be told things. */
export function watched(entries: Entries): { store: RecordStore; listeners: StoreListener[] } {
  const store = createMemoryStore(entries)
  const listeners: StoreListener[] = []
  const watch = store.watch.bind(store)
  Object.assign(store, {
    watch: (listener: StoreListener) => {
      listeners.push(listener)
      return watch(listener)
    },
  })
  return { store, listeners }
}
