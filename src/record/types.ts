import type { Acl } from '../acl/types.js'

/**
 * Names one record: VerneMQ's mountpoint, client id and username. The client id `*` names the record for every client
 * id.
 */
export interface RecordKey {
  /** `''` unless the listener of the broker sets one. */
  readonly mountpoint: string
  readonly clientId: string
  readonly username: string
}

/** A value that JSON can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue }

/** One account: its password hash and its rules. Wire names (`publish_acl`, `max_qos`) exist only in the JSON text. */
export interface AclRecord extends Acl {
  /** Password hash, bcrypt `$2a$…` for VerneMQ. */
  readonly passhash: string
  /**
   * Moment at which the record ends, in Unix **seconds** (wire name `expires_at`; VerneMQ ignores it). Integer, 0 or
   * more. Sessions of the record are cut then.
   */
  readonly expiresAt?: number
  /** Other top-level members of the JSON object, kept so that a rewrite loses nothing. VerneMQ ignores them. */
  readonly extra?: { readonly [name: string]: JsonValue }
}
