import { quote, VernemqAdminFailed } from '../errors.js'
import { checkNames, integerOption } from '../options.js'
import type { VernemqAdmin, VernemqClient, VernemqSession } from './types.js'

/** Options of {@link createVernemqAdmin}. */
export interface VernemqAdminOptions {
  /**
   * Origin of the HTTP listener of *every* node of the cluster, e.g. `http://10.0.0.1:8888`: a webhook cache can be
   * emptied by its own node only. 1 to 256.
   */
  readonly nodes: readonly string[]
  /**
   * API key with the scopes `mgmt` and `api2` (`vmq-admin api-key create`; keys are known to the whole cluster). The
   * second is needed for client ids that the older interface cannot name.
   */
  readonly apiKey: string
  /**
   * Longest wait for one answer of one node, in milliseconds, 100 to 60,000.
   *
   * @default 5_000
   */
  readonly timeoutMs?: number
  /**
   * Most sessions a list may have; beyond it the list is refused, since it would be cut. 1 to 1,000,000. For more than
   * some 300,000, `maxAnswerBytes` has to be raised as well.
   *
   * @default 100_000
   */
  readonly maxSessions?: number
  /**
   * Most bytes of one answer of one node; of a longer one the rest is not read, and the call fails. The longest answer
   * is the list of sessions, with some 100 bytes and the names of its client for each. The other nodes are asked then, as
   * after any answer that cannot be used. 1,024 to 536,870,888, the longest text there can be.
   *
   * @default 67_108_864 (64 MiB)
   */
  readonly maxAnswerBytes?: number
  /** Makes the HTTP calls, e.g. with a client certificate. @default the global `fetch` */
  readonly fetch?: typeof fetch
}

const NAMES: ReadonlySet<string> = new Set(['nodes', 'apiKey', 'timeoutMs', 'maxSessions', 'maxAnswerBytes', 'fetch'])

const MAX_ANSWER_BYTES = { fallback: 67_108_864, min: 1_024, max: 536_870_888 }

/** Longest wait of VerneMQ for one row of a list, in milliseconds: by default it drops rows after 100. */
const ROW_TIMEOUT_MS = 5_000

