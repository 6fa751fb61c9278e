import {
  type AclRecord,
  type Authorizer,
  type AuthorizerEvents,
  type AuthorizerOptions,
  type ConnectRequest,
  createAuthorizer,
  encodeRecordKey,
  type Hearing,
  type PasswordHasher,
  type RecordKey,
  type RecordStore,
  type Session,
  type StoreEvent,
  type StoreLink,
  type StoreListener,
  type WriteResult,
} from 'mqtt-warden'
import { onTestFinished } from 'vitest'

/** Both caches as they come, and so small that nothing stays in them. */
export const CACHES: readonly (readonly [string, Partial<AuthorizerOptions>])[] = [
  ['with the cache as it comes', {}],
  ['with a cache of one record', { maxRecords: 1, maxAbsent: 1 }],
]

export const keyOf = (clientId: string, username = 'u', mountpoint = ''): RecordKey => ({
  mountpoint,
  clientId,
  username,
})

/** A record of password `pw` that may publish to and subscribe the given filters. */
export const recordOf = (patterns: readonly string[] = ['a'], more: Partial<AclRecord> = {}): AclRecord => ({
  passhash: 'plain:pw',
  publishAcl: patterns.map(pattern => ({ pattern })),
  subscribeAcl: patterns.map(pattern => ({ pattern })),
  ...more,
})

export const connectOf = (clientId: string, more: Partial<ConnectRequest> = {}): ConnectRequest => ({
  clientId,
  username: 'u',
  password: 'pw',
  ...more,
})

/** Knows hashes that are the password behind `plain:`, so that tests about records need not wait for bcrypt. */
export function plainHasher(): PasswordHasher & { verified: number } {
  return {
    verified: 0,
    passhashProblem: passhash => (passhash.startsWith('plain:') ? undefined : 'is not plain'),
    async verify(password, passhash) {
      this.verified++
      return passhash === `plain:${password}`
    },
    stats: () => ({ running: 0, queued: 0 }),
    close: async () => {},
  }
}

/** A read that was sent and not answered. Holds what the store held when it was sent. */
export interface PendingRead {
  readonly clientId: string
  answer(): void
  fail(error: unknown): void
}

/** A store whose replies and news are stepped by the test. */
export class SteppedStore implements RecordStore {
  readonly semantics = 'strict'
  hears: Hearing = 'everything'
  links: () => StoreLink[] = () => []
  /** Keeps replies back in `pending`. */
  isStepped = false
  readonly pending: PendingRead[] = []
  /** Client ids of the keys of all reads so far. */
  readonly sent: string[] = []
  readonly #records = new Map<string, AclRecord>()
  readonly #listeners = new Set<StoreListener>()

  constructor(entries: Iterable<readonly [RecordKey, AclRecord]> = []) {
    for (const [key, record] of entries) this.set(key, record)
  }

  get(key: RecordKey): Promise<AclRecord | undefined> {
    const record = this.#records.get(encodeRecordKey(key))
    this.sent.push(key.clientId)
    if (!this.isStepped) return Promise.resolve(record)
    return new Promise((resolve, reject) => {
      const settle = (how: () => void) => () => {
        this.pending.splice(this.pending.indexOf(read), 1)
        how()
      }
      const read: PendingRead = {
        clientId: key.clientId,
        answer: settle(() => resolve(record)),
        fail: error => settle(() => reject(error))(),
      }
      this.pending.push(read)
    })
  }

  /** Changes what is stored, and tells nobody. */
  set(key: RecordKey, record: AclRecord | undefined): void {
    if (record === undefined) this.#records.delete(encodeRecordKey(key))
    else this.#records.set(encodeRecordKey(key), record)
  }

  /** Resolves when all who watch have finished with the event. */
  async tell(event: StoreEvent): Promise<void> {
    await Promise.all([...this.#listeners].map(listener => listener(event)))
  }

  async put(key: RecordKey, record: AclRecord): Promise<WriteResult> {
    this.set(key, record)
    await this.tell({ type: 'changed', key })
    return { digest: '', replaced: true, warnings: [] }
  }

  async delete(key: RecordKey): Promise<WriteResult> {
    this.set(key, undefined)
    await this.tell({ type: 'changed', key })
    return { digest: null, replaced: true, warnings: [] }
  }

  async *scan(): AsyncGenerator<RecordKey> {}

  watch(listener: StoreListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

/** An authorizer that knows plain hashes and holds no refusal back; closed when the test is over. */
export function authorizerOf(store: RecordStore, options: Partial<AuthorizerOptions> = {}): Authorizer {
  const authorizer = createAuthorizer({ store, hasher: plainHasher(), refusalCapMs: 0, ...options })
  onTestFinished(() => authorizer.close())
  return authorizer
}

/** Logs in and gives the session; fails the test where that is refused. */
export async function logIn(
  authorizer: Authorizer,
  clientId: string,
  more?: Partial<ConnectRequest>,
): Promise<Session> {
  const login = await authorizer.authenticate(connectOf(clientId, more))
  if (!login.allow) throw new Error(`login of ${clientId} was refused: ${login.reason}`)
  return login.session
}

/** Why a decision refuses; `undefined` when it allows. */
export function reasonOf(decision: { allow: true } | { allow: false; reason: string }): string | undefined {
  return decision.allow ? undefined : decision.reason
}

/** Why a session refuses to publish, to subscribe and to receive one name. */
export const answers = (session: Session, name: string): (string | undefined)[] => [
  reasonOf(session.authorizePublish(name)),
  reasonOf(session.authorizeSubscribe(name)),
  reasonOf(session.authorizeReceive(name)),
]
export const ALLOWED: readonly undefined[] = [undefined, undefined, undefined]
export const all = (reason: string): readonly string[] => [reason, reason, reason]

/** Everything an authorizer reports under one name from now on. */
export function heard<E extends keyof AuthorizerEvents>(authorizer: Authorizer, event: E): AuthorizerEvents[E][] {
  const events: AuthorizerEvents[E][] = []
  authorizer.on(event, payload => void events.push(payload))
  return events
}

/** Resolves when everything that does not wait for the test has been done. */
export async function idle(): Promise<void> {
  for (let turns = 0; turns < 3; turns++) await new Promise(resolve => setImmediate(resolve))
}

/** Answers reads until none is sent any more. */
export async function drain(store: SteppedStore): Promise<void> {
  for (await idle(); store.pending.length > 0; await idle()) store.pending[0]!.answer()
}
