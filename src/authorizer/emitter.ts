import { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import { Allowance } from './allowance.js'
import type { AuthorizerEvents } from './events.js'

type EventName = keyof AuthorizerEvents
type Listener<E extends EventName> = (event: AuthorizerEvents[E]) => void

/**
 * The events of one authorizer. Emitting never throws: what a listener throws, or rejects with, becomes an `error`
 * event, and an `error` that nobody listens to becomes one warning of the process, not its end.
 */
export class Emitter {
  readonly #emitter = new EventEmitter()
  readonly #now: () => number
  readonly #errors: Allowance
  #hasWarned = false

  constructor(now: () => number) {
    this.#now = now
    this.#errors = new Allowance(now())
  }

  on<E extends EventName>(event: E, listener: Listener<E>): void {
    this.#emitter.on(event, listener)
  }

  once<E extends EventName>(event: E, listener: Listener<E>): void {
    this.#emitter.once(event, listener)
  }

  off<E extends EventName>(event: E, listener: Listener<E>): void {
    this.#emitter.off(event, listener)
  }

  /** Whether anybody listens; spares building an event that nobody hears. */
  heard(event: EventName): boolean {
    return this.#emitter.listenerCount(event) > 0
  }

  emit<E extends EventName>(event: E, payload: AuthorizerEvents[E]): void {
    const failed = (error: unknown): void => {
      if (event === 'error') this.#warn(error, 'listener of error')
      else this.error(error, `listener of ${event}`)
    }
    for (const listener of this.#emitter.rawListeners(event)) {
      try {
        const returned: unknown = listener.call(this.#emitter, payload)
        if (returned instanceof Promise) returned.catch(failed)
      } catch (error) {
        failed(error)
      }
    }
  }

  /** Reports something that failed. A store that is down fails for every client: the number of reports is limited. */
  error(error: unknown, place: string): void {
    if (this.heard('error')) {
      const suppressed = this.#errors.take(this.#now())
      if (suppressed !== undefined) this.emit('error', { at: Date.now(), error, place, suppressed })
    } else this.#warn(error, place)
  }

  #warn(error: unknown, place: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    const text = error instanceof Error ? error.message : inspect(error, { depth: 0 })
    process.emitWarning(`${place}: ${text} (no listener for 'error'; reported once)`, { code: 'MQTT_WARDEN_ERROR' })
  }
}
