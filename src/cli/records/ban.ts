import { randomBytes } from 'node:crypto'
import { hashPassword } from '../../password/index.js'
import { parseRecord } from '../../record/parse.js'
import { serializeRecord } from '../../record/serialize.js'
import type { AclRecord } from '../../record/types.js'
import { inUtc } from '../io.js'

/** Member of a banned record: when, and what it was before. Other readers of records pass over it. */
const BANNED = 'banned'

/** What a banned record tells of itself. */
export interface Ban {
  /** When it was banned; left out where that is not known. */
  readonly since?: string
  /**
   * What it was before; `null` where there was none.
   *
   * @throws RecordInvalid (`ERR_RECORD_INVALID`) when that has been changed, and is no record.
   */
  former(): AclRecord | null
}

/** Allows nothing, and its password is thrown away: whoever is connected is cut, and nobody logs in. */
export async function bannedRecord(former: AclRecord | undefined): Promise<AclRecord> {
  const passhash = await hashPassword(randomBytes(32).toString('hex'))
  const record = former === undefined ? null : serializeRecord(withoutBan(former))
  const at = Math.floor(Date.now() / 1_000)
  return { passhash, publishAcl: [], subscribeAcl: [], extra: { [BANNED]: { at, passhash, record } } }
}

/** Says that a record is a ban; `undefined` for one that is none. */
export function describeBan(record: AclRecord): string | undefined {
  const ban = banOf(record)
  if (ban === undefined) return undefined
  const since = ban.since === undefined ? '' : ` since ${ban.since}`
  return `is banned${since}: "ban --lift" lets it in again`
}

/** The ban that a record is; `undefined` for one that is none, or was given another password since. */
export function banOf({ passhash, extra }: AclRecord): Ban | undefined {
  const ban = extra?.[BANNED]
  if (typeof ban !== 'object' || ban === null || !('record' in ban) || ban.passhash !== passhash) return undefined
  const { at, record } = ban as { at?: unknown; record: unknown }
  const since = typeof at === 'number' ? inUtc(at * 1_000) : undefined
  return {
    ...(since !== undefined && { since }),
    former: () => (typeof record === 'string' ? parseRecord(record) : null),
  }
}

function withoutBan({ extra = {}, ...record }: AclRecord): AclRecord {
  const { [BANNED]: _ban, ...others } = extra
  return { ...record, extra: others }
}
