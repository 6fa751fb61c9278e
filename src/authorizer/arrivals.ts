import { type Guard, Visitor } from './guard.js'
import type { LiveSession } from './session.js'
import { nextTurn } from './turn.js'

/** Most that are kept; for who comes beyond, it is noted at once. */
const MAX_KEPT = 50_000

/** Taken note of in one turn of the event loop. */
const NOTED_A_TURN = 64

/**
 * Sessions opened by a password proven before, until it is noted where their clients are. That is of use only to later
 * logins, and asking a socket for its address takes a third as long as all else at such a login: a thousand clients that
 * come back at once are let in first.
 */
export class Arrivals {
  readonly #guard: Guard
  #sessions: LiveSession[] = []
  #isNoting = false

  constructor(guard: Guard) {
    this.#guard = guard
  }

  add(session: LiveSession): void {
    if (this.#sessions.length < MAX_KEPT) this.#sessions.push(session)
    else this.#note(session)
  }

  /** Takes note of all that have come so far. */
  async note(): Promise<void> {
    if (this.#isNoting) return
    this.#isNoting = true
    const sessions = this.#sessions
    for (let noted = 0; noted < sessions.length; noted += NOTED_A_TURN) {
      if (noted > 0) await nextTurn()
      for (const session of sessions.slice(noted, noted + NOTED_A_TURN)) this.#note(session)
    }
    this.#sessions = []
    this.#isNoting = false
  }

  clear(): void {
    this.#sessions.length = 0
  }

  #note(session: LiveSession): void {
    const { account, principal, address } = session
    if (account !== undefined && address !== undefined)
      this.#guard.passed(new Visitor(principal, account.text, session))
  }
}
