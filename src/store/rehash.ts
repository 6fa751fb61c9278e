import type { AclRecord } from '../record/types.js'
import { digestOf } from './write.js'

/** Member of `extra` by which a record says that its hash is a new one of the same password. VerneMQ ignores it. */
const MEMBER = 'rehash_of'

/** A password hash with the link, if any, to the hash of the same password that it replaced. */
export interface LinkedHash {
  readonly passhash: string
  readonly rehashOf: string | undefined
}

/** A record with a new hash of the same password. It names the hash it replaces, so that nobody is cut for it. */
export function rehashed(record: AclRecord, passhash: string): AclRecord {
  return { ...record, passhash, extra: { ...record.extra, [MEMBER]: linkOf(record.passhash, passhash) } }
}

/** What a record says of its hash. */
export function linkedHash({ passhash, extra }: Pick<AclRecord, 'passhash' | 'extra'>): LinkedHash {
  const link = extra?.[MEMBER]
  return { passhash, rehashOf: typeof link === 'string' ? link : undefined }
}

/** Whether a hash is of the same password as an earlier one, as far as can be told. */
export function isSamePassword(before: string, { passhash, rehashOf }: LinkedHash): boolean {
  return passhash === before || (rehashOf !== undefined && rehashOf === linkOf(before, passhash))
}

/** Binds both hashes: left over in a record whose password was changed later, a link means nothing. */
function linkOf(before: string, after: string): string {
  return digestOf(JSON.stringify([before, after]))
}