/**
 * Makes a client of VerneMQ's HTTP administration (`/api/v1` and `/api/v2` of its `http` listener).
 *
 * VerneMQ pastes what it is given into a query, splits arguments at `=`, and does so byte by byte. Client ids that
 * would not survive that (`"`, `=`, `\`, and all beyond printable ASCII) go through the second interface, which knows
 * the default mountpoint only; such a client on another mountpoint cannot be named at all, and the call fails for good.
 *
 * Exported from `mqtt-warden/vernemq`.
 *
 * @example
 * ```ts
 * const admin = createVernemqAdmin({ nodes: ['http://10.0.0.1:8888', 'http://10.0.0.2:8888'], apiKey })
 * await admin.disconnect({ mountpoint: '', clientId: '1528361231' })
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createVernemqAdmin(options: VernemqAdminOptions): VernemqAdmin {
  return new HttpAdmin(options)
}

class HttpAdmin implements VernemqAdmin {
  readonly nodes: readonly string[]
  readonly timeoutMs: number
  readonly #maxSessions: number
  readonly #maxAnswerBytes: number
  readonly #authorization: string
  readonly #fetch: typeof fetch
  /** Node that answered last: asked first the next time. */
  #preferred = 0

  constructor(options: VernemqAdminOptions) {
    checkNames(options, NAMES, 'createVernemqAdmin')
    this.nodes = checkNodes(options.nodes)
    this.timeoutMs = integerOption(options, 'timeoutMs', { fallback: 5_000, min: 100, max: 60_000 })
    this.#maxSessions = integerOption(options, 'maxSessions', { fallback: 100_000, min: 1, max: 1_000_000 })
    this.#maxAnswerBytes = integerOption(options, 'maxAnswerBytes', MAX_ANSWER_BYTES)
    const { apiKey, fetch: ask = fetch } = options
    if (typeof apiKey !== 'string' || !/^[\x21-\x39\x3b-\x7e]+$/.test(apiKey)) {
      throw new TypeError('"apiKey" option must be printable ASCII without ":"')
    }
    if (typeof ask !== 'function') throw new TypeError('"fetch" option must be a function')
    this.#authorization = `Basic ${Buffer.from(`${apiKey}:`).toString('base64')}`
    this.#fetch = ask
  }

  async clearCache(node: string): Promise<void> {
    await this.#command(node, 'webhooks/cache/clear', [])
  }

  async clusterSize(node: string): Promise<number> {
    const { table } = await this.#command(node, 'cluster/show', [])
    if (!Array.isArray(table)) throw new VernemqAdminFailed('the list of nodes is none', { node })
    return table.length
  }

  async disconnect(client: VernemqClient, { cleanup = false }: { readonly cleanup?: boolean } = {}): Promise<void> {
    const { mountpoint, clientId } = client
    if (isPlain(clientId) && isPlain(mountpoint)) {
      const flags = [...mountpointFlag(mountpoint), ...(cleanup ? ['--cleanup'] : [])]
      await this.#onAny(node => this.#command(node, 'session/disconnect', [pair('client-id', clientId), ...flags]))
      return
    }
    if (mountpoint !== '') throw unnameable(client)
    const query = [pair('client_id', clientId), ...(cleanup ? ['cleanup'] : [])]
    await this.#onAny(node => this.#disconnectV2(node, query))
  }

  async reauthorize(client: VernemqClient & { readonly username: string }): Promise<void> {
    const { mountpoint, clientId, username } = client
    if (!isPlain(clientId) || !isPlain(username) || !isPlain(mountpoint)) throw unnameable(client)
    const query = [pair('username', username), pair('client-id', clientId), ...mountpointFlag(mountpoint)]
    await this.#onAny(node => this.#command(node, 'session/reauthorize', query))
  }

  async sessions(of?: { readonly mountpoint: string; readonly username: string }): Promise<readonly VernemqSession[]> {
    const isFiltered = of !== undefined && isFilterable(of.username)
    const limits = [`--limit=${this.#maxSessions}`, `--rowtimeout=${ROW_TIMEOUT_MS}`]
    const user = isFiltered ? pair('--user', of.username) : '--user'
    const query = ['--client_id', '--mountpoint', user, ...limits]
    const sessions = await this.#onAny(async node => {
      const { table = [] } = await this.#command(node, 'session/show', query)
      if (!Array.isArray(table)) throw new VernemqAdminFailed('the list of sessions is none', { node })
      if (table.length < this.#maxSessions)
        return table.map(row => toSession(row, node, isFiltered ? of.username : undefined))
      const problem = `there are more than "maxSessions" (${this.#maxSessions}) sessions`
      throw new VernemqAdminFailed(problem, { isPermanent: true })
    })
    if (of === undefined) return sessions
    return sessions.filter(({ mountpoint, username }) => mountpoint === of.mountpoint && username === of.username)
  }

  /** Runs a call that any node can carry out on one after the other until one has. */
  async #onAny<T>(call: (node: string) => Promise<T>): Promise<T> {
    let failure: unknown
    const first = this.#preferred
    for (let offset = 0; offset < this.nodes.length; offset++) {
      const index = (first + offset) % this.nodes.length
      try {
        const result = await call(this.nodes[index]!)
        this.#preferred = index
        return result
      } catch (error) {
        if (error instanceof VernemqAdminFailed && error.isPermanent) throw error
        failure = error
      }
    }
    throw failure
  }

  async #command(node: string, words: string, query: readonly string[]): Promise<Record<string, unknown>> {
    const answer = await this.#get(node, `/api/v1/${words}${query.length > 0 ? `?${query.join('&')}` : ''}`)
    if (typeof answer !== 'object' || answer === null) throw new VernemqAdminFailed('the answer is no object', { node })
    const { type } = answer as { type?: unknown }
    if (type === 'alert') throw new VernemqAdminFailed(`${words} was not understood`, { node, isPermanent: true })
    return answer as Record<string, unknown>
  }

  async #disconnectV2(node: string, query: readonly string[]): Promise<void> {
    const answer = await this.#get(node, `/api/v2/disconnect?${query.join('&')}`)
    if (answer !== 'ok' && answer !== 'unknown' && answer !== 'not_found') {
      throw new VernemqAdminFailed('the session could not be reached', { node })
    }
  }

  async #get(node: string, path: string): Promise<unknown> {
    const what = path.replace(/\?.*/s, '')
    let response: Response
    let text: string | undefined
    try {
      response = await this.#fetch(node + path, {
        headers: { authorization: this.#authorization, accept: 'application/json' },
        signal: AbortSignal.timeout(this.timeoutMs),
        redirect: 'error',
      })
      text = await readText(response, this.#maxAnswerBytes)
    } catch (cause) {
      throw new VernemqAdminFailed(`${what} got no answer: ${reasonOf(cause)}`, { node, cause })
    }
    if (text === undefined) {
      const bound = `"maxAnswerBytes" (${this.#maxAnswerBytes})`
      throw new VernemqAdminFailed(`${what} answered more than ${bound} bytes`, { node })
    }
    if (response.status !== 200) throw new VernemqAdminFailed(`${what} answered ${response.status}`, { node })
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new VernemqAdminFailed(`${what} answered no JSON`, { node, cause })
    }
  }
}

