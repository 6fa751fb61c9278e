import { type Finding, found, ok } from './findings.js'
import type { RecordServer } from './nodes.js'

type ServerKind = RecordServer['kind']

/** What a server tells of itself, by name. */
type ServerInfo = ReadonlyMap<string, string>

/** Oldest version of Redis that has all that the store uses. */
const OLDEST = [6, 2] as const

/** Seconds without a sign of life after which a replica counts as one that lags: as in `min-replicas-max-lag`. */
const MAX_LAG_S = 10

/** What the reply to INFO says of a server, for a store that takes it for a Cluster's, a sentinels' or a single one. */
export function checkInfo(text: string, kind: ServerKind): Finding[] {
  const info = readInfo(text)
  return [checkVersion(info), checkTopology(info, kind), ...checkReplicas(info, kind), checkEviction(info)]
}

/** Reads the reply to INFO. */
function readInfo(text: string): ServerInfo {
  const fields = text.split(/\r?\n/).flatMap(line => {
    const colon = line.indexOf(':')
    return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
  })
  return new Map(fields)
}

/** What stands in for findings where the user may not run INFO. */
export function withoutInfo(): Finding[] {
  return (['version', 'topology', 'eviction'] as const).map(check => {
    return found(check, 'info', 'not known: the user may not run INFO', 'grant +info')
  })
}

/** Valkey passes for a Redis of the version it comes from, 7.2, and has a version of its own besides. */
function checkVersion(info: ServerInfo): Finding {
  const version = info.get('redis_version')
  const valkey = info.get('valkey_version')
  if (valkey !== undefined) return ok('version', `valkey ${valkey}`)
  if (version === undefined) return found('version', 'info', 'not known: the server does not tell')
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return ok('version', `redis ${version}`)
  return found('version', 'failed', `redis ${version} is too old`, `upgrade to redis ${OLDEST.join('.')} or later`)
}

/** What the server is to others. */
function checkTopology(info: ServerInfo, kind: ServerKind): Finding {
  if (info.get('redis_mode') === 'sentinel') {
    const remedy = 'name the master that it watches: redis+sentinel://host:port/<name of the master>'
    return found('topology', 'failed', 'is a sentinel, and has no records', remedy)
  }
  if (info.get('role') === 'slave') {
    const remedy = 'name the master, or the sentinels that know it'
    return found('topology', 'failed', 'is a replica: it lags, and takes no writes', remedy)
  }
  if (kind !== 'cluster' && info.get('cluster_enabled') === '1') {
    const remedy = 'name the Cluster: redis+cluster://host:port'
    return found('topology', 'failed', 'is one of a Cluster, and has a part of the records only', remedy)
  }
  const replicas = Number(info.get('connected_slaves') ?? 0)
  const text = `master with ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`
  // Told only while the option is in force.
  if (kind === 'sentinel' && !info.has('min_slaves_good_slaves')) {
    const message = `${text}; what is written to a master that a split has cut off is lost`
    return found('topology', 'warning', message, 'set min-replicas-to-write and min-replicas-max-lag on every server')
  }
  return ok('topology', kind === 'single' ? text : `${text}, of a ${kind === 'cluster' ? 'cluster' : 'sentinel group'}`)
}

/** Who has what is written, and how far behind they are. Says nothing where there are none and none are needed. */
function checkReplicas(info: ServerInfo, kind: ServerKind): Finding[] {
  if (info.get('role') !== 'master') return []
  const replicas = [...info].flatMap(([name, text]) => (/^slave\d+$/.test(name) ? [readReplica(text, info)] : []))
  if (replicas.length === 0) {
    if (kind !== 'sentinel') return []
    return [found('replicas', 'warning', 'none: nothing can take over from the master', 'add a replica')]
  }
  const message = replicas.map(({ text }) => text).join('; ')
  if (!replicas.some(({ isBehind }) => isBehind)) return [ok('replicas', message)]
  const remedy = 'see that they run and can keep up: a failover to one that lags loses what it lacks'
  return [found('replicas', 'warning', message, remedy)]
}

function readReplica(text: string, info: ServerInfo): { readonly text: string; readonly isBehind: boolean } {
  const fields = new Map(text.split(',').map(field => field.split('=') as [string, string]))
  const place = `${fields.get('ip')}:${fields.get('port')}`
  const state = fields.get('state')
  if (state !== 'online') return { text: `${place} is not in step yet (${state})`, isBehind: true }
  const lag = Number(fields.get('lag'))
  const bytes = Math.max(0, Number(info.get('master_repl_offset')) - Number(fields.get('offset')))
  return { text: `${place} heard ${lag} s ago, ${bytes} bytes behind`, isBehind: lag > MAX_LAG_S }
}

/** An evicting Redis looks like an operator who deletes records. */
function checkEviction(info: ServerInfo): Finding {
  const policy = info.get('maxmemory_policy') ?? 'unknown'
  if (info.get('maxmemory') === '0') return ok('eviction', 'no memory limit')
  if (policy === 'noeviction') return ok('eviction', 'noeviction')
  const what = policy.startsWith('volatile-') ? 'records that expire' : 'records'
  const message = `${policy}: at its memory limit it drops ${what}, as if somebody had deleted them`
  return found('eviction', 'warning', message, 'set maxmemory-policy noeviction')
}
