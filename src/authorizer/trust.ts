/** Limits of trust in milliseconds; see the options of the same names. */
export interface TrustLimits {
  readonly maxAgeMs: number
  readonly staleWindowMs: number
  readonly outageGraceMs: number
  readonly readTimeoutMs: number
}

/**
 * What the store's link vouches for.
 *
 * Everything read since the last `unknown` event (one epoch) is known to hold up to the moment of the last answered beat,
 * `liveAt`; a later read holds up to the moment it was sent. Invalidations only ever shorten this.
 */
export class Trust {
  readonly limits: TrustLimits
  readonly now: () => number
  /** Grows whenever anything may have changed unheard. */
  epoch = 0
  /** Moment up to which everything was heard; `Infinity` for a store that cannot become deaf. */
  liveAt: number = Number.NEGATIVE_INFINITY
  state: 'live' | 'blind' = 'blind'

  constructor(limits: TrustLimits, now: () => number) {
    this.limits = limits
    this.now = now
  }

  /** Takes note of a link event. A moment in the future vouches for no more than the present. */
  hear(state: 'live' | 'blind', at: number): void {
    this.state = state
    if (Number.isNaN(at)) return
    const heard = at === Number.POSITIVE_INFINITY ? at : Math.min(at, this.now())
    // A link that broke has still heard everything up to its last beat; one that could never go deaf has now ended.
    if (state === 'live') this.liveAt = Math.max(this.liveAt, heard)
    else if (this.liveAt === Number.POSITIVE_INFINITY) this.liveAt = heard
  }

  /** The longest something known may go on deciding while the store is silent. */
  get graceMs(): number {
    return Math.max(this.limits.staleWindowMs + this.limits.readTimeoutMs, this.limits.outageGraceMs)
  }

  /** Up to which moment a read of this epoch is known to hold. */
  heldUntil(readAt: number, epoch: number): number {
    return epoch === this.epoch ? Math.max(readAt, this.liveAt) : readAt
  }

  /** Whether what was read then may be used without asking again. */
  isFresh(readAt: number, epoch: number, now: number): boolean {
    if (epoch !== this.epoch || now - readAt > this.limits.maxAgeMs) return false
    return now - this.heldUntil(readAt, epoch) <= this.limits.staleWindowMs
  }

  /** Whether what was read then may go on deciding while the store is silent. */
  isInGrace(readAt: number, epoch: number, now: number): boolean {
    return now - readAt <= this.limits.maxAgeMs && now - this.heldUntil(readAt, epoch) <= this.graceMs
  }
}
