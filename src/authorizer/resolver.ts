import type { Principal } from '../acl/types.js'
import type { RecordKey } from '../record/types.js'
import { type Known, type RecordCache, TooManyChanges } from './record-cache.js'
import type { Trust } from './trust.js'

const MAX_TRIES = 3

/** Somebody who is about to decide: notes whether what was read has changed meanwhile. */
interface Bystander {
  readonly principal: Principal
  isDisturbed: boolean
}

/** What a resolution may be made of. */
export interface ResolveOptions {
  /** Part of the limits within which what is held counts as fresh. @default 1 */
  readonly share?: number
  /** What is known of the exact record already. */
  readonly exact?: Known | undefined
  /** What is known of the `*` record already. */
  readonly shared?: Known | undefined
}

/** What a resolution from what is held may be made of. */
export interface HeldOptions extends ResolveOptions {
  /** The time, for who has looked at the clock. */
  readonly now?: number
}

/**
 * Finds the record that decides for a principal: the exact one, else the `*` one, else none. An unusable exact record
 * hides the `*` one.
 *
 * What is `Known` then was read, if of two records, when the older of them was.
 */
export class Resolver {
  readonly #cache: RecordCache
  readonly #trust: Trust
  readonly #wildcard: boolean
  /** As many as there are requests under way. */
  readonly #bystanders: Set<Bystander> = new Set()

  constructor(cache: RecordCache, trust: Trust, wildcard: boolean) {
    this.#cache = cache
    this.#trust = trust
    this.#wildcard = wildcard
  }

  /** Reads what is not fresh. Does not notice changes between its two reads: see {@link settle}. */
  async resolve(principal: Principal, { share, exact }: ResolveOptions = {}): Promise<Known> {
    const own = exact ?? (await this.#cache.get(principal, share))
    if (this.#isDeciding(own)) return own
    return combine(own, await this.#cache.get(wildcardKey(principal), share))
  }

  /** As {@link resolve}, from what is held; `undefined` where something would have to be read. */
  held(principal: Principal, options: HeldOptions): Known | undefined {
    return this.#lookUp(principal, options, key => this.#cache.held(key, options.share, options.now))
  }

  /** What may still decide although the store cannot be read. */
  inGrace(principal: Principal): Known | undefined {
    return this.#lookUp(principal, {}, key => this.#cache.inGrace(key))
  }

  get readsAtOnce(): number {
    return this.#cache.readsAtOnce
  }

  /** Has one record held, for many who will ask for it. */
  async prepare(key: RecordKey): Promise<void> {
    await this.#cache.get(key)
  }

  /** What is held of one record, to resolve with. */
  given(key: RecordKey): ResolveOptions {
    const known = this.#cache.held(key)
    return key.clientId === '*' ? { shared: known } : { exact: known }
  }

  /**
   * Runs `act` on what decides for a principal, and again, at most three times in all, if that changed before `act` was
   * done. What `act` does synchronously at its end is thus done while its resolution holds.
   *
   * @param act Gets a way to ask, and answers `undefined` to be run again.
   * @throws TooManyChanges, and what reading throws.
   */
  async settle<T>(principal: Principal, act: (isCurrent: () => boolean) => Promise<T | undefined>): Promise<T> {
    const bystander: Bystander = { principal, isDisturbed: false }
    this.#bystanders.add(bystander)
    try {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const { epoch } = this.#trust
        bystander.isDisturbed = false
        const result = await act(() => !bystander.isDisturbed && epoch === this.#trust.epoch)
        if (result !== undefined) return result
      }
      throw new TooManyChanges('the record changed while the request was decided')
    } finally {
      this.#bystanders.delete(bystander)
    }
  }

  /** A record was named by a change. */
  named(key: RecordKey): void {
    this.#cache.forget(key)
    for (const bystander of this.#bystanders) bystander.isDisturbed ||= concerns(key, bystander.principal)
  }

  #lookUp(
    principal: Principal,
    { exact, shared }: ResolveOptions,
    find: (key: RecordKey) => Known | undefined,
  ): Known | undefined {
    const own = exact ?? find(principal)
    if (own === undefined || this.#isDeciding(own)) return own
    const other = shared ?? find(wildcardKey(principal))
    return other && combine(own, other)
  }

  #isDeciding(own: Known): boolean {
    return own.account !== undefined || !this.#wildcard
  }
}

/** The key of the record for every client id of a username. */
function wildcardKey({ mountpoint, username }: Principal): RecordKey {
  return { mountpoint, clientId: '*', username }
}

/** Whether a record may decide for a principal: its own also while that is absent. */
function concerns({ mountpoint, clientId, username }: RecordKey, principal: Principal): boolean {
  const isItsOwn = clientId === principal.clientId || clientId === '*'
  return isItsOwn && username === principal.username && mountpoint === principal.mountpoint
}

function combine(own: Known, shared: Known): Known {
  return {
    account: shared.account,
    readAt: Math.min(own.readAt, shared.readAt),
    // Asked for first, so of the same epoch or the older one.
    epoch: own.epoch,
  }
}
