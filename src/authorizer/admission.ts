import { anonymousAccess, recordAccess } from './access.js'
import type { AddressSource } from './address.js'
import { Arrivals } from './arrivals.js'
import { type Attempt, clientGone, Refused } from './attempt.js'
import { type Guard, Visitor } from './guard.js'
import type { LiveSession } from './session.js'
import type { Snapshot } from './session-context.js'
import type { Sessions } from './sessions.js'
import type { AccessGranted, Authenticated } from './types.js'

/** What a granted CONNECT becomes: an open session, or only the knowledge of what it may do. */
export type Admission<T> = (snapshot: Snapshot, attempt: Attempt) => T | Refused

/** The ways in, for who has proved a password just now, and for who has brought one proven before. */
export class Admissions {
  readonly arrivals: Arrivals
  readonly #sessions: Sessions
  readonly #guard: Guard
  readonly #now: () => number

  constructor(sessions: Sessions, guard: Guard, now: () => number) {
    this.#sessions = sessions
    this.#guard = guard
    this.#now = now
    this.arrivals = new Arrivals(guard)
  }

  /** An attempt that is given up before its answer is out leaves no session behind. */
  readonly open: Admission<Authenticated> = (snapshot, attempt) => {
    const session = this.#open(snapshot, attempt, attempt.address)
    if (session instanceof Refused) return session
    void attempt.stopped.then(() => session.close())
    return { allow: true, session }
  }

  readonly openRecalled: Admission<Authenticated> = (snapshot, attempt) => {
    const { addressSource } = attempt
    const session = this.#open(snapshot, attempt, addressSource)
    if (session instanceof Refused) return session
    if (typeof addressSource === 'function') this.arrivals.add(session)
    else this.#noteVisit(snapshot, attempt)
    return { allow: true, session }
  }

  readonly access: Admission<AccessGranted> = ({ account, compiled }, { checked: { principal } }) => {
    return account === undefined ? anonymousAccess(principal, compiled) : recordAccess(principal, account, this.#now())
  }

  readonly accessRecalled: Admission<AccessGranted> = (snapshot, attempt) => {
    this.#noteVisit(snapshot, attempt)
    return this.access(snapshot, attempt)
  }

  #noteVisit({ account }: Snapshot, attempt: Attempt): void {
    if (account !== undefined) this.#guard.passed(new Visitor(attempt.checked.principal, account.text, attempt))
  }

  #open(snapshot: Snapshot, attempt: Attempt, address: AddressSource): LiveSession | Refused {
    const { request } = attempt
    const { principal } = attempt.checked
    if (!this.#sessions.succession.isOpenTo(principal, snapshot.account?.key)) return new Refused('client_id_taken')
    const session = this.#sessions.open(principal, address, snapshot)
    if (request.provisional !== true) session.confirm()
    if (!request.signal?.aborted) return session
    // By whoever heard of the takeover.
    session.close()
    return clientGone()
  }
}
