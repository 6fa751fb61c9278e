import { denied } from '../acl/rule.js'
import type { Denied, DenyReason } from '../acl/types.js'
import { type AddressSource, addressFrom } from './address.js'
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

export function clientGone(): Refused {
  return new Refused('deadline', 'the client is gone')
}

/** One CONNECT being judged: for as long as it has to wait, until its deadline, or until the client hangs up. */
export class Attempt {
  readonly request: ConnectRequest
  readonly checked: CheckedRequest | RefusedRequest
  readonly startedAt: number
  readonly #settings: Settings
  #address: AddressSource
  #stopped: Promise<Refused> | undefined
  #resolve: ((refused: Refused) => void) | undefined
  #hangUp: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #refused: Refused | undefined

  constructor(request: ConnectRequest, settings: Settings) {
    this.request = request
    this.#settings = settings
    this.#address = request.address
    this.startedAt = settings.now()
    this.checked = checkRequest(request, settings.semantics === 'vernemq')
  }

  /** Where the client is, if it can be told. */
  get address(): string | undefined {
    this.#address = addressFrom(this.#address)
    return this.#address
  }

  /** The same, or what is still to be asked. */
  get addressSource(): AddressSource {
    return this.#address
  }

  /** Why nothing may come of it any more. */
  get refused(): Refused | undefined {
    return this.#refused
  }

  /**
   * Resolves when nothing may come of it any more, with why. Made when it is first asked for: most logins never wait.
   */
  get stopped(): Promise<Refused> {
    this.#stopped ??= new Promise(resolve => {
      this.#resolve = resolve
      if (this.#refused !== undefined) resolve(this.#refused)
    })
    return this.#stopped
  }

  /** Milliseconds that are left, at least 1. */
  get timeoutMs(): number {
    return Math.max(1, Math.ceil(this.startedAt + this.#settings.connectTimeoutMs - this.#settings.now()))
  }

  /** It has to wait: from now on it may be stopped by the clock, and by the client. */
  begin(): void {
    // As long as there is a connection that can tell it.
    this.#address = addressFrom(this.#address)
    const { signal } = this.request
    const { connectTimeoutMs } = this.#settings
    const late = () => this.stop(new Refused('deadline', `after ${connectTimeoutMs} ms`))
    this.#timer = setTimeout(late, connectTimeoutMs)
    if (signal === undefined) return
    const hangUp = () => this.stop(clientGone())
    this.#hangUp = hangUp
    if (signal.aborted) hangUp()
    signal.addEventListener('abort', hangUp, { once: true })
  }

  stop(refused: Refused): void {
    if (this.#refused !== undefined) return
    this.#refused = refused
    this.#resolve?.(refused)
  }

  /** Lets go of the timer and the client's signal. */
  end(): void {
    clearTimeout(this.#timer)
    if (this.#hangUp !== undefined) this.request.signal?.removeEventListener('abort', this.#hangUp)
  }
}
