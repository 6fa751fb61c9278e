/** What a check looked at. */
export type RedisCheck =
  | 'connection'
  | 'version'
  | 'topology'
  | 'sentinels'
  | 'quorum'
  | 'replicas'
  | 'epoch'
  | 'eviction'
  | 'read'
  | 'write'
  | 'shared'
  | 'receipts'
  | 'counters'
  | 'invalidation'
  | 'clock'

/** What a check of Redis found. */
export interface RedisFinding {
  /** Address of the server. */
  readonly server: string
  readonly check: RedisCheck
  /**
   * - `ok`: as it should be.
   * - `info`: nothing to act on, or something that this user may not see.
   * - `warning`: works, but not as well as it should, or only for now.
   * - `failed`: does not work.
   */
  readonly level: 'ok' | 'info' | 'warning' | 'failed'
  readonly message: string
  /** What to do about it. */
  readonly remedy?: string
}

/** A finding, before it is known which server it is about. */
export type Finding = Omit<RedisFinding, 'server'>

export function ok(check: RedisCheck, message: string): Finding {
  return { check, level: 'ok', message }
}

/** A finding with a level of its own, and what to do about it. */
export function found(
  check: RedisCheck,
  level: 'info' | 'warning' | 'failed',
  message: string,
  remedy?: string,
): Finding {
  return { check, level, message, ...(remedy !== undefined && { remedy }) }
}
