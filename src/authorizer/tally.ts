import { sumEffects } from '../store/listeners.js'
import type { ChangeEffects } from '../store/types.js'

/** Counts what one change did to the sessions. */
export class Tally {
  #sessionsCut = 0
  #sessionsReauthorized = 0
  #subscriptionsDropped = 0
  #messagesDropped = 0
  #failed: string | undefined
  readonly #later: Promise<ChangeEffects>[] = []

  cut(): void {
    this.#sessionsCut++
  }

  add({ failed, later, ...counts }: ChangeEffects): void {
    const { sessionsCut = 0, sessionsReauthorized = 0, subscriptionsDropped = 0, messagesDropped = 0 } = counts
    this.#sessionsCut += sessionsCut
    this.#sessionsReauthorized += sessionsReauthorized
    this.#subscriptionsDropped += subscriptionsDropped
    this.#messagesDropped += messagesDropped
    this.#failed ??= failed
    if (later !== undefined) this.#later.push(later)
  }

  /** A session could not be brought up to date. The first reason stands for all. */
  fail(error: unknown): void {
    this.#failed ??= error instanceof Error ? error.message : String(error)
  }

  get effects(): ChangeEffects {
    return {
      sessionsCut: this.#sessionsCut,
      ...(this.#sessionsReauthorized > 0 && { sessionsReauthorized: this.#sessionsReauthorized }),
      subscriptionsDropped: this.#subscriptionsDropped,
      messagesDropped: this.#messagesDropped,
      ...(this.#failed !== undefined && { failed: this.#failed }),
      ...(this.#later.length > 0 && { later: Promise.all(this.#later).then(sumEffects) }),
    }
  }
}
