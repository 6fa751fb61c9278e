import { setImmediate } from 'node:timers/promises'
import { expect } from 'vitest'
import type { RecordKey } from '../../src/record/types.js'
import type { RecordStore } from '../../src/store/types.js'
import { recordOf } from '../contract/record-store.js'

/** Writes one record anew, again and again, and reads some between two writes, until it is stopped. */
export class Traffic {
  /** The pattern in each record that was written, in order. */
  readonly written: string[] = []
  readonly #refused: unknown[] = []
  readonly #running: Promise<void>
  #isOver = false

  constructor(store: RecordStore, key: RecordKey, read: readonly RecordKey[]) {
    this.#running = this.#run(store, key, read)
  }

  /** Resolves when nothing is under way; what was refused meanwhile was refused by the store being out of reach. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
    for (const error of this.#refused) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(STORE|OUTCOME)_/) })
    }
  }

  async #run(store: RecordStore, key: RecordKey, read: readonly RecordKey[]): Promise<void> {
    const refused = (error: unknown): void => void this.#refused.push(error)
    for (let n = 0; !this.#isOver; n++) {
      const pattern = `w${n}`
      await store.put(key, recordOf(pattern)).then(() => this.written.push(pattern), refused)
      await Promise.all(read.map(each => store.get(each))).catch(refused)
      // What fails at once leaves no turn to anything else.
      await setImmediate()
    }
  }
}
