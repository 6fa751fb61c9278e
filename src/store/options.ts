import type { Semantics } from '../acl/types.js'

/** The given semantics or the default; a `TypeError` for anything else. */
export function checkSemantics(semantics: Semantics | undefined): Semantics {
  if (semantics === undefined) return 'strict'
  if (semantics !== 'strict' && semantics !== 'vernemq') {
    throw new TypeError('"semantics" option must be "strict" or "vernemq"')
  }
  return semantics
}
