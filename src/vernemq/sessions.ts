import type { RecordKey } from '../record/types.js'
import { WIDTH } from './clients.js'
import type { EnforcementFault, VernemqAdmin } from './types.js'
import { Retries } from './work.js'

/** Lists the sessions of VerneMQ, one list at a time, and hands them on. */
export class Sessions {
  readonly #admin: VernemqAdmin
  readonly #signal: AbortSignal
  readonly #report: (fault: EnforcementFault) => void
  readonly #lists: Retries
  /** Clients that are on a list and were not handed on yet. */
  #listed = 0

  constructor(admin: VernemqAdmin, signal: AbortSignal, report: (fault: EnforcementFault) => void) {
    this.#admin = admin
    this.#signal = signal
    this.#report = report
    this.#lists = new Retries(signal, 1)
  }

  /** Lists that are being asked for, and clients still to be handed on. */
  get pending(): number {
    return this.#lists.pending + this.#listed
  }

  /**
   * Lists sessions, again until that succeeds, and hands on those with a user name. Resolves with whether the first try
   * succeeded, when all that it found has been acted on.
   */
  async forEach(of: RecordKey | undefined, act: (client: RecordKey) => Promise<unknown>): Promise<boolean> {
    let acted: Promise<void> | undefined
    const job = async () => {
      const listed = await this.#admin.sessions(of)
      const clients = listed.filter((session): session is RecordKey => session.username !== undefined)
      // Not waited for here: the next list must not wait until VerneMQ was told of all these clients.
      acted = this.#handOn(clients, act)
    }
    await this.#lists.run(job, (error, tries, isGivenUp) => this.#report({ what: 'sessions', error, tries, isGivenUp }))
    await acted
    return acted !== undefined
  }

  /** A few at a time: there may be hundreds of thousands. */
  async #handOn(clients: readonly RecordKey[], act: (client: RecordKey) => Promise<unknown>): Promise<void> {
    this.#listed += clients.length
    const left = clients.values()
    const work = async () => {
      for (const client of left) {
        this.#listed--
        if (!this.#signal.aborted) await act(client)
      }
    }
    await Promise.all(Array.from({ length: WIDTH }, work))
  }
}
