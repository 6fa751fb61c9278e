import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A session of the fake broker, connected or not. */
export interface FakeSession {
  readonly node: FakeNode
  readonly mountpoint: string
  readonly clientId: string
  readonly username: string
  readonly isPersistent: boolean
  isOnline: boolean
  /** Filters it has subscribed to. */
  readonly subscriptions: Set<string>
}

/** One administrative call, as it came in. */
export interface FakeCall {
  readonly node: string
  readonly path: string
  readonly key: string
}

export interface FakeClient {
  readonly mountpoint?: string
  readonly clientId: string
  readonly username: string
}

type Answer = { readonly status: number; readonly json: unknown }

const DONE: Answer = { status: 200, json: { text: 'Done', type: 'text' } }
const BAD: Answer = { status: 400, json: 'invalid_request_error' }

/**
 * A VerneMQ cluster as far as webhooks and administration go: it asks endpoints, keeps their grants in a cache per node,
 * and is administered over HTTP with all the peculiarities of the real one.
 */
export class FakeVernemq {
  readonly nodes: FakeNode[] = []
  readonly sessions: Map<string, FakeSession> = new Map()
  readonly calls: FakeCall[] = []
  /** Nodes that are in the cluster and were not told to anybody. */
  hiddenNodes = 0

  static async start(endpoints: readonly string[]): Promise<FakeVernemq> {
    const cluster = new FakeVernemq()
    for (const [index, endpoint] of endpoints.entries()) {
      const node = new FakeNode(`node${index + 1}`, cluster, endpoint)
      await node.listen()
      cluster.nodes.push(node)
    }
    return cluster
  }

  get origins(): string[] {
    return this.nodes.map(({ origin }) => origin)
  }

  session(clientId: string, mountpoint = ''): FakeSession | undefined {
    return this.sessions.get(JSON.stringify([mountpoint, clientId]))
  }

  isOnline(clientId: string): boolean {
    return this.session(clientId)?.isOnline === true
  }

  /** Calls to a command, e.g. `session/disconnect`. */
  callsOf(command: string): FakeCall[] {
    return this.calls.filter(({ path }) => path.startsWith(`/api/v1/${command}?`) || path === `/api/v1/${command}`)
  }

  cut(session: FakeSession, cleanup: boolean): void {
    session.isOnline = false
    if (cleanup || !session.isPersistent) {
      this.sessions.delete(JSON.stringify([session.mountpoint, session.clientId]))
    }
  }

  async close(): Promise<void> {
    for (const node of this.nodes) await node.stop()
  }
}

/** What a node is asked to do instead of answering. */
export type Interception = (call: FakeCall) => 'hang' | 'fail' | undefined

export class FakeNode {
  readonly name: string
  endpoint: string
  origin = ''
  /** Webhook answers by their arguments. */
  readonly cache: Map<string, { readonly body: string; readonly until: number }> = new Map()
  intercept: Interception = () => undefined
  readonly #cluster: FakeVernemq
  #server: Server | undefined
  #port = 0

  constructor(name: string, cluster: FakeVernemq, endpoint: string) {
    this.name = name
    this.#cluster = cluster
    this.endpoint = endpoint
  }

  async listen(): Promise<void> {
    this.#server = createServer((req, res) => this.#serve(req, res))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
    this.origin = `http://127.0.0.1:${this.#port}`
  }

  /** The administration goes out of reach; the node goes on otherwise. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    server?.closeAllConnections()
    if (server !== undefined) await new Promise(resolve => server.close(resolve))
  }

  /** CONNECT; whether it was granted. */
  async connect(client: FakeClient, password = 'p1', isPersistent = false): Promise<boolean> {
    const { mountpoint = '', clientId, username } = client
    const body = {
      peer_addr: '127.0.0.1',
      peer_port: 1_024,
      ...{ mountpoint, client_id: clientId, username, password },
      clean_session: !isPersistent,
    }
    if (!(await this.#isGranted('auth_on_register', body))) return false
    const text = JSON.stringify([mountpoint, clientId])
    const kept = isPersistent ? this.#cluster.sessions.get(text)?.subscriptions : undefined
    const subscriptions = new Set(kept)
    this.#cluster.sessions.set(text, {
      node: this,
      ...{ mountpoint, clientId, username, isPersistent, subscriptions },
      isOnline: true,
    })
    return true
  }

