import type { Acl, AclRule } from '../acl/types.js'
import type { AclRecord } from '../record/types.js'
import { isSamePassword, linkedHash } from '../store/rehash.js'

/** What is remembered of a record, to tell what a change took away. */
export interface KnownRecord {
  readonly passhash: string
  readonly acl: Acl
}

/**
 * What a change means for the clients of a record: nothing; only more rights; other or fewer rights; or that the login
 * itself does not hold any more. Of a record nobody remembers anything may have been different.
 */
export type Change = 'none' | 'widened' | 'narrowed' | 'revoked'

/** @param record The record as it is now; `undefined` when there is none that can be used. */
export function changeOf(previous: KnownRecord | undefined, record: AclRecord | undefined): Change {
  if (record === undefined || hasEnded(record)) return 'revoked'
  if (previous === undefined || !isSamePassword(previous.passhash, linkedHash(record))) return 'revoked'
  const publish = compareRules(previous.acl.publishAcl, record.publishAcl)
  const subscribe = compareRules(previous.acl.subscribeAcl, record.subscribeAcl)
  if (publish === 'narrowed' || subscribe === 'narrowed') return 'narrowed'
  return publish === 'none' && subscribe === 'none' ? 'none' : 'widened'
}

export function hasEnded({ expiresAt }: AclRecord): boolean {
  return expiresAt !== undefined && expiresAt * 1_000 <= Date.now()
}

/** Rules only ever allow, so that rights were taken away only where one is gone. */
function compareRules(before: readonly AclRule[], after: readonly AclRule[]): Change {
  const kept = new Set(after.map(ruleText))
  if (before.some(rule => !kept.has(ruleText(rule)))) return 'narrowed'
  return before.length === after.length && before.every((rule, at) => ruleText(rule) === ruleText(after[at]!))
    ? 'none'
    : 'widened'
}

/** The same text for the same rule, in whatever order its members were written. */
function ruleText(rule: unknown): string {
  return JSON.stringify(rule, (_name, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
}
