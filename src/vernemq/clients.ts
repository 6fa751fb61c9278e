import { LRUCache } from 'lru-cache'
import type { CompiledAcl } from '../acl/compile.js'
import type { Access, Authorizer } from '../authorizer/types.js'
import { StoreUnavailable, VernemqAdminFailed } from '../errors.js'
import type { Deed } from './deeds.js'
import type { EnforcementSettings } from './enforcement-options.js'
import type { EnforcementFault, VernemqAdmin, VernemqSession } from './types.js'
import { Retries } from './work.js'

/** A client with the user name it is known by. */
export interface KnownClient extends VernemqSession {
  readonly username: string
}

/** Most calls to VerneMQ about clients at the same time: for changes, and as many to verify. */
export const WIDTH = 8

/** Most clients waiting to be verified at their login. */
const MAX_LOGINS = 10_000

/** Acts on clients of VerneMQ, each until it succeeds. */
export class Clients {
  readonly #admin: VernemqAdmin
  readonly #authorizer: Authorizer
  readonly #settings: EnforcementSettings
  readonly #changes: Retries
  /** Of their own, or a change would wait until all that is there at the start, or that comes back, has been verified. */
  readonly #checks: Retries
  /** The rules by which the stored subscriptions of a client were verified last. */
  readonly #verified: LRUCache<string, CompiledAcl>

  constructor(admin: VernemqAdmin, authorizer: Authorizer, settings: EnforcementSettings, signal: AbortSignal) {
    this.#admin = admin
    this.#authorizer = authorizer
    this.#settings = settings
    this.#changes = new Retries(signal, WIDTH)
    this.#checks = new Retries(signal, WIDTH)
    this.#verified = new LRUCache({ max: settings.maxKnown })
  }

  get pending(): number {
    return this.#changes.pending + this.#checks.pending
  }

  /** Resolves after the first try with what was done, if it was. */
  disconnect(client: KnownClient): Promise<Deed | undefined> {
    return this.#run(this.#changes, 'disconnect', client, () => this.#cut(client))
  }

  /** Likewise. */
  reauthorize(client: KnownClient): Promise<Deed | undefined> {
    return this.#run(this.#changes, 'reauthorize', client, () => this.#recheck(client))
  }

  /** Disconnects a client whose login does not hold any more; has the subscriptions of the others judged anew. */
  verify(client: KnownClient, onAccess: (access: Access) => void): Promise<Deed | undefined> {
    return this.#run(this.#checks, 'reauthorize', client, async () => {
      const found = await this.#authorizer.access(client)
      if (found.allow) {
        onAccess(found.access)
        const deed = await this.#recheck(client)
        this.#verified.set(clientText(client), found.access.compiled)
        return deed
      }
      if (isFault(found.reason)) throw new StoreUnavailable(`the record cannot be read: ${found.reason}`)
      return this.#cut(client)
    })
  }

  /** A client comes back to subscriptions that VerneMQ has kept. */
  returned({ principal, compiled }: Access): void {
    const text = clientText(principal)
    if (this.#verified.get(text) === compiled) return
    if (this.#checks.pending >= MAX_LOGINS) {
      this.#report('overflow', principal, new Error('too many clients wait to be verified'), 1, true)
      return
    }
    // Marked before it is done: what fails is tried again anyway.
    this.#verified.set(text, compiled)
    void this.#run(this.#checks, 'reauthorize', principal, () => this.#recheck(principal))
  }

  async #recheck(client: KnownClient): Promise<Deed> {
    try {
      await this.#admin.reauthorize(client)
      return 'reauthorized'
    } catch (error) {
      if (!(error instanceof VernemqAdminFailed && error.isPermanent)) throw error
      // What cannot be judged anew is ended.
      return this.#cut(client)
    }
  }

  async #cut(client: KnownClient): Promise<Deed> {
    this.#verified.delete(clientText(client))
    await this.#admin.disconnect(client, { cleanup: this.#settings.cleanup })
    return 'disconnected'
  }

  async #run(
    retries: Retries,
    what: 'disconnect' | 'reauthorize',
    client: KnownClient,
    job: () => Promise<Deed>,
  ): Promise<Deed | undefined> {
    let deed: Deed | undefined
    const work = async () => {
      deed = await job()
    }
    await retries.run(work, (error, tries, isGivenUp) => this.#report(what, client, error, tries, isGivenUp))
    return deed
  }

  #report(
    what: EnforcementFault['what'],
    { mountpoint, clientId }: KnownClient,
    error: unknown,
    tries: number,
    isGivenUp: boolean,
  ): void {
    this.#settings.onFault({ what, client: { mountpoint, clientId }, error, tries, isGivenUp })
  }
}

/** Whether a refusal says nothing about the record. */
function isFault(reason: string): boolean {
  return reason === 'store_unavailable' || reason === 'busy' || reason === 'closed'
}

function clientText({ mountpoint, clientId, username }: KnownClient): string {
  return JSON.stringify([mountpoint, clientId, username])
}