  /** PUBLISH; whether it was granted. A session that is gone publishes nothing. */
  async publish(client: FakeClient, topic: string, payload = ''): Promise<boolean> {
    const { mountpoint = '', clientId, username } = client
    if (this.#cluster.session(clientId, mountpoint)?.isOnline !== true) return false
    const body = { username, mountpoint, client_id: clientId, qos: 0, topic, payload, retain: false }
    return this.#isGranted('auth_on_publish', body)
  }

  /** SUBSCRIBE to one filter; whether it was granted. */
  async subscribe(client: FakeClient, filter: string): Promise<boolean> {
    const session = this.#cluster.session(client.clientId, client.mountpoint)
    if (session?.isOnline !== true || !(await this.#maySubscribe(session, filter))) return false
    session.subscriptions.add(filter)
    return true
  }

  #maySubscribe({ username, mountpoint, clientId }: FakeSession, filter: string): Promise<boolean> {
    const body = { username, mountpoint, client_id: clientId, topics: [{ topic: filter, qos: 0 }] }
    return this.#isGranted('auth_on_subscribe', body)
  }

  /** Asks the endpoint, or the cache: whose key holds neither payload nor port. */
  async #isGranted(hook: string, body: object): Promise<boolean> {
    const { payload: _payload, peer_port: _port, ...key } = body as Record<string, unknown>
    const text = JSON.stringify([hook, key])
    const cached = this.cache.get(text)
    if (cached !== undefined && performance.now() < cached.until) return isOk(cached.body)
    this.cache.delete(text)
    const response = await fetch(this.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'vernemq-hook': hook },
      body: JSON.stringify(body),
    }).catch(() => undefined)
    if (response?.status !== 200) return false
    const answer = await response.text()
    const seconds = /max-age=(\d+)/.exec(response.headers.get('cache-control') ?? '')?.[1]
    if (isOk(answer) && seconds !== undefined) this.store(text, answer, Number(seconds))
    return isOk(answer)
  }

  /** Takes an answer into the cache, however late. */
  store(text: string, body: string, seconds: number): void {
    this.cache.set(text, { body, until: performance.now() + seconds * 1_000 })
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    const [, secret = ''] = /^Basic (.*)$/.exec(req.headers.authorization ?? '') ?? []
    const key = Buffer.from(secret, 'base64').toString().replace(/:$/, '')
    const call = { node: this.name, path: req.url ?? '', key }
    this.#cluster.calls.push(call)
    const what = this.intercept(call)
    if (what === 'hang') return
    const reply = (status: number, json: unknown) => {
      res.writeHead(status, { 'content-type': 'application/json' })
      res.end(JSON.stringify(json))
    }
    if (what === 'fail') reply(500, 'failed')
    else if (!key.startsWith('key-')) reply(401, 'unauthorized')
    else {
      const url = new URL(call.path, this.origin)
      const work = url.pathname.startsWith('/api/v2/') ? this.#v2(url) : this.#v1(url)
      void work.then(({ status, json }) => reply(status, json))
    }
  }

  async #v1(url: URL): Promise<Answer> {
    const command = url.pathname.slice('/api/v1/'.length)
    const args = new Map<string, string>()
    for (const [name, value] of url.searchParams) {
      // A key with a value is split at every `=`; at the ends they vanish.
      const parts = `${name}=${value}`.split('=').filter(part => part !== '')
      if (!name.startsWith('--') && parts.length !== 2) return BAD
      args.set(name, name.startsWith('--') ? value : parts[1]!)
    }
    switch (command) {
      case 'webhooks/cache/clear':
        this.cache.clear()
        return DONE
      case 'cluster/show': {
        const names = [...this.#cluster.nodes.map(({ name }) => name), ...Array(this.#cluster.hiddenNodes).fill('x')]
        return { status: 200, json: { table: names.map(Node => ({ Node, Running: true })), type: 'table' } }
      }
      case 'session/disconnect':
        return this.#disconnect(args)
      case 'session/reauthorize':
        return this.#reauthorize(args)
      case 'session/show':
        return this.#show(args)
      default:
        return { status: 200, json: { alert: [{ text: 'usage' }], type: 'alert' } }
    }
  }

  #disconnect(args: ReadonlyMap<string, string>): Answer {
    const clientId = args.get('client-id') ?? ''
    // Pasted into a query: a quotation mark ends the text there.
    if (/["\\]|[^ -~]/.test(clientId)) return { status: 500, json: 'query_error' }
    const session = this.#cluster.session(clientId, args.get('--mountpoint'))
    if (session !== undefined) this.#cluster.cut(session, args.has('--cleanup'))
    return DONE
  }

  async #reauthorize(args: ReadonlyMap<string, string>): Promise<Answer> {
    const session = this.#cluster.session(args.get('client-id') ?? '', args.get('--mountpoint'))
    if (session === undefined || session.username !== args.get('username')) {
      return { status: 200, json: { text: 'Unchanged', type: 'text' } }
    }
    for (const filter of [...session.subscriptions]) {
      if (!(await this.#maySubscribe(session, filter))) session.subscriptions.delete(filter)
    }
    return DONE
  }

  #show(args: ReadonlyMap<string, string>): Answer {
    const where = [...args].filter(([name, value]) => value !== '' && !['--limit', '--rowtimeout'].includes(name))
    const table = [...this.#cluster.sessions.values()]
      .map(({ clientId, mountpoint, username, isOnline }) => ({
        client_id: clientId,
        mountpoint,
        ...(isOnline && { user: username }),
      }))
      // A value that looks like a number is compared as one, and text is none.
      .filter(row => where.every(([name, value]) => !/^\d+$/.test(value) && row[name.slice(2) as 'user'] === value))
    return { status: 200, json: { table: table.slice(0, Number(args.get('--limit') ?? 100)), type: 'table' } }
  }

  async #v2(url: URL): Promise<Answer> {
    if (url.pathname !== '/api/v2/disconnect') return BAD
    // The mountpoint comes in the wrong type and finds nothing.
    if (url.searchParams.has('mountpoint')) return { status: 200, json: 'unknown' }
    const session = this.#cluster.session(url.searchParams.get('client_id') ?? '')
    if (session === undefined) return { status: 200, json: 'unknown' }
    this.#cluster.cut(session, url.searchParams.has('cleanup'))
    return { status: 200, json: 'ok' }
  }
}

function isOk(body: string): boolean {
  return (JSON.parse(body) as { result?: unknown }).result === 'ok'
}
