import { HashTimeout } from '../errors.js'
import { createBcryptHasher } from '../password/hasher.js'
import { createNativeHasher } from '../password/native.js'
import type { HashOrigin, PasswordHasher } from '../password/types.js'
import { createFingerprint, createVerifiedPasswords, type VerifiedPasswords } from '../password/verified.js'
import type { Account } from './accounts.js'
import type { Attempt } from './attempt.js'
import { networkOf } from './network.js'
import type { Settings } from './options.js'

/** A hash under way, for all who bring the same password for the same record meanwhile. */
interface Flight {
  readonly outcome: Promise<boolean>
  readonly client: AbortController
  isOver: boolean
  /** Logins that wait for it; the last that leaves ends it. */
  waiting: number
}

/** Judges passwords: by what was found out before, or by one hash for all who bring the same at the same time. */
export class Passwords {
  readonly hasher: PasswordHasher
  /** Names a password that was brought for a hash of a record, and tells none of them. */
  readonly nameOf: (record: string, passhash: string, password: string) => string = createFingerprint()
  readonly #proven: VerifiedPasswords
  /** Kept apart, so that guesses evict no proven password. */
  readonly #refuted: VerifiedPasswords
  readonly #flights: Map<string, Flight> = new Map()
  /** Logins that found the hash they needed under way. */
  shared = 0

  constructor(settings: Settings) {
    const { maxVerified: max, verifiedTtlMs: ttlMs, now } = settings
    this.hasher = hasherOf(settings)
    this.#proven = createVerifiedPasswords({ max, ttlMs, now })
    this.#refuted = createVerifiedPasswords({ max, ttlMs, now })
  }

  /** Number of passwords remembered as right. */
  get proven(): number {
    return this.#proven.size
  }

  /**
   * Whether the password is right, where that was found out before.
   *
   * @param account Whose it is, where there is one: it keeps what is found.
   * @param at The time, for who has looked at the clock.
   */
  recall(name: string, account: Account | undefined, at?: number): boolean | undefined {
    if (account?.proof !== undefined && this.#proven.holds(account.proof, name, at)) return true
    const proof = this.#proven.find(name, at)
    if (proof === undefined) return this.#refuted.find(name, at) === undefined ? undefined : false
    if (account !== undefined) account.proof = proof
    return true
  }

  /** Remembers whether a password is right. */
  remember(name: string, isRight: boolean): void {
    const memory = isRight ? this.#proven : this.#refuted
    memory.add(name)
  }

  /**
   * Finds out whether a password is right. Answers `false` when the attempt is stopped. Throws as the hasher does,
   * where it was this attempt's own time that was over.
   */
  async judge(name: string, account: Account, password: string, attempt: Attempt): Promise<boolean> {
    const joined = this.#flights.get(name)
    if (joined !== undefined) {
      this.shared++
      const isRight = await this.#await(name, joined, attempt).catch((error: unknown) => {
        if (!(error instanceof HashTimeout)) throw error
        return undefined
      })
      if (isRight !== undefined) return isRight
      return this.judge(name, account, password, attempt)
    }
    return this.#await(name, this.#begin(name, account, password, attempt), attempt)
  }

  async close(): Promise<void> {
    this.#proven.clear()
    this.#refuted.clear()
    await this.hasher.close()
  }

  #begin(name: string, { passhash }: Account, password: string, attempt: Attempt): Flight {
    const { mountpoint, username } = attempt.checked.principal
    const { address } = attempt
    const origin: HashOrigin = {
      address: address === undefined ? undefined : networkOf(address),
      account: JSON.stringify([mountpoint, username]),
    }
    const client = new AbortController()
    const verify = async () => {
      const limits = { timeoutMs: attempt.timeoutMs, signal: client.signal, origin }
      const isRight = (await this.hasher.verify(password, passhash, limits)) === true
      if (!client.signal.aborted) this.remember(name, isRight)
      return isRight
    }
    const flight: Flight = { outcome: verify(), client, isOver: false, waiting: 0 }
    this.#flights.set(name, flight)
    const end = () => {
      flight.isOver = true
      this.#land(name, flight)
    }
    flight.outcome.then(end, end)
    return flight
  }

  async #await(name: string, flight: Flight, { stopped }: Attempt): Promise<boolean> {
    flight.waiting++
    try {
      return (await Promise.race([flight.outcome, stopped])) === true
    } finally {
      flight.waiting--
      if (flight.waiting === 0) this.#land(name, flight)
    }
  }

  /** Nobody joins it any more. */
  #land(name: string, flight: Flight): void {
    if (this.#flights.get(name) === flight) this.#flights.delete(name)
    // An error is made for whoever might hear of it, which takes longer than all the rest.
    if (flight.waiting === 0 && !flight.isOver) flight.client.abort()
  }
}

function hasherOf({ hasher, semantics, hashQueue: queue, maxCost }: Settings): PasswordHasher {
  if (typeof hasher === 'object') return hasher
  const create = hasher === 'native' ? createNativeHasher : createBcryptHasher
  // VerneMQ's bcrypt takes the other names of the same algorithm for malformed hashes.
  return create({ queue, maxCost, ...(semantics === 'vernemq' && { acceptedPrefixes: ['$2a$'] }) })
}
