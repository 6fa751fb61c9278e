import type { RecordStore } from '../store/types.js'
import type { Freshness } from './types.js'

/** Limits of trust in milliseconds; see the options of the same names. */
export interface TrustLimits {
  readonly maxAgeMs: number
  readonly staleWindowMs: number
  readonly outageGraceMs: number
  readonly readTimeoutMs: number
}

/**
 * A time in which no change went unheard. Whatever was read in it is known to hold up to `heardUntil`, or up to the
 * moment the read was sent if that is later; invalidations only ever shorten this.
 *
 * What was read keeps its epoch, so that one that is over goes on vouching for what it vouched for at its end.
 */
export interface Epoch {
  /** Moment up to which everything was heard; `Infinity` for a store that cannot become deaf. */
  heardUntil: number
}

/** When a change was told of, and what was vouched for then. */
export interface Notice {
  readonly at: number
  readonly epoch: Epoch
  readonly heardUntil: number
}

/** What the store's link vouches for. */
export class Trust {
  readonly limits: TrustLimits
  readonly now: () => number
  /** The longest something known may go on deciding while the store is silent. */
  readonly graceMs: number
  epoch: Epoch = { heardUntil: Number.NEGATIVE_INFINITY }
  state: 'live' | 'blind' = 'blind'

  constructor(limits: TrustLimits, now: () => number) {
    this.limits = limits
    this.now = now
    this.graceMs = Math.max(limits.staleWindowMs + limits.readTimeoutMs, limits.outageGraceMs)
  }

  /** The longest that anything known decides when the store falls silent, however it does. */
  get longestMs(): number {
    return Math.min(this.graceMs, this.limits.maxAgeMs)
  }

  /** Takes note of a link event. A moment in the future vouches for no more than the present. */
  hear(state: 'live' | 'blind', at: number): void {
    const { epoch } = this
    this.state = state === 'live' ? 'live' : 'blind'
    if (this.state === 'live') {
      const heard = at === Number.POSITIVE_INFINITY ? at : Math.min(at, this.now())
      // What is no number is never greater.
      if (typeof at === 'number' && heard > epoch.heardUntil) epoch.heardUntil = heard
    } else if (epoch.heardUntil === Number.POSITIVE_INFINITY) {
      // A link that broke has heard everything up to its last beat; one that could not become deaf has, up to now.
      epoch.heardUntil = Math.min(this.now(), Number.isFinite(at) ? at : Number.NEGATIVE_INFINITY)
    }
  }

  /** Anything may have changed: a new epoch begins. */
  renew(): void {
    const { heardUntil } = this.epoch
    this.epoch.heardUntil = Math.min(heardUntil, this.now())
    this.epoch = { heardUntil }
  }

  /**
   * Whether what was read then may be used without asking again.
   *
   * @param share Part of the limits that counts, for those who ask again before they have to.
   */
  isFresh(readAt: number, epoch: Epoch, now: number, share = 1): boolean {
    const { heardUntil } = epoch
    const { maxAgeMs, staleWindowMs } = this.limits
    if (epoch !== this.epoch) return false
    if (heardUntil === Number.POSITIVE_INFINITY) return true
    return now - readAt <= maxAgeMs * share && now - Math.max(readAt, heardUntil) <= staleWindowMs * share
  }

  /** The moment up to which what was read then is fresh, if from now on everything is heard. */
  freshUntil(readAt: number, epoch: Epoch, share: number): number {
    if (epoch !== this.epoch) return Number.NEGATIVE_INFINITY
    return epoch.heardUntil === Number.POSITIVE_INFINITY ? epoch.heardUntil : readAt + this.limits.maxAgeMs * share
  }

  /** Whether an epoch goes on, and what happened in it was heard up to now or shortly before. */
  isHeard(epoch: Epoch, now: number, share: number): boolean {
    return epoch === this.epoch && now - epoch.heardUntil <= this.limits.staleWindowMs * share
  }

  /** Whether what was read then may go on deciding while the store is silent. */
  isInGrace(readAt: number, epoch: Epoch, now: number): boolean {
    if (epoch.heardUntil === Number.POSITIVE_INFINITY) return true
    return now - readAt <= this.limits.maxAgeMs && now <= this.#graceEnd(readAt, epoch)
  }

  /** A change is told of now. */
  notice(): Notice {
    const { epoch } = this
    return { at: this.now(), epoch, heardUntil: epoch.heardUntil }
  }

  /**
   * From when on what was read then decides no more, unless it is read again, if a change named it. That change may have
   * been made as long ago as the last beat before: one that came after it vouches for nothing held here.
   */
  unreadFrom(readAt: number, epoch: Epoch, notice: Notice): number {
    const graceEnd = this.#graceEnd(readAt, epoch === notice.epoch ? notice : epoch)
    return Math.min(notice.at + this.limits.readTimeoutMs, graceEnd)
  }

  /** How things stand, for a store that hears of changes as this one does. */
  freshness(store: Pick<RecordStore, 'hears' | 'links'>): Freshness {
    const { epoch, state } = this
    const { staleWindowMs, readTimeoutMs, outageGraceMs, maxAgeMs } = this.limits
    const { hears = 'everything' } = store
    const isNeverDeaf = epoch.heardUntil === Number.POSITIVE_INFINITY
    return {
      state,
      boundMs: isNeverDeaf ? 0 : hears === 'own writes' ? maxAgeMs : this.longestMs,
      terms: { staleWindowMs, readTimeoutMs, outageGraceMs, maxAgeMs },
      ageMs: this.#age(epoch.heardUntil),
      hears,
      links: (store.links?.() ?? []).map(({ server, state, at }) => ({ server, state, ageMs: this.#age(at) })),
    }
  }

  #graceEnd(readAt: number, { heardUntil }: Pick<Epoch, 'heardUntil'>): number {
    return Math.max(readAt, heardUntil) + this.graceMs
  }

  #age(heardUntil: number): number {
    return heardUntil === Number.POSITIVE_INFINITY ? 0 : this.now() - heardUntil
  }
}
