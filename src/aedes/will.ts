import { denied } from '../acl/rule.js'
import type { Decision, Denied } from '../acl/types.js'
import type { AccessRequest, Session } from '../authorizer/types.js'
import { accountJudge } from './account.js'
import type { BrokerClient, Message } from './broker.js'
import type { Context } from './context.js'
import { modifiersOf, neutralize, rewrite } from './message.js'
import { askPublishGuest, judgePublish } from './verdict.js'

/** Whose a stored will is. Kept in the will itself, since a broker that dies leaves nothing else. */
interface Stamped extends Message {
  warden?: Account
}

/** `username` is left out for an anonymous client. */
type Account = Pick<AccessRequest, 'mountpoint' | 'username'>

/** Writes its owner on a will, so that whichever broker publishes it later can judge it. */
export function stampWill(will: Message, session: Session): void {
  ;(will as Stamped).warden = accountOf(session)
}

function accountOf({ principal: { mountpoint, username }, recordKey }: Session): Account {
  return recordKey === undefined ? { mountpoint } : { mountpoint, username }
}

/** Tells whether a packet is a will: of this client, or one that was stored. */
export function isWill(client: BrokerClient | null, packet: Message): boolean {
  return client === null || packet === client.will || packet.brokerId !== undefined
}

/**
 * Judges a will that is about to be published, and never ends in an error: in the sweep after a broker died, an error
 * would end the sweep for all. A refused will becomes a message that nobody gets.
 */
export function fireWill(context: Context, client: BrokerClient | null, will: Message, done: () => void): void {
  const refuse = (): void => {
    neutralize(will)
    will.qos = 0
    done()
  }
  const settle = (decision: Decision): void => {
    if (!decision.allow) {
      refuse()
      return
    }
    const modifiers = modifiersOf(decision)
    if (modifiers !== undefined) rewrite(will, modifiers)
    // Nobody waits for an acknowledgement of a will.
    will.qos = modifiers?.qos ?? will.qos
    askPublishGuest(context, client, will, error => (error === undefined ? done() : refuse()))
  }
  const member = client === null || will !== client.will ? undefined : context.members.of(client)
  const decision = member && judgePublish(context, member.session, will)
  // Of a session that was revoked, the rules that the account has now decide.
  if (decision !== undefined && (decision.allow || decision.reason !== 'revoked')) {
    settle(decision)
    return
  }
  judgeByAccount(context, will, member ? accountOf(member.session) : (will as Stamped).warden).then(settle, error => {
    context.fault(error, 'will')
    refuse()
  })
}

/** Judges a will whose session is over, perhaps with its broker, by what the account that left it may do now. */
async function judgeByAccount(context: Context, will: Message, account: Account | undefined): Promise<Decision> {
  const { authorizer } = context
  const { topic, clientId = '' } = will
  const refuse = (decision: Denied, detail?: string): Denied => {
    const principal = { mountpoint: account?.mountpoint ?? '', clientId, username: account?.username ?? '' }
    return authorizer.refuse({ principal, action: 'publish', subject: topic, decision, ...(detail && { detail }) })
  }
  if (account === undefined) return refuse(denied('no_matching_rule'), 'will without a known owner')
  const found = await authorizer.access({ ...account, clientId })
  if (!found.allow) return refuse(found, found.detail)
  return judgePublish(context, accountJudge(authorizer, found.access), will)
}
