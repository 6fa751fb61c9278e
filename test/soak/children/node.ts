import { type Authorizer, createAuthorizer, type RecordStore, type Session } from '../../../src/index.js'
import { createRedisStore } from '../../../src/redis/index.js'
import { collectCrashes, serve } from '../../faults/child.js'
import { type Client, LIMITS, PLAIN_HASHER, type Place, sharedNow, TIMES } from '../../faults/protocol.js'
import { splitTemplate } from '../../redis/support.js'
import { type Burden, CLIENTS, type Notes, type SoakCalls, versionOf } from '../protocol.js'

/** Time between two rounds of questions. */
const ROUND_MS = 5

const crashes = collectCrashes()

/** An authorizer whose clients come, go, and ask for what their records allow. */
class SoakNode {
  readonly #store: RecordStore
  readonly #authorizer: Authorizer
  readonly #sessions: Map<string, Session> = new Map()
  readonly #busy: Set<string> = new Set()
  #grants: Map<number, number> = new Map()
  #lookUps: Map<number, number> = new Map()
  /** When the authorizer looked at its clock for the last time. */
  #lookedAt = 0
  #logins = 0
  #rounds = 0
  readonly #timer: NodeJS.Timeout

  constructor(place: Place) {
    if ('cluster' in place) throw new TypeError('no soak on a Cluster')
    this.#store = createRedisStore(splitTemplate(place), TIMES)
    const clock = { now: () => (this.#lookedAt = performance.now()) }
    const limits = { ...LIMITS, refusalCapMs: 0, maxRecords: 20, maxAbsent: 20, clock }
    this.#authorizer = createAuthorizer({ store: this.#store, hasher: PLAIN_HASHER, ...limits })
    this.#authorizer.on('error', () => {})
    this.#timer = setInterval(() => this.#ask(), ROUND_MS)
  }

  ready(): Promise<void> {
    return this.#authorizer.ready()
  }

  notes(): Notes {
    const [grants, lookUps] = [[...this.#grants], [...this.#lookUps]]
    this.#grants = new Map()
    this.#lookUps = new Map()
    const held = [...this.#sessions.values()].flatMap(session => {
      const version = grantedBy(session.acl, topic => session.authorizePublish(topic).allow)
      return version === undefined ? [] : [version]
    })
    return { grants, lookUps, held, freshness: this.#authorizer.freshness(), logins: this.#logins, crashes }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#authorizer.close()
    await this.#store.close()
  }

  #ask(): void {
    for (const session of this.#sessions.values()) {
      const at = sharedNow()
      const asks = [session.authorizePublish, session.authorizeReceive, session.authorizeSubscribe] as const
      for (const ask of asks) {
        note(
          this.#grants,
          at,
          grantedBy(session.acl, topic => ask.call(session, topic).allow),
        )
      }
    }
    const client = CLIENTS[this.#rounds++ % CLIENTS.length]!
    this.#once(`log in ${client.clientId}`, () => this.#visit(client))
    this.#once(`access ${client.clientId}`, () => this.#access(client))
  }

  /** Lets a client log in that is not; now and then one that is hangs up. */
  async #visit({ clientId, username }: Client): Promise<void> {
    const present = this.#sessions.get(clientId)
    if (present !== undefined && present.revokeCause === undefined && Math.random() < 0.9) return
    present?.close()
    this.#sessions.delete(clientId)
    const login = await this.#authorizer.authenticate({ clientId, username, password: 'pw' })
    if (!login.allow) return
    this.#logins++
    this.#sessions.set(clientId, login.session)
  }

  async #access({ clientId, username }: Client): Promise<void> {
    const found = await this.#authorizer.access({ clientId, username })
    if (!found.allow) return
    const { compiled, principal } = found.access
    const version = grantedBy(compiled.acl, topic => compiled.authorizePublish(principal, topic).allow)
    // The answer of a moment ago: how long the system kept this process waiting since then says nothing of it.
    note(this.#lookUps, sharedNow() - (performance.now() - this.#lookedAt), version)
  }

  #once(name: string, act: () => Promise<void>): void {
    if (this.#busy.has(name)) return
    this.#busy.add(name)
    void act().finally(() => this.#busy.delete(name))
  }
}

function note(grants: Map<number, number>, at: number, version: number | undefined): void {
  if (version !== undefined) grants.set(version, at)
}

/** The version that a client may use. */
function grantedBy({ publishAcl }: Session['acl'], mayPublish: (topic: string) => boolean): number | undefined {
  const [rule] = publishAcl
  return rule !== undefined && mayPublish(rule.pattern) ? versionOf(rule.pattern) : undefined
}

function burden(): Burden {
  globalThis.gc!()
  return { heapBytes: process.memoryUsage().heapUsed, handles: process.getActiveResourcesInfo().length }
}

let node: SoakNode | undefined

serve<SoakCalls>({
  async open(place) {
    node = new SoakNode(place)
    await node.ready()
  },
  notes: async () => node!.notes(),
  burden: async () => burden(),
  close: async () => node?.close(),
})
