import { denied } from '../acl/rule.js'
import type { Decision, Principal } from '../acl/types.js'
import type { Session } from '../authorizer/types.js'
import type { BrokerClient, Message } from './broker.js'
import type { Context } from './context.js'
import { canApply, factsOf, modifiersOf, neutralize, rewrite, topicProblem } from './message.js'
import { askPublishGuest, judgePublish } from './verdict.js'

/** Whose a stored will is. Kept in the will itself, since a broker that dies leaves nothing else. */
interface Stamped extends Message {
  warden?: { readonly mountpoint: string; readonly username: string }
}

/** Writes its owner on a will, so that whichever broker publishes it later can judge it. */
export function stampWill(will: Message, { principal: { mountpoint, username }, recordKey }: Session): void {
  if (recordKey !== undefined) (will as Stamped).warden = { mountpoint, username }
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
  judgeByAccount(context, will, member?.session.principal).then(settle, error => {
    context.fault(error, 'will')
    refuse()
  })
}

/** Judges a will whose session is over, perhaps with its broker, by the account that left it. */
async function judgeByAccount(context: Context, will: Stamped, known: Principal | undefined): Promise<Decision> {
  const { broker, authorizer } = context
  const { topic, clientId, warden } = will
  const principal = known ?? (warden && clientId !== undefined ? { ...warden, clientId } : undefined)
  if (principal === undefined) throw new Error('a will without a known owner was dropped')
  const problem = topicProblem(topic, broker)
  if (problem !== undefined) return denied(problem)
  const decision = await authorizer.authorizePublish(principal, topic, factsOf(will))
  const modifiers = decision.allow ? modifiersOf(decision) : undefined
  return modifiers === undefined || canApply(modifiers, broker) ? decision : denied('modifiers_unsupported')
}
