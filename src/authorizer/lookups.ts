import { denied } from '../acl/rule.js'
import type { Denied, Principal } from '../acl/types.js'
import { RecordInvalid } from '../errors.js'
import type { Account } from './accounts.js'
import { describeKey } from './describe.js'
import type { Emitter } from './emitter.js'
import { type Known, TooManyChanges } from './record-cache.js'
import { identityProblem } from './request.js'
import type { Resolver } from './resolver.js'
import type { Trust } from './trust.js'

/** The account that decides, or why there is none. */
export type Found = readonly [account: Account | Denied, detail?: string | undefined]

/** Finds accounts for callers whose broker has logged the client in. */
export class Lookups {
  readonly #resolver: Resolver
  readonly #trust: Trust
  readonly #emitter: Emitter
  readonly #isClosed: () => boolean

  constructor(resolver: Resolver, trust: Trust, emitter: Emitter, isClosed: () => boolean) {
    this.#resolver = resolver
    this.#trust = trust
    this.#emitter = emitter
    this.#isClosed = isClosed
  }

  /** What decides for a principal now, from what is held; `undefined` where something has to be read. */
  held(principal: Principal, now: number): Found | undefined {
    if (this.#isClosed()) return [denied('closed')]
    const problem = identityProblem(principal)
    if (problem !== undefined) return [denied('client_id_refused'), problem]
    const held = this.#resolver.held(principal, { now })
    return held && this.#judge(held, now)
  }

  /** What decides for a principal at this moment. */
  async find(principal: Principal): Promise<Found> {
    try {
      const known = await this.#resolver.settle(principal, async isCurrent => {
        const known = await this.#resolve(principal)
        return isCurrent() ? known : undefined
      })
      return this.#isClosed() ? [denied('closed')] : this.#judge(known, this.#trust.now())
    } catch (error) {
      if (this.#isClosed()) return [denied('closed')]
      if (error instanceof TooManyChanges) return [denied('busy'), error.message]
      this.#emitter.error(error, `decision for ${describeKey(principal)}`)
      return [denied('store_unavailable'), error instanceof Error ? error.message : undefined]
    }
  }

  /** The account that was found, if it can be used. */
  #judge({ account }: Known, now: number): Found {
    if (account === undefined) return [denied('bad_credentials'), 'no record']
    if (account instanceof RecordInvalid) return [denied('record_invalid'), account.message]
    return [now >= account.endsAt ? denied('expired') : account]
  }

  /** What decides; while the store cannot be read, what is still trusted. The broker has checked the password. */
  async #resolve(principal: Principal): Promise<Known> {
    try {
      return await this.#resolver.resolve(principal)
    } catch (error) {
      const held = error instanceof TooManyChanges ? undefined : this.#resolver.inGrace(principal)
      if (held === undefined) throw error
      return held
    }
  }
}
