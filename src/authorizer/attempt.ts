import { denied } from '../acl/rule.js'
import type { Denied, DenyReason } from '../acl/types.js'
import type { Settings } from './options.js'
import { type CheckedRequest, checkRequest, type RefusedRequest } from './request.js'
import type { ConnectRequest } from './types.js'

/** A refusal with what only the event tells. */
export class Refused {
  readonly decision: Denied
  readonly detail: string | undefined
  /** Topic of a refused will. */
  readonly subject: string | undefined

  constructor(reason: DenyReason | Denied, detail?: string, subject?: string) {
    this.decision = typeof reason === 'string' ? denied(reason) : reason
    this.detail = detail
    this.subject = subject
  }
}

/** One CONNECT being judged, until its deadline, or until the client hangs up. */
export class Attempt {
  readonly request: ConnectRequest
  readonly checked: CheckedRequest | RefusedRequest
  readonly startedAt: number
  /** Resolves when nothing may come of it any more, with why. */
  readonly stopped: Promise<Refused>
  readonly #settings: Settings
  readonly #timer: NodeJS.Timeout
  readonly #hangUp = () => this.stop(new Refused('deadline', 'the client is gone'))
  #resolve!: (refused: Refused) => void
  #refused: Refused | undefined
  #controller: AbortController | undefined

  constructor(request: ConnectRequest, settings: Settings) {
    const { connectTimeoutMs, semantics, now } = settings
    this.request = request
    this.#settings = settings
    this.startedAt = now()
    this.checked = checkRequest(request, semantics === 'vernemq')
    this.stopped = new Promise(resolve => {
      this.#resolve = resolve
    })
    if (request.signal?.aborted) this.#hangUp()
    request.signal?.addEventListener('abort', this.#hangUp, { once: true })
    const late = () => this.stop(new Refused('deadline', `after ${connectTimeoutMs} ms`))
    this.#timer = setTimeout(late, connectTimeoutMs)
  }

  /** Why nothing may come of it any more. */
  get refused(): Refused | undefined {
    return this.#refused
  }

  /** Milliseconds that are left, at least 1. */
  get timeoutMs(): number {
    return Math.max(1, Math.ceil(this.startedAt + this.#settings.connectTimeoutMs - this.#settings.now()))
  }

  /** Aborted when nothing may come of it any more. Made for those who ask, since few logins need a hash. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#refused !== undefined) this.#controller.abort()
    return this.#controller.signal
  }

  stop(refused: Refused): void {
    if (this.#refused !== undefined) return
    this.#refused = refused
    this.#resolve(refused)
    this.#controller?.abort()
  }

  /** Lets go of the timer and the client's signal. */
  end(): void {
    clearTimeout(this.#timer)
    this.request.signal?.removeEventListener('abort', this.#hangUp)
  }
}