/** The body as text; `undefined`, with the rest left unread, where it is too long. */
async function readText({ body }: Response, maxBytes: number): Promise<string | undefined> {
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop cancels what is left.
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) return undefined
    chunks.push(chunk)
  }
  return new TextDecoder().decode(Buffer.concat(chunks))
}

/** `fetch` says only that it failed, and keeps why as the cause, which may have no words but a code. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause, message, name, code } = error as Error & { code?: unknown }
  return cause instanceof Error ? reasonOf(cause) : message || String(code ?? name)
}

function checkNodes(nodes: unknown): readonly string[] {
  const problem = new TypeError('"nodes" option must be 1 to 256 origins, e.g. "http://10.0.0.1:8888", each once')
  if (!Array.isArray(nodes) || nodes.length < 1 || nodes.length > 256) throw problem
  const origins = nodes.map(node => {
    const url = typeof node === 'string' && URL.canParse(node) ? new URL(node) : undefined
    if (url === undefined || !/^https?:$/.test(url.protocol)) throw problem
    if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') throw problem
    return url.origin
  })
  if (new Set(origins).size !== origins.length) throw problem
  return origins
}

/** Printable ASCII but `"`, `=` and `\`: what the command line behind `/api/v1` passes on unharmed. */
function isPlain(text: string): boolean {
  return /^[ !#-<>-[\]-~]*$/.test(text)
}

/** Whether a user name can stand in a query: what looks like a number or a truth value is compared as such there. */
function isFilterable(username: string): boolean {
  return username !== '' && isPlain(username) && !/^(?:[+-]?\d+|true|false)$/.test(username)
}

function pair(name: string, value: string): string {
  return `${name}=${encodeURIComponent(value)}`
}

function mountpointFlag(mountpoint: string): readonly string[] {
  return mountpoint === '' ? [] : [pair('--mountpoint', mountpoint)]
}

function unnameable({ mountpoint, clientId }: VernemqClient): VernemqAdminFailed {
  const client = `client ${quote(clientId)}${mountpoint === '' ? '' : ` of mountpoint ${quote(mountpoint)}`}`
  return new VernemqAdminFailed(`${client} cannot be named to VerneMQ`, { isPermanent: true })
}

/** VerneMQ's tables hold text; what is empty there may come as an empty list. */
function toSession(row: unknown, node: string, username: string | undefined): VernemqSession {
  const { client_id: clientId, mountpoint, user } = (row ?? {}) as Record<string, unknown>
  if (typeof clientId !== 'string') throw new VernemqAdminFailed('a session has no client id', { node })
  const known = typeof user === 'string' && user !== 'undefined' ? user : undefined
  return { clientId, mountpoint: typeof mountpoint === 'string' ? mountpoint : '', username: username ?? known }
}
