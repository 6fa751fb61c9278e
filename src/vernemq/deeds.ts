import type { ChangeEffects } from '../store/types.js'
import type { VernemqClient } from './types.js'

/** What was done to a client. */
export type Deed = 'disconnected' | 'reauthorized'

/** What is done about one change, for receipts: every client counts once, however often it has to be done. */
export class Deeds {
  readonly #done: Set<string> = new Set()
  #untold: Record<Deed, number> = { disconnected: 0, reauthorized: 0 }
  #failed: string | undefined

  /** @param deed `undefined` when it could not be done yet. */
  note({ mountpoint, clientId }: VernemqClient, deed: Deed | undefined): void {
    if (deed === undefined) {
      this.fail('VerneMQ could not be told of every client')
      return
    }
    const text = JSON.stringify([deed, mountpoint, clientId])
    if (this.#done.has(text)) return
    this.#done.add(text)
    this.#untold[deed]++
  }

  /** It is not in force. */
  fail(reason: string): void {
    this.#failed ??= reason
  }

  /** What was done since this was asked last. */
  take(): ChangeEffects {
    const { disconnected, reauthorized } = this.#untold
    const failed = this.#failed
    this.#untold = { disconnected: 0, reauthorized: 0 }
    this.#failed = undefined
    return {
      sessionsCut: disconnected,
      sessionsReauthorized: reauthorized,
      ...(failed !== undefined && { failed }),
    }
  }

  /** What comes is about another change. */
  clear(): void {
    this.#done.clear()
    this.take()
  }
}
