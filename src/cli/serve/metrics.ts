import type { ServerResponse } from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { CompiledAcl } from '../../acl/compile.js'
import type { Action, Decision } from '../../acl/types.js'
import type {
  AccessGranted,
  AccessRefused,
  Authorizer,
  AuthorizerStats,
  LinkFreshness,
} from '../../authorizer/index.js'

/** Bounds of the buckets for the time of a request, in seconds: from a decision in memory to a hash in a queue. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

type Reading = (stats: AuthorizerStats) => number

const COUNTERS: Readonly<Record<string, readonly [help: string, read: Reading]>> = {
  cache_hits_total: ['Records found in the cache.', stats => stats.hits],
  cache_misses_total: ['Records that had to be read.', stats => stats.misses],
  cache_discarded_total: ['Replies of Redis thrown away because the record had changed.', stats => stats.discarded],
  logins_throttled_total: ['Logins refused because too many had failed.', stats => stats.throttled],
  hashes_shared_total: ['Logins that found the hash they needed under way.', stats => stats.sharedHashes],
  rehashed_total: ['Records that were given a new hash at a login.', stats => stats.rehashed],
}

const GAUGES: Readonly<Record<string, readonly [help: string, read: Reading]>> = {
  cache_records: ['Records held.', stats => stats.records],
  cache_absent: ['Keys held as having no record.', stats => stats.absent],
  reads_pending: ['Reads of Redis under way.', stats => stats.loading],
  sessions: ['Live sessions held by the authorizer.', stats => stats.sessions],
  hashes_running: ['Passwords being hashed.', stats => stats.hashing.running],
  hashes_queued: ['Passwords waiting for a thread.', stats => stats.hashing.queued],
  verified_passwords: ['Proven passwords remembered.', stats => stats.verifiedPasswords],
}

/** What the server counts, for Prometheus. Names begin with `mqtt_warden_`; no label holds what a client chose. */
export class Metrics {
  readonly #registry: Registry = new Registry()
  readonly #decisions: Counter<'action' | 'outcome' | 'reason'>
  readonly #durations: Histogram<'endpoint' | 'status'>

  constructor() {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#decisions = new Counter({
      name: 'mqtt_warden_decisions_total',
      help: 'Decisions by action and reason. What an adapter cannot apply of a rule that allows counts as both.',
      labelNames: ['action', 'outcome', 'reason'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'mqtt_warden_request_duration_seconds',
      help: 'Time from the head of a request to the end of its answer.',
      labelNames: ['endpoint', 'status'],
      buckets: BUCKETS,
      registers,
    })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** Takes the time until a request is answered, or its caller gone. */
  time(endpoint: string, res: ServerResponse): void {
    const end = this.#durations.startTimer({ endpoint })
    res.once('close', () => end({ status: res.writableFinished ? res.statusCode : 'aborted' }))
  }

  /** A value that is read whenever the metrics are. */
  gauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name: `mqtt_warden_${name}`,
      help,
      registers: [this.#registry],
      collect: () => gauge.set(read()),
    })
  }

  /** Shows what an authorizer knows of itself at the moment of being asked, and counts what it refuses. */
  follow(authorizer: Authorizer): void {
    for (const [name, [help, read]] of Object.entries(COUNTERS)) {
      const counter: Counter = new Counter({
        name: `mqtt_warden_${name}`,
        help,
        registers: [this.#registry],
        collect: () => {
          counter.reset()
          counter.inc(read(authorizer.stats()))
        },
      })
    }
    for (const [name, [help, read]] of Object.entries(GAUGES)) this.gauge(name, help, () => read(authorizer.stats()))
    const fresh = () => authorizer.freshness()
    this.gauge('link_live', 'Whether changes are being heard.', () => Number(fresh().state === 'live'))
    this.gauge('link_age_seconds', 'Time since the last proof of that; +Inf before.', () => fresh().ageMs / 1_000)
    this.gauge(
      'revocation_bound_seconds',
      'Longest a revoked right can survive in this process if the link froze now.',
      () => fresh().boundMs / 1_000,
    )
    this.#followLinks(authorizer)
    authorizer.on('denied', ({ action, decision: { reason } }) => {
      this.#decisions.inc({ action, outcome: 'deny', reason })
    })
  }

  /** How each link to a server of the store stands, for as long as there is one. */
  #followLinks(authorizer: Authorizer): void {
    const readings: readonly (readonly [name: string, help: string, read: (link: LinkFreshness) => number])[] = [
      ['server_link_live', 'Whether changes at a server are being heard.', link => Number(link.state === 'live')],
      ['server_link_age_seconds', 'Time since the last proof of that; +Inf before.', link => link.ageMs / 1_000],
    ]
    for (const [name, help, read] of readings) {
      const gauge: Gauge<'server'> = new Gauge({
        name: `mqtt_warden_${name}`,
        help,
        labelNames: ['server'],
        registers: [this.#registry],
        collect: () => {
          gauge.reset()
          for (const link of authorizer.freshness().links) gauge.set({ server: link.server }, read(link))
        },
      })
    }
  }

  /** The same authorizer, with what it allows counted. Refusals are counted by their events. */
  counting(authorizer: Authorizer): Authorizer {
    const known: WeakMap<CompiledAcl, CompiledAcl> = new WeakMap()
    const count = <D extends Decision>(action: Action, decision: D): D => {
      if (decision.allow) this.#decisions.inc({ action, outcome: 'allow', reason: '' })
      return decision
    }
    const counting = (compiled: CompiledAcl): CompiledAcl => {
      const before = known.get(compiled)
      if (before !== undefined) return before
      const made: CompiledAcl = {
        acl: compiled.acl,
        semantics: compiled.semantics,
        maxLevels: compiled.maxLevels,
        hasPublishLimits: compiled.hasPublishLimits,
        authorizePublish: (...args) => count('publish', compiled.authorizePublish(...args)),
        authorizeSubscribe: (...args) => count('subscribe', compiled.authorizeSubscribe(...args)),
        authorizeReceive: (...args) => count('receive', compiled.authorizeReceive(...args)),
      }
      known.set(compiled, made)
      return made
    }
    const counted = (outcome: AccessGranted | AccessRefused): AccessGranted | AccessRefused =>
      outcome.allow
        ? { allow: true, access: { ...outcome.access, compiled: counting(outcome.access.compiled) } }
        : outcome
    return delegate(authorizer, {
      verify: async request => {
        const outcome = await authorizer.verify(request)
        if (outcome.allow) this.#decisions.inc({ action: 'connect', outcome: 'allow', reason: '' })
        return outcome
      },
      access: request => {
        const outcome = authorizer.access(request)
        return outcome instanceof Promise ? outcome.then(counted) : counted(outcome)
      },
    })
  }
}

/** An object that does what `target` does, save for some methods. */
function delegate(target: Authorizer, own: Partial<Authorizer>): Authorizer {
  return new Proxy(target, {
    get(_target, name) {
      const replaced = own[name as keyof Authorizer]
      if (replaced !== undefined) return replaced
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
