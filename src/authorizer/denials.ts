import type { Action, Denied, Principal } from '../acl/types.js'
import type { Emitter } from './emitter.js'
import type { LiveSession } from './session.js'
import type { DeniedEvent } from './types.js'

/** Denials of one session that are reported at once, before the rate counts. */
const BURST = 20
/** Milliseconds after which one more may be reported. */
const REFILL_MS = 1_000

/** How many denials of a session may still be reported. */
export interface DenialState {
  left: number
  refilledAt: number
  suppressed: number
}

/** A refusal that belongs to no session. */
export interface LooseDenial {
  readonly principal: Principal
  readonly action: Action
  readonly subject?: string
  readonly decision: Denied
  readonly address?: string | undefined
  readonly detail?: string | undefined
}

/** Turns refusals into `denied` events, and keeps one client from flooding them. */
export class DenialReporter {
  readonly #emitter: Emitter
  readonly #now: () => number

  constructor(emitter: Emitter, now: () => number) {
    this.#emitter = emitter
    this.#now = now
  }

  ofSession(session: LiveSession, action: Action, subject: string, decision: Denied): void {
    if (!this.#emitter.heard('denied')) return
    const suppressed = this.#pass(session)
    if (suppressed === undefined) return
    const { principal, address } = session
    this.#emit({ principal, action, subject, decision, address }, suppressed, session)
  }

  loose(denial: LooseDenial): void {
    if (this.#emitter.heard('denied')) this.#emit(denial, 0)
  }

  /** Takes one from the session's allowance; tells how many were suppressed before, or `undefined` when there is none. */
  #pass(session: LiveSession): number | undefined {
    const now = this.#now()
    session.denialState ??= { left: BURST, refilledAt: now, suppressed: 0 }
    const state = session.denialState
    const refill = Math.floor((now - state.refilledAt) / REFILL_MS)
    if (refill > 0) {
      state.left = Math.min(BURST, state.left + refill)
      state.refilledAt += refill * REFILL_MS
    }
    if (state.left === 0) {
      state.suppressed++
      return undefined
    }
    state.left--
    const { suppressed } = state
    state.suppressed = 0
    return suppressed
  }

  #emit(denial: LooseDenial, suppressed: number, session?: LiveSession): void {
    const { principal, action, subject, decision, address, detail } = denial
    const event: DeniedEvent = {
      at: Date.now(),
      principal,
      action,
      decision,
      suppressed,
      ...(session !== undefined && { session }),
      ...(subject !== undefined && (action === 'subscribe' ? { filter: subject } : { topic: subject })),
      ...(address !== undefined && { address }),
      ...(detail !== undefined && { detail }),
    }
    this.#emitter.emit('denied', event)
  }
}
