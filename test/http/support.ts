import { onTestFinished } from 'vitest'
import type { Authorizer, AuthorizerOptions, DeniedEvent } from '../../src/authorizer/index.js'
import { createAuthorizer } from '../../src/authorizer/index.js'
import type { HttpHandler } from '../../src/http/index.js'
import type { PasswordHasher } from '../../src/password/index.js'
import type { AclRecord, RecordKey } from '../../src/record/index.js'
import { createMemoryStore, type RecordStore } from '../../src/store/index.js'

/** Knows hashes that are the password behind `plain:`, so that tests about contracts need not wait for bcrypt. */
export const plainHasher: PasswordHasher = {
  passhashProblem: passhash => (passhash.startsWith('plain:') ? undefined : 'is not plain'),
  verify: async (password, passhash) => passhash === `plain:${password}`,
  stats: () => ({ running: 0, waiting: 0, queued: 0 }),
  close: async () => {},
}

const keyOf = (clientId: string, username: string, mountpoint = ''): RecordKey => ({ mountpoint, clientId, username })

/** The accounts that the tests of every broker share. */
export const RECORDS: readonly (readonly [RecordKey, AclRecord])[] = [
  [
    keyOf('pump-1', 'plant'),
    {
      passhash: 'plain:pw',
      publishAcl: [
        { pattern: 'state/%c/#' },
        { pattern: 'quiet', maxQos: 0 },
        { pattern: 'fleeting', allowedRetain: false },
        { pattern: 'small', maxPayloadSize: 10 },
        { pattern: 'moved', modifiers: { topic: 'elsewhere' } },
        { pattern: '$plant/x' },
      ],
      subscribeAcl: [
        { pattern: 'command/%c/+' },
        { pattern: 'news/#' },
        { pattern: 'slow', maxQos: 0 },
        { pattern: 'swapped', modifiers: [{ filter: 'other', qos: 0 }] },
      ],
    },
  ],
  [
    keyOf('*', 'guests'),
    { passhash: 'plain:guest', publishAcl: [{ pattern: 'guest/%c' }], subscribeAcl: [{ pattern: '#' }] },
  ],
  [
    keyOf('brief', 'plant'),
    { passhash: 'plain:pw', publishAcl: [], subscribeAcl: [], expiresAt: Math.floor(Date.now() / 1_000) + 3_600 },
  ],
  [
    keyOf('pump-1', 'plant', 'factory'),
    { passhash: 'plain:factory', publishAcl: [{ pattern: 'f' }], subscribeAcl: [] },
  ],
]

export interface Scene {
  readonly authorizer: Authorizer
  readonly store: RecordStore
  readonly denied: DeniedEvent[]
}

/** An authorizer over {@link RECORDS}, and every refusal it reports. */
export function setScene(options: Partial<AuthorizerOptions> = {}): Scene {
  const store = options.store ?? createMemoryStore(RECORDS)
  const authorizer = createAuthorizer({ hasher: plainHasher, refusalCapMs: 0, ...options, store })
  const denied: DeniedEvent[] = []
  authorizer.on('denied', event => denied.push(event))
  authorizer.on('error', () => {})
  onTestFinished(() => authorizer.close())
  return { authorizer, store, denied }
}

/** A store of which nothing can be read. */
export function brokenStore(): RecordStore {
  const store = createMemoryStore()
  return Object.assign(Object.create(store) as RecordStore, {
    semantics: 'strict',
    get: () => Promise.reject(new Error('down')),
    getStored: () => Promise.reject(new Error('down')),
    watch: (listener: Parameters<RecordStore['watch']>[0]) => store.watch(listener),
  })
}

export interface Answer {
  readonly status: number
  readonly body: string
  readonly type: string | null
}

type Values = Readonly<Record<string, unknown>>

const form = (fields: Values): string => new URLSearchParams(fields as Record<string, string>).toString()

/** The ways in which brokers send fields, by name. */
export const ENCODINGS = {
  'POST with JSON': fields => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fields),
  }),
  'POST with a form': fields => ({
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    body: form(fields),
  }),
  'GET with a query': fields => ({ method: 'GET', query: form(fields) }),
  'PUT with JSON': fields => ({
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fields),
  }),
} satisfies Record<string, (fields: Values) => RequestInit & { query?: string }>

export type Encoding = keyof typeof ENCODINGS

/** Asks a handler as its broker would. */
export async function ask(
  handler: HttpHandler,
  call: string,
  fields: Values,
  encoding: Encoding = 'POST with JSON',
): Promise<Answer> {
  const { query = '', ...init }: RequestInit & { query?: string } = ENCODINGS[encoding](fields)
  const response = await handler.fetch(new Request(`http://host/${call}?${query}`, init))
  return { status: response.status, body: await response.text(), type: response.headers.get('content-type') }
}
