import { tellFault } from '../faults.js'
import { Gate } from './access.js'
import { Deadlines } from './deadlines.js'
import type { EndpointSettings } from './options.js'
import type { EndpointFailure, EndpointRequest, EndpointResponse, Respond } from './types.js'

/** What both faces share: the settings, who may ask, and how much of bodies is held. */
export class EndpointCore {
  readonly settings: EndpointSettings
  readonly gate: Gate
  readonly deadlines: Deadlines
  readonly #respond: Respond
  #pendingBytes = 0

  constructor(respond: Respond, settings: EndpointSettings) {
    this.settings = settings
    this.gate = new Gate(settings)
    this.deadlines = new Deadlines(settings.timeoutMs)
    this.#respond = respond
  }

  /** Takes note of more bytes of a body; answers whether they may be held. */
  hold(bytes: number): boolean {
    if (this.#pendingBytes + bytes > this.settings.maxPendingBytes) return false
    this.#pendingBytes += bytes
    return true
  }

  release(bytes: number): void {
    this.#pendingBytes -= bytes
  }

  /** Asks the adapter; what it answers at once is there at once. Never throws or rejects. */
  answer(request: EndpointRequest): EndpointResponse | Promise<EndpointResponse> {
    try {
      const response = this.#respond(request)
      return response instanceof Promise ? response.catch(error => this.#failed(error)) : response
    } catch (error) {
      return this.#failed(error)
    }
  }

  /**
   * Answers a request that goes no further, and tells so: who runs the broker sees a refusal there, and nothing of the
   * reason.
   */
  refuse(failure: EndpointFailure, place = 'endpoint'): EndpointResponse {
    this.report(new Error(failure.problem), place)
    return this.fail(failure)
  }

  fail(failure: EndpointFailure): EndpointResponse {
    const response = this.#made(failure)
    return failure.status === 401
      ? { ...response, headers: { 'www-authenticate': 'Basic realm="mqtt-warden"', ...response.headers } }
      : response
  }

  #failed(error: unknown): EndpointResponse {
    this.report(error, 'endpoint')
    return this.fail({ status: 500, problem: 'the request could not be answered' })
  }

  #made(failure: EndpointFailure): EndpointResponse {
    try {
      return this.settings.fail(failure)
    } catch (error) {
      this.report(error, 'endpoint option "fail"')
      return { status: failure.status, headers: {}, body: '' }
    }
  }

  report(error: unknown, place: string): void {
    tellFault('endpoint', 'onError', () => this.settings.onError(error, place))
  }
}

/** Place of faults that strangers can cause. */
export const ACCESS = 'endpoint access'
export const TOO_LARGE: EndpointFailure = { status: 413, problem: 'body is too large' }
export const TOO_MANY: EndpointFailure = { status: 503, problem: 'too many bodies are being read' }
export const TOO_SLOW: EndpointFailure = { status: 408, problem: 'body did not arrive in time' }
export const NO_ANSWER: EndpointFailure = { status: 503, problem: 'no answer in time' }
export const CONSUMED: EndpointFailure = { status: 400, problem: 'body was consumed before it reached the endpoint' }
