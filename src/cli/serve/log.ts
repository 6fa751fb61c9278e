import { LRUCache } from 'lru-cache'
import { type Authorizer, type DeniedEvent, describeDenial } from '../../authorizer/index.js'
import { remedyFor } from '../../redis/remedies.js'

type Level = 'info' | 'warn' | 'error'

/** Longest text of a line that somebody else chose, in characters. */
const MAX_TEXT = 256

/** What may be written: some at once, then so many a second. Whatever is left out is counted. */
class Rate {
  readonly #burst: number
  readonly #perSecond: number
  #left: number
  #at: number = performance.now()
  #suppressed = 0

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#left = burst
  }

  /** How many were left out since the last; `undefined` if this one is too. */
  take(): number | undefined {
    const now = performance.now()
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) / 1_000) * this.#perSecond)
    this.#at = now
    if (this.#left < 1) {
      this.#suppressed++
      return undefined
    }
    this.#left--
    const suppressed = this.#suppressed
    this.#suppressed = 0
    return suppressed
  }
}

/** Lines of JSON on standard output: one event each, with `time`, `level` and `event` first. */
export class Log {
  readonly #write: (line: string) => void
  readonly #denials: Rate = new Rate(500, 200)
  readonly #clients: LRUCache<string, Rate> = new LRUCache({ max: 10_000 })
  readonly #errors: LRUCache<string, Rate> = new LRUCache({ max: 100 })

  constructor(write: (line: string) => void = line => void process.stdout.write(line)) {
    this.#write = write
  }

  line(level: Level, event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const time = new Date().toISOString()
    this.#write(`${JSON.stringify({ time, level, event, ...fields }, cut)}\n`)
  }

  /** Something failed inside, or was asked that no broker asks; a place that fails again and again is not repeated. */
  error(error: unknown, place: string): void {
    const suppressed = rateOf(this.#errors, place, () => new Rate(20, 1)).take()
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
    const ofClient = rateOf(this.#clients, key, () => new Rate(20, 1)).take()
    const ofAll = ofClient === undefined ? undefined : this.#denials.take()
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

function rateOf(rates: LRUCache<string, Rate>, key: string, make: () => Rate): Rate {
  let rate = rates.get(key)
  if (rate === undefined) {
    rate = make()
    rates.set(key, rate)
  }
  return rate
}

function counted(suppressed: number): { suppressed?: number } {
  return suppressed > 0 ? { suppressed } : {}
}

/** Shortens what is too long for a line; `text` is made of parts that are short already. */
function cut(name: string, value: unknown): unknown {
  if (typeof value !== 'string' || name === 'text' || value.length <= MAX_TEXT) return value
  return `${value.slice(0, MAX_TEXT - 1)}…`
}
