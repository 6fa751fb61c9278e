import { randomUUID } from 'node:crypto'
import type { Connection } from './connection.js'
import { CommandFailure } from './failure.js'
import { within } from './time.js'

/** A name for this store among all stores on one Redis. */
export function createNodeName(): string {
  return randomUUID()
}

/** Awaits beats, one at a time, that are to come back through a connection. */
export class BeatReturn {
  #awaited: { readonly beat: Buffer; returned(): void; failed(loss: CommandFailure): void } | undefined

  constructor(connection: Connection) {
    void connection.lost.then(loss => this.#awaited?.failed(loss))
  }

  /** Takes note of what came through. */
  heard(beat: Buffer): void {
    if (this.#awaited?.beat.equals(beat)) this.#awaited.returned()
  }

  /** Has a beat sent; resolves when it is back, and rejects when it is not in time. */
  async await(beat: Buffer, timeoutMs: number, send: () => Promise<unknown>): Promise<void> {
    const returned = new Promise<void>((resolve, reject) => {
      this.#awaited = { beat, returned: resolve, failed: reject }
    })
    returned.catch(() => {})
    try {
      await send()
      await within(returned, timeoutMs, () => {
        return new CommandFailure('timeout', `a beat did not come back within ${timeoutMs} ms`)
      })
    } finally {
      this.#awaited = undefined
    }
  }
}
