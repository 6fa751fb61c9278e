import type { AsyncResource } from 'node:async_hooks'

/** What as many clients have of their own still fits the caches of a processor. */
const BATCH = 16
/** Turns of the event loop that may bring nothing more before a batch is done that is not full. */
const PATIENCE = 4

/** Something to be done in the asynchronous context in which it was made. */
export interface Batched extends AsyncResource {
  run(): void
}

/**
 * Does things in batches, in the order they came. Of a thousand clients that come back at once each turn of the event
 * loop brings one or two; between two logins the broker accepts sockets and reads packets, and what runs once a login
 * has gone from the caches of the processor when the next is at hand. With the judgements in a row, and all that aedes
 * does after them up to its CONNACKs, coming and going takes a tenth less of the processor.
 *
 * What comes alone waits for a few turns of an idle loop, which take some ten microseconds each, and never for a timer.
 */
export class Batches<T extends Batched> {
  #waiting: T[] = []
  #isLooking = false
  /** How many were waiting a turn ago. */
  #before = 0
  #idleTurns = 0

  add(item: T): void {
    this.#waiting.push(item)
    if (this.#waiting.length >= BATCH) this.#doAll()
    else this.#lookAgain()
  }

  #lookAgain(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    setImmediate(this.#look)
  }

  readonly #look = (): void => {
    this.#isLooking = false
    const { length } = this.#waiting
    if (length === 0) return
    this.#idleTurns = length === this.#before ? this.#idleTurns + 1 : 0
    this.#before = length
    if (this.#idleTurns < PATIENCE) this.#lookAgain()
    else this.#doAll()
  }

  #doAll(): void {
    const batch = this.#waiting
    this.#waiting = []
    this.#before = 0
    for (const item of batch) {
      try {
        item.runInAsyncScope(item.run, item)
      } catch (error) {
        // Of a listener of the broker's owner: not for the clients of the same batch to bear.
        setImmediate(() => {
          throw error
        })
      }
    }
  }
}
