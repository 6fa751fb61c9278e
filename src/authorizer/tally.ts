import type { ChangeEffects } from '../store/types.js'

/** Counts what one change did to the sessions. */
export class Tally {
  #sessionsCut = 0
  #subscriptionsDropped = 0
  #failed: string | undefined

  cut(): void {
    this.#sessionsCut++
  }

  add({ sessionsCut = 0, subscriptionsDropped = 0, failed }: ChangeEffects): void {
    this.#sessionsCut += sessionsCut
    this.#subscriptionsDropped += subscriptionsDropped
    this.#failed ??= failed
  }

  /** A session could not be brought up to date. The first reason stands for all. */
  fail(error: unknown): void {
    this.#failed ??= error instanceof Error ? error.message : String(error)
  }

  get effects(): ChangeEffects {
    return {
      sessionsCut: this.#sessionsCut,
      subscriptionsDropped: this.#subscriptionsDropped,
      ...(this.#failed !== undefined && { failed: this.#failed }),
    }
  }
}
