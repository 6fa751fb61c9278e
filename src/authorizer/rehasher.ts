import { HashBusy, HashTimeout, RecordConflict } from '../errors.js'
import type { HashTarget } from '../password/types.js'
import { rehashed } from '../store/rehash.js'
import type { RecordStore } from '../store/types.js'
import type { Account } from './accounts.js'
import { describeKey } from './describe.js'
import type { Emitter } from './emitter.js'
import type { Passwords } from './passwords.js'

/** Most records whose new hashes are awaited. More come again at their next login. */
const MAX_UNDER_WAY = 100

/** Longest wait for a new hash, in milliseconds: it is computed when no login waits. */
const TIMEOUT_MS = 600_000

/**
 * Writes new hashes of passwords that were just proven, where the old ones fall short of what is wanted. Nobody waits
 * for it, and what somebody else has changed meanwhile stays.
 */
export class Rehasher {
  readonly #target: HashTarget | undefined
  readonly #store: RecordStore
  readonly #passwords: Passwords
  readonly #emitter: Emitter
  /** Texts of the keys. */
  readonly #underWay: Set<string> = new Set()
  readonly #closing: AbortController = new AbortController()
  /** Records written. */
  done = 0

  constructor(target: HashTarget | undefined, store: RecordStore, passwords: Passwords, emitter: Emitter) {
    this.#target = target
    this.#store = store
    this.#passwords = passwords
    this.#emitter = emitter
  }

  /** A password was proven. Returns at once, and never throws. */
  consider(account: Account, password: string): void {
    if (this.#target !== undefined && this.#underWay.size < MAX_UNDER_WAY && !this.#underWay.has(account.text)) {
      void this.#rehash(account, password, this.#target)
    }
  }

  close(): void {
    this.#closing.abort()
  }

  async #rehash(account: Account, password: string, target: HashTarget): Promise<void> {
    this.#underWay.add(account.text)
    try {
      const { hasher } = this.#passwords
      if (hasher.isOutdated?.(account.passhash, target) !== true) return
      const limits = { timeoutMs: TIMEOUT_MS, signal: this.#closing.signal }
      const passhash = await hasher.hash?.(password, target, limits)
      if (passhash === undefined || hasher.passhashProblem(passhash) !== undefined) return
      if (await this.#write(account, passhash, password)) this.done++
    } catch (error) {
      // Another was faster, or it comes again at the next login.
      const isExpected = error instanceof RecordConflict || error instanceof HashBusy || error instanceof HashTimeout
      if (isExpected || this.#closing.signal.aborted) return
      this.#emitter.error(error, `rehash of ${describeKey(account.key)}`)
    } finally {
      this.#underWay.delete(account.text)
    }
  }

  async #write({ key, text, passhash: before }: Account, passhash: string, password: string): Promise<boolean> {
    const stored = await this.#store.getStored?.(key)
    if (stored === undefined || stored.record.passhash !== before || this.#closing.signal.aborted) return false
    // Before anybody can read it: the client is not to be hashed for again.
    this.#passwords.remember(this.#passwords.nameOf(text, passhash, password), true)
    await this.#store.put(key, rehashed(stored.record, passhash), { ifMatch: stored.digest })
    return true
  }
}
