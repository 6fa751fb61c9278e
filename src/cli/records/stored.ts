import { AUTHORIZER_DEFAULTS } from '../../authorizer/options.js'
import { RecordInvalid } from '../../errors.js'
import { parseBcryptHash } from '../../password/index.js'
import { encodeRecordKey } from '../../record/key.js'
import type { AclRecord, RecordKey } from '../../record/types.js'
import type { RedisStore } from '../../redis/index.js'
import type { StoredRecord } from '../../store/types.js'
import { CliFault } from '../io.js'

/** Reads a record; one that cannot be used is told with its key, and with what to do about it. */
export async function readStored(store: RedisStore, key: RecordKey): Promise<StoredRecord | undefined> {
  try {
    return await store.getStored(key)
  } catch (error) {
    if (!(error instanceof RecordInvalid)) throw error
    const remedy = 'write a whole one with "put --file", or remove it with "delete"'
    throw new CliFault(`the record ${encodeRecordKey(key)} cannot be used: ${error.message}; ${remedy}`)
  }
}

/** Why nobody could log in by a record that can be read otherwise. */
export function hashProblem({ passhash }: AclRecord): string | undefined {
  const hash = parseBcryptHash(passhash)
  if ('problem' in hash) return `passhash: ${hash.problem}`
  const { fallback: maxCost } = AUTHORIZER_DEFAULTS.maxCost
  return hash.cost > maxCost ? `passhash: cost ${hash.cost} is above the default maxCost, ${maxCost}` : undefined
}
