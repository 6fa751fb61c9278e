import { Cluster } from 'ioredis'
import {
  type AclRecord,
  type Authorizer,
  createAuthorizer,
  type RecordKey,
  type RecordStore,
  type Session,
} from '../../../src/index.js'
import { createRedisStore } from '../../../src/redis/index.js'
import { splitTemplate } from '../../redis/support.js'
import { collectCrashes, serve } from '../child.js'
import {
  CLIENTS,
  type Client,
  type ClusterPlace,
  FRESH,
  LIMITS,
  NARROWED,
  type NodeCalls,
  PLAIN_HASHER,
  type Place,
  type Report,
  RIGHT,
  type Seen,
  sharedNow,
  TIMES,
} from '../protocol.js'

/** Time between two rounds of questions. */
const ROUND_MS = 2

const crashes = collectCrashes()

/** An authorizer with live sessions that is asked all the time for what they may do. */
class Node {
  readonly #store: RecordStore
  readonly #authorizer: Authorizer
  readonly #sessions: Session[] = []
  readonly #seen: Map<string, { -readonly [K in keyof Seen]: Seen[K] }> = new Map()
  /** Questions that were not answered yet: each is asked again only when it was. */
  readonly #asked: Map<string, Promise<void>> = new Map()
  readonly #disconnect: () => void
  #recoveredAt: number | undefined
  #slowestMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(place: Place) {
    const target = 'cluster' in place ? clusterTemplate(place) : splitTemplate(place)
    this.#disconnect = () => target instanceof Cluster && target.disconnect()
    this.#store = createRedisStore(target, TIMES)
    this.#authorizer = createAuthorizer({ store: this.#store, hasher: PLAIN_HASHER, refusalCapMs: 0, ...LIMITS })
    this.#authorizer.on('error', () => {})
  }

  async open(): Promise<void> {
    await this.#authorizer.ready()
    for (const { clientId, username } of CLIENTS) {
      const login = await this.#authorizer.authenticate({ clientId, username, password: 'pw' })
      // A node that comes late finds rights revoked.
      if (login.allow) this.#sessions.push(login.session)
    }
    const ask = (): void => {
      this.#ask()
      this.#timer = setTimeout(ask, ROUND_MS)
    }
    ask()
  }

  report(): Report {
    return {
      seen: [...this.#seen.values()],
      freshness: this.#authorizer.freshness(),
      recoveredAt: this.#recoveredAt,
      slowestMs: this.#slowestMs,
      crashes,
    }
  }

  async put(key: RecordKey, record: AclRecord): Promise<string> {
    return this.#store.put(key, record).then(
      () => 'written',
      (error: Error) => error.name,
    )
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await Promise.all(this.#asked.values())
    await this.#authorizer.close()
    await this.#store.close()
    this.#disconnect()
  }

  #ask(): void {
    for (const session of this.#sessions) {
      const { clientId } = session.principal
      for (const [topic, isFresh] of [
        [RIGHT, false],
        [FRESH, true],
      ] as const) {
        // A session that was revoked stays so; who logs in again has the fresh right.
        if (isFresh && (session.revokeCause !== undefined || clientId !== NARROWED.clientId)) continue
        this.#note(`${clientId} publish ${topic}`, sharedNow(), session.authorizePublish(topic).allow)
        this.#note(`${clientId} subscribe ${topic}`, sharedNow(), session.authorizeSubscribe(topic).allow)
        this.#note(`${clientId} receive ${topic}`, sharedNow(), session.authorizeReceive(topic).allow)
      }
    }
    for (const client of CLIENTS) {
      this.#askLater(`${client.clientId} access`, () => this.#access(client))
      this.#askLater(`${client.clientId} login`, () => this.#logIn(client))
    }
    const fresh = [...this.#seen.values()].filter(({ path }) => path.endsWith(FRESH) && !this.#isOver(path))
    const isWell = fresh.every(({ isGranted }) => isGranted) && this.#authorizer.freshness().state === 'live'
    this.#recoveredAt = isWell ? (this.#recoveredAt ?? sharedNow()) : undefined
  }

  /** Whether a path is one of a session that was revoked. */
  #isOver(path: string): boolean {
    const isLogin = path.includes(' access ') || path.includes(' login ')
    return (
      !isLogin &&
      this.#sessions.some(
        ({ principal, revokeCause }) => path.startsWith(principal.clientId) && revokeCause !== undefined,
      )
    )
  }

  async #access({ clientId, username }: Client): Promise<readonly string[]> {
    const principal = { mountpoint: '', clientId, username }
    const topics = [RIGHT, FRESH]
    const decisions = await Promise.all(topics.map(topic => this.#authorizer.authorizePublish(principal, topic)))
    return topics.filter((_, at) => decisions[at]!.allow)
  }

  async #logIn({ clientId, username }: Client): Promise<readonly string[]> {
    const login = await this.#authorizer.verify({ clientId, username, password: 'pw' })
    if (!login.allow) return []
    const { principal, compiled } = login.access
    return [RIGHT, FRESH].filter(topic => compiled.authorizePublish(principal, topic).allow)
  }

  #askLater(path: string, ask: () => Promise<readonly string[]>): void {
    if (this.#asked.has(path)) return
    const since = performance.now()
    const answered = ask().then(granted => {
      this.#asked.delete(path)
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - since)
      this.#note(`${path} ${RIGHT}`, sharedNow(), granted.includes(RIGHT))
      if (path.startsWith(NARROWED.clientId)) this.#note(`${path} ${FRESH}`, sharedNow(), granted.includes(FRESH))
    })
    this.#asked.set(path, answered)
  }

  /** @param at A moment that is not later than the decision: what delays the note does not count against it. */
  #note(path: string, at: number, isGranted: boolean): void {
    const seen = this.#seen.get(path) ?? { path, grants: 0, grantedAt: 0, isGranted }
    seen.isGranted = isGranted
    if (isGranted) {
      seen.grants++
      seen.grantedAt = at
    }
    this.#seen.set(path, seen)
  }
}

function clusterTemplate({ cluster, instead = {} }: ClusterPlace): Cluster {
  const at = (port: number) => ({ host: '127.0.0.1', port })
  const natMap = Object.fromEntries(Object.entries(instead).map(([known, port]) => [`127.0.0.1:${known}`, at(port)]))
  return new Cluster(cluster.map(at), { lazyConnect: true, natMap })
}

let node: Node | undefined

serve<NodeCalls>({
  async open(place) {
    crashes.length = 0
    node = new Node(place)
    await node.open()
  },
  report: async () => node!.report(),
  put: async (key, record) => node!.put(key, record),
  async close() {
    await node?.close()
    node = undefined
  },
})
