import { denied } from '../acl/rule.js'
import type { Denied } from '../acl/types.js'
import type { Access, AccessGranted, AccessRefused, Authorizer, Refusal, Session } from '../authorizer/types.js'
import type { SessionOwner } from './owners.js'

/** Who decides, and reports what is refused: a session, or an account without one. */
export type Judge = Pick<Session, 'authorizePublish' | 'authorizeSubscribe' | 'refuse'>

/** Decides by what an account may do at this moment, and reports refusals as a session does. */
export function accountJudge(authorizer: Authorizer, { principal, compiled }: Access): Judge {
  const report = (action: Refusal['action'], subject: string, decision: Denied, detail?: string): Denied =>
    authorizer.refuse({ principal, action, subject, decision, ...(detail !== undefined && { detail }) })
  return {
    authorizePublish(topic, facts) {
      const decision = compiled.authorizePublish(principal, topic, facts)
      return decision.allow ? decision : report('publish', topic, decision)
    },
    authorizeSubscribe(filter, facts, detail) {
      const decision = compiled.authorizeSubscribe(principal, filter, facts)
      return decision.allow ? decision : report('subscribe', filter, decision, detail)
    },
    refuse: (action, subject, reason, detail) => report(action, subject, denied(reason), detail),
  }
}

/**
 * Tells whether an owner is no more, by what a look-up of its account came to: the account is gone or has expired, or
 * its record of exactly this client id is gone and the `*` one decides, by which it does not get back what it had.
 */
export function isOver({ kind }: SessionOwner, found: AccessGranted | AccessRefused): boolean {
  if (found.allow) return kind === 'exact' && found.access.recordKey?.clientId === '*'
  return found.reason === 'bad_credentials' || found.reason === 'expired'
}
