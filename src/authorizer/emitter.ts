import { EventEmitter } from 'node:events'
import type { AuthorizerEvents } from './types.js'

type EventName = keyof AuthorizerEvents
type Listener<E extends EventName> = (event: AuthorizerEvents[E]) => void

/**
 * The events of one authorizer. Emitting never throws: what a listener throws becomes an `error` event, and an `error`
 * that nobody listens to becomes one warning of the process, not its end.
 */
export class Emitter {
  readonly #emitter = new EventEmitter()
  #warned = false

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
    for (const listener of this.#emitter.rawListeners(event)) {
      try {
        listener.call(this.#emitter, payload)
      } catch (error) {
        if (event === 'error') this.#warn(error)
        else this.error(error, `listener of ${event}`)
      }
    }
  }

  /** Reports something that failed. */
  error(error: unknown, place: string): void {
    if (this.heard('error')) this.emit('error', { at: Date.now(), error, place })
    else this.#warn(error, place)
  }

  #warn(error: unknown, place = 'listener of error'): void {
    if (this.#warned) return
    this.#warned = true
    const text = error instanceof Error ? error.message : String(error)
    process.emitWarning(`${place}: ${text} (no listener for 'error'; reported once)`, { code: 'MQTT_WARDEN_ERROR' })
  }
}
