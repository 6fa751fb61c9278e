import type { Principal } from '../acl/types.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordKey } from '../record/types.js'

/** Who must hear when one of its records changes. */
export interface Dependent {
  readonly principal: Principal
}

/** The key of a principal's own record. */
export function exactKey({ mountpoint, clientId, username }: Principal): RecordKey {
  return { mountpoint, clientId, username }
}

/** The key of the record for every client id of a username. */
export function wildcardKey({ mountpoint, username }: Principal): RecordKey {
  return { mountpoint, clientId: '*', username }
}

/**
 * Who depends on which record. Everyone depends on two: the exact one, also while that is absent, and the `*` one.
 *
 * Most keys have one dependent, which is then held without a set around it.
 */
export class Dependents<D extends Dependent> {
  readonly #wildcard: boolean
  readonly #byKey: Map<string, D | Set<D>> = new Map()

  /** @param wildcard Whether there are `*` records at all. */
  constructor(wildcard: boolean) {
    this.#wildcard = wildcard
  }

  add(dependent: D): void {
    for (const text of this.#keyTexts(dependent)) {
      const present = this.#byKey.get(text)
      if (present === undefined) this.#byKey.set(text, dependent)
      else if (present instanceof Set) present.add(dependent)
      else this.#byKey.set(text, new Set([present, dependent]))
    }
  }

  remove(dependent: D): void {
    for (const text of this.#keyTexts(dependent)) {
      const present = this.#byKey.get(text)
      if (present === dependent) this.#byKey.delete(text)
      else if (present instanceof Set && present.delete(dependent) && present.size === 0) this.#byKey.delete(text)
    }
  }

  of(key: RecordKey): D[] {
    const present = this.#byKey.get(encodeRecordKey(key))
    if (present === undefined) return []
    return present instanceof Set ? [...present] : [present]
  }

  #keyTexts({ principal }: Dependent): string[] {
    const own = encodeRecordKey(exactKey(principal))
    return this.#wildcard ? [own, encodeRecordKey(wildcardKey(principal))] : [own]
  }
}
