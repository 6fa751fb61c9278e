import { Redis, type RedisOptions } from 'ioredis'

/** Where a server listens. */
interface Host {
  readonly host: string
  readonly port: number
}

/** Options of ioredis that any client takes. */
type AddressOptions = Omit<RedisOptions, 'replyMapping'>

/** What a URL says: one server, or the master that sentinels name; or where to begin with a Cluster. */
export type RedisAddress =
  | { readonly kind: 'single'; readonly options: AddressOptions }
  | { readonly kind: 'cluster'; readonly nodes: readonly Host[]; readonly options: AddressOptions }

/** A URL in its parts: what it names may be several hosts, which `URL` does not read. */
const SHAPE = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/

const FORMS =
  'redis://host:6379, redis+sentinel://host:26379,host2:26379/<name of the master> or redis+cluster://host:6379'

/** Options of ioredis that the query of a URL with sentinels may set. */
const PARAMETERS: readonly string[] = ['sentinelUsername', 'sentinelPassword']

interface Parts {
  readonly hosts: string
  readonly path: string
  readonly query: string
  /** What every connection needs besides its address. */
  readonly login: AddressOptions
  readonly isTls: boolean
}

/**
 * Reads a URL: `redis://`, `redis+sentinel://` or `redis+cluster://`, each with `rediss` for TLS. Connects nowhere.
 *
 * @param what How messages call it. Anything in a URL may be secret, so they do not quote it.
 *
 * @throws TypeError
 */
export function readUrl(text: string, what: string = '"target" argument'): RedisAddress {
  const fail = (message: string): never => {
    throw new TypeError(`${what} ${message}`)
  }
  const [, scheme, kind, login = '', hosts = '', path = '', query = ''] = SHAPE.exec(text) ?? fail(`must be ${FORMS}`)
  if (kind === undefined) return { kind: 'single', options: readSingle(text, { hosts, path }, fail) }
  const parts: Parts = { hosts, path, query, login: readLogin(login, fail), isTls: scheme === 'rediss' }
  return kind === 'sentinel' ? readSentinel(parts, fail) : readCluster(parts, fail)
}

type Fail = (message: string) => never

/** Left to ioredis, which also knows what else may stand in the query. */
function readSingle(text: string, { hosts, path }: Pick<Parts, 'hosts' | 'path'>, fail: Fail): AddressOptions {
  if (hosts.includes(',')) fail('names several servers: begin it with redis+sentinel:// or redis+cluster://')
  if (!URL.canParse(text)) fail(`must be ${FORMS}`)
  // ioredis would take anything else for database 0.
  if (!/^\d*$/.test(path)) fail('must name its database by number')
  try {
    return new Redis(text, { lazyConnect: true }).options
  } catch {
    return fail('must have its user name and password percent-encoded')
  }
}

function readSentinel({ hosts, path, query, login, isTls }: Parts, fail: Fail): RedisAddress {
  const [name = '', db = '', ...rest] = path.split('/').map(part => decode(part, fail))
  if (name === '') fail('must name the master after its sentinels: redis+sentinel://host:26379/<name of the master>')
  if (!/^\d*$/.test(db) || rest.length > 0) fail('must name its database by number, after the name of the master')
  const sentinels = readHosts(hosts, 26_379, fail)
  const tls = isTls ? { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true } : {}
  const options = { sentinels, name, db: Number(db), ...login, ...tls, ...readQuery(query, fail) }
  return { kind: 'single', options }
}

function readCluster({ hosts, path, query, login, isTls }: Parts, fail: Fail): RedisAddress {
  if (!/^0?$/.test(path)) fail('must not name a database: a Cluster has database 0 alone')
  if (query !== '') fail('must not have parameters: a Cluster has none')
  return { kind: 'cluster', nodes: readHosts(hosts, 6379, fail), options: { ...login, ...(isTls && { tls: {} }) } }
}

function readLogin(text: string, fail: Fail): AddressOptions {
  const [, username = '', password] = /^([^:]*)(?::(.*))?$/s.exec(text)!
  return {
    ...(username !== '' && { username: decode(username, fail) }),
    ...(password !== undefined && { password: decode(password, fail) }),
  }
}

function readHosts(text: string, defaultPort: number, fail: Fail): Host[] {
  return text.split(',').map(host => {
    const [, bracketed, plain, port = String(defaultPort)] =
      /^(?:\[([\da-f:.]+)\]|([^:[\]\s]+))(?::(\d+))?$/i.exec(host) ?? []
    const name = bracketed ?? plain
    if (name === undefined || Number(port) < 1 || Number(port) > 65_535) {
      return fail('must list its hosts as host:port, with commas between them')
    }
    return { host: name, port: Number(port) }
  })
}

function readQuery(text: string, fail: Fail): AddressOptions {
  const parameters = new URLSearchParams(text)
  for (const name of parameters.keys()) {
    if (!PARAMETERS.includes(name)) fail(`may have no other parameters than ${PARAMETERS.join(' and ')}`)
  }
  return Object.fromEntries(parameters)
}

function decode(text: string, fail: Fail): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return fail('must have its user name and password percent-encoded')
  }
}
