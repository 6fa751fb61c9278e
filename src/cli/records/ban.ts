import { randomBytes } from 'node:crypto'
import { hashPassword } from '../../password/index.js'
import { parseRecord } from '../../record/parse.js'
import { serializeRecord } from '../../record/serialize.js'
import type { AclRecord } from '../../record/types.js'

/** Member of a banned record: when, and what it was before. Other readers of records pass over it. */
const BANNED = 'banned'

/** What a banned record was before it. */
export interface Ban {
  readonly former: AclRecord | null
}

/** Allows nothing, and its password is thrown away: whoever is connected is cut, and nobody logs in. */
export async function bannedRecord(former: AclRecord | undefined): Promise<AclRecord> {
  const passhash = await hashPassword(randomBytes(32).toString('hex'))
  const record = former === undefined ? null : serializeRecord(withoutBan(former))
  const at = Math.floor(Date.now() / 1_000)
  return { passhash, publishAcl: [], subscribeAcl: [], extra: { [BANNED]: { at, passhash, record } } }
}

/** The ban that a record is; `undefined` for one that is none, or was given another password since. */
export function banOf({ passhash, extra }: AclRecord): Ban | undefined {
  const ban = extra?.[BANNED]
  if (typeof ban !== 'object' || ban === null || !('record' in ban) || ban.passhash !== passhash) return undefined
  return { former: typeof ban.record === 'string' ? parseRecord(ban.record) : null }
}

function withoutBan({ extra = {}, ...record }: AclRecord): AclRecord {
  const { [BANNED]: _ban, ...others } = extra
  return { ...record, extra: others }
}
