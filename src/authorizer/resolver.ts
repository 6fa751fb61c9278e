import type { Principal } from '../acl/types.js'
import type { RecordInvalid } from '../errors.js'
import type { RecordKey } from '../record/types.js'
import type { Account } from './accounts.js'
import { type Dependent, Dependents, exactKey, wildcardKey } from './dependents.js'
import { type Known, type RecordCache, TooManyChanges } from './record-cache.js'

/** What was read of the two records a principal depends on. */
export interface Resolution {
  /** The deciding record: the exact one, else the `*` one, else none. An unusable exact record hides the `*` one. */
  readonly account: Account | RecordInvalid | undefined
  /** When the exact record was asked for. */
  readonly exactReadAt: number
  /** When the deciding record was asked for. */
  readonly readAt: number
  readonly epoch: number
}

const MAX_TRIES = 3

/** Somebody who is about to decide: hears whether what was read has changed meanwhile. */
class Bystander implements Dependent {
  readonly principal: Principal
  isDisturbed = false

  constructor(principal: Principal) {
    this.principal = principal
  }

  named(_key: RecordKey): void {
    this.isDisturbed = true
  }
}

/** Finds the record that decides for a principal. */
export class Resolver {
  readonly #cache: RecordCache
  readonly #wildcard: boolean
  readonly #bystanders: Dependents<Bystander> = new Dependents()
  readonly #all: Set<Bystander> = new Set()

  constructor(cache: RecordCache, wildcard: boolean) {
    this.#cache = cache
    this.#wildcard = wildcard
  }

  /** Reads what is not fresh. Does not notice changes between its two reads: see {@link settle}. */
  async resolve(principal: Principal, readSince?: number, exact?: Known): Promise<Resolution> {
    const own = exact ?? (await this.#cache.get(exactKey(principal), readSince))
    if (own.account !== undefined || !this.#wildcard) {
      return { account: own.account, exactReadAt: own.readAt, readAt: own.readAt, epoch: own.epoch }
    }
    return combine(own, await this.#cache.get(wildcardKey(principal), readSince))
  }

  /** The resolution that may still decide although the store cannot be read, if there is one. */
  inGrace(principal: Principal): Resolution | undefined {
    const own = this.#cache.inGrace(exactKey(principal))
    if (own === undefined) return undefined
    if (own.account !== undefined) return { ...own, exactReadAt: own.readAt }
    const shared = this.#wildcard ? this.#cache.inGrace(wildcardKey(principal)) : undefined
    return shared && combine(own, shared)
  }

  /**
   * Runs `act` on what decides for a principal, and again, at most three times in all, if that changed before `act` was
   * done. What `act` does synchronously at its end is thus done while its resolution holds.
   *
   * @param act Gets a way to ask, and answers `undefined` to be run again.
   * @throws TooManyChanges, and what reading throws.
   */
  async settle<T>(principal: Principal, act: (isCurrent: () => boolean) => Promise<T | undefined>): Promise<T> {
    const bystander = new Bystander(principal)
    this.#bystanders.add(bystander)
    this.#all.add(bystander)
    try {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        bystander.isDisturbed = false
        const result = await act(() => !bystander.isDisturbed)
        if (result !== undefined) return result
      }
      throw new TooManyChanges('the record changed while the request was decided')
    } finally {
      this.#bystanders.remove(bystander)
      this.#all.delete(bystander)
    }
  }

  /** A record was named by a change. */
  named(key: RecordKey): void {
    this.#cache.forget(key)
    for (const bystander of this.#bystanders.of(key)) bystander.named(key)
  }

  /** Anything may have changed. */
  lost(): void {
    this.#cache.clear()
    for (const bystander of this.#all) bystander.isDisturbed = true
  }
}

function combine(own: Known, shared: Known): Resolution {
  return {
    account: shared.account,
    exactReadAt: own.readAt,
    readAt: shared.readAt,
    epoch: Math.min(own.epoch, shared.epoch),
  }
}
