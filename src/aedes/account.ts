import { denied } from '../acl/rule.js'
import type { Denied, DenyReason } from '../acl/types.js'
import type { Access, Authorizer, Refusal, Session } from '../authorizer/types.js'

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

/** Tells whether an account exists no more, by the reason its look-up was refused with. */
export function isGone(reason: DenyReason): boolean {
  return reason === 'bad_credentials' || reason === 'expired'
}
