import { LRUCache } from 'lru-cache'
import { Allowance, type Pace } from '../../authorizer/allowance.js'
import { type Authorizer, type DeniedEvent, describeDenial } from '../../authorizer/index.js'
import { remedyFor } from '../../redis/remedies.js'

type Level = 'info' | 'warn' | 'error'

/** Longest text of a line that somebody else chose, in characters. */
const MAX_TEXT = 256

/** How many refusals of all clients together are written. */
const DENIAL_PACE: Pace = { burst: 500, refillMs: 5 }

/** Lines of JSON on standard output: one event each, with `time`, `level` and `event` first. */
export class Log {
  readonly #write: (line: string) => void
  readonly #denials: Allowance = new Allowance(performance.now(), DENIAL_PACE)
  readonly #clients: LRUCache<string, Allowance> = new LRUCache({ max: 10_000 })
  readonly #errors: LRUCache<string, Allowance> = new LRUCache({ max: 100 })

  constructor(write: (line: string) => void = line => void process.stdout.write(line)) {
    this.#write = write
  }

  line(level: Level, event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const time = new Date().toISOString()
    this.#write(`${JSON.stringify({ time, level, event, ...fields }, cut)}\n`)
  }

  /** Something failed inside, or was asked that no broker asks; a place that fails again and again is not repeated. */
  error(error: unknown, place: string): void {
    const suppressed = take(this.#errors, place)
    if (suppressed === undefined) return
    const { code } = (error ?? {}) as { code?: unknown }
    const message = error instanceof Error ? error.message : String(error)
    const remedy = remedyFor(message)
    const more = { ...(typeof code === 'string' && { code }), ...(remedy !== undefined && { remedy }) }
    this.line('error', 'error', { place, message, ...more, ...counted(suppressed) })
  }

  /** A refusal, with everything that explains it. One client cannot crowd out the others. */
  denied(event: DeniedEvent): void {
    const { mountpoint, clientId, username } = event.principal
    const key = JSON.stringify([mountpoint, clientId, username])
    const ofClient = take(this.#clients, key)
    const ofAll = ofClient === undefined ? undefined : this.#denials.take(performance.now())
    if (ofClient === undefined || ofAll === undefined) return
    const { action, topic, filter, address, detail, decision } = event
    this.line('warn', 'denied', {
      action,
      clientId,
      username,
      ...(mountpoint !== '' && { mountpoint }),
      topic,
      filter,
      address,
      reason: decision.reason,
      missed: decision.missed,
      nearest: decision.nearest?.pattern,
      detail,
      text: describeDenial(event),
      ...counted(ofClient + ofAll),
    })
  }

  /** Writes down what an authorizer reports. */
  follow(authorizer: Pick<Authorizer, 'on'>): void {
    authorizer.on('denied', event => this.denied(event))
    authorizer.on('link', ({ state }) => this.line(state === 'live' ? 'info' : 'warn', 'link', { state }))
    authorizer.on('error', ({ error, place }) => this.error(error, place))
  }
}

/** How many lines of one origin were left out since its last; `undefined` if this one is too. */
function take(allowances: LRUCache<string, Allowance>, key: string): number | undefined {
  const now = performance.now()
  let allowance = allowances.get(key)
  if (allowance === undefined) {
    allowance = new Allowance(now)
    allowances.set(key, allowance)
  }
  return allowance.take(now)
}

function counted(suppressed: number): { suppressed?: number } {
  return suppressed > 0 ? { suppressed } : {}
}

/** Shortens what is too long for a line; `text` is made of parts that are short already. */
function cut(name: string, value: unknown): unknown {
  if (typeof value !== 'string' || name === 'text' || value.length <= MAX_TEXT) return value
  return `${value.slice(0, MAX_TEXT - 1)}…`
}
