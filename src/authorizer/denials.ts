import type { Action, Denied, Principal } from '../acl/types.js'
import { Allowance } from './allowance.js'
import type { Emitter } from './emitter.js'
import type { DeniedEvent } from './events.js'
import type { LoopWatch } from './loops.js'
import type { LiveSession } from './session.js'

/** A refusal that belongs to no session. */
export interface LooseDenial {
  readonly principal: Principal
  readonly action: Action
  readonly subject?: string | undefined
  readonly decision: Denied
  readonly address?: string | undefined
  readonly detail?: string | undefined
}

/** A refusal of a session. */
export type SessionDenial = Pick<LooseDenial, 'action' | 'decision' | 'detail'> & { readonly subject: string }

/** Turns refusals into `denied` events, and keeps one client from flooding them. */
export class DenialReporter {
  readonly #emitter: Emitter
  readonly #loops: LoopWatch
  readonly #now: () => number

  constructor(emitter: Emitter, loops: LoopWatch, now: () => number) {
    this.#emitter = emitter
    this.#loops = loops
    this.#now = now
  }

  ofSession(session: LiveSession, denial: SessionDenial): void {
    if (!this.#isHeard) return
    const now = this.#now()
    session.denials ??= new Allowance(now)
    const suppressed = session.denials.take(now)
    if (suppressed === undefined) return
    const { principal, address } = session
    const { action, decision, detail } = denial
    if (action === 'connect') this.#loops.refusedLogin(principal, address, decision)
    // What is told for another reason than that the client asked is no part of a loop.
    else if (detail === undefined && this.#loops.refusal(session, denial)) return
    this.#emit({ principal, address, ...denial }, suppressed, session)
  }

  loose(denial: LooseDenial): void {
    if (!this.#isHeard) return
    const { principal, action, address, decision } = denial
    if (action === 'connect') this.#loops.refusedLogin(principal, address, decision)
    this.#emit(denial, 0)
  }

  get #isHeard(): boolean {
    return this.#emitter.heard('denied') || this.#emitter.heard('loop')
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
