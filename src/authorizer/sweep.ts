import { REFRESH_SHARE, refreshShare } from './refresh-share.js'
import type { LiveSession } from './session.js'
import type { SessionIndex } from './session-index.js'
import type { Epoch, Trust } from './trust.js'
import { nextTurn, TURN } from './turn.js'
import { Turns } from './turns.js'

/** Sessions that begin to be read again within one turn. */
const BEGUN_A_TURN = 64

/**
 * Failed reads in a row after which the rest waits for the next sweep: while a store cannot be reached, to ask it for
 * every session would be all that is done. Of a Cluster some part may fail meanwhile.
 */
const MAX_FAILURES = 100

/** What a sweep has done to sessions. */
export interface SweepWork {
  /** Ends a session whose record has ended. */
  end(session: LiveSession): void
  /** Brings a session up to date. Resolves with whether the store could be asked, and never rejects. */
  refresh(session: LiveSession, share: number): Promise<boolean> | undefined
  /** How many sessions may be read again at the same time, so that logins are not kept waiting behind them. */
  width(): number
}

/** Looks through the sessions for those that are over or due, and has them read again a few at a time. */
export class Sweep {
  readonly #trust: Trust
  readonly #index: SessionIndex
  readonly #work: SweepWork
  /** Those that failed last come last. */
  readonly #due: Set<LiveSession> = new Set()
  #order: SetIterator<LiveSession> = this.#due.values()
  readonly #turns: Turns = new Turns(BEGUN_A_TURN)
  #workers = 0
  #failures = 0
  #isSweeping = false
  #isWanted = false
  /** Up to when no session is over or due, as long as the epoch of the last sweep goes on and is heard. */
  #quietUntil = Number.POSITIVE_INFINITY
  #sweptIn: Epoch | undefined

  constructor(trust: Trust, index: SessionIndex, work: SweepWork) {
    this.#trust = trust
    this.#index = index
    this.#work = work
  }

  /** Looks through all once, and once more if that is asked for meanwhile; not at all while it is known that none is due. */
  async run(): Promise<void> {
    this.#failures = 0
    this.#isWanted ||= !this.#isQuiet() && !this.#isBusy()
    if (this.#isSweeping) return
    this.#isSweeping = true
    while (this.#isWanted) {
      this.#isWanted = false
      this.#quietUntil = Number.POSITIVE_INFINITY
      this.#sweptIn = this.#trust.epoch
      let seen = 0
      for (const session of this.#index.byRecord()) {
        this.look(session)
        if (++seen % TURN === 0) await nextTurn()
      }
    }
    this.#isSweeping = false
  }

  /** Takes care that the sweep comes to a session in time. */
  expect(session: LiveSession): void {
    this.#quietUntil = Math.min(this.#quietUntil, session.quietUntil(refreshShare(session)))
  }

  /** Ends a session that is over, and has one that is due read again. */
  look(session: LiveSession): void {
    const now = this.#trust.now()
    if (session.isOver(now)) {
      this.#work.end(session)
      return
    }
    this.expect(session)
    if (!session.isDue(now, refreshShare(session))) return
    this.#due.add(session)
    if (this.#mayBegin()) void this.#refreshDue()
  }

  forget(session: LiveSession): void {
    this.#due.delete(session)
  }

  #isQuiet(): boolean {
    const now = this.#trust.now()
    const isHeard = this.#sweptIn !== undefined && this.#trust.isHeard(this.#sweptIn, now, REFRESH_SHARE)
    return isHeard && now < this.#quietUntil
  }

  /** Whether more sessions are known to be due than can be read again, so that to look for others would be in vain. */
  #isBusy(): boolean {
    const isFull = this.#due.size > 0 && this.#workers >= this.#work.width()
    return isFull && this.#sweptIn === this.#trust.epoch
  }

  #mayBegin(): boolean {
    return this.#failures < MAX_FAILURES && this.#workers < this.#work.width()
  }

  /** Takes due sessions until there are none, or they are not to be had. */
  async #refreshDue(): Promise<void> {
    this.#workers++
    for (let session = this.#take(); session !== undefined; session = this.#take()) {
      await this.#turns.take()
      const isAnswered = (await this.#work.refresh(session, REFRESH_SHARE)) ?? true
      this.#failures = isAnswered ? 0 : this.#failures + 1
      if (this.#failures >= MAX_FAILURES || this.#workers > this.#work.width()) break
    }
    this.#workers--
  }

  /** Takes one out. All share the iterator: each of their own would pass over all that others have taken. */
  #take(): LiveSession | undefined {
    let next = this.#order.next()
    if (next.done) {
      this.#order = this.#due.values()
      next = this.#order.next()
    }
    if (next.value !== undefined) this.#due.delete(next.value)
    return next.value
  }
}
