import type { Decision } from '../acl/types.js'
import type { Session } from '../authorizer/types.js'
import type { BrokerClient, Message } from './broker.js'
import { consult } from './consult.js'
import type { Context } from './context.js'
import { canApply, factsOf, modifiersOf, topicProblem } from './message.js'

/** Decides; sends nothing. */
export function judgePublish({ broker }: Context, session: Session, packet: Message): Decision {
  const { topic } = packet
  const problem = topicProblem(topic, broker)
  if (problem !== undefined) return session.refuse('publish', topic, problem)
  const decision = session.authorizePublish(topic, factsOf(packet))
  if (!decision.allow) return decision
  const modifiers = modifiersOf(decision)
  if (modifiers === undefined || canApply(modifiers, broker)) return decision
  return session.refuse('publish', topic, 'modifiers_unsupported')
}

/** Asks the hook found in our place, which may refuse too. What it changes in the packet does not count. */
export function askPublishGuest(
  context: Context,
  client: BrokerClient | null,
  packet: Message,
  done: (error: Error | undefined) => void,
): void {
  const guest = context.guests.authorizePublish
  if (guest === undefined) {
    done(undefined)
    return
  }
  const copy = { ...packet }
  context.asked.add(copy)
  consult({
    ask: callback => guest.call(context.broker, client, copy, callback),
    done: ({ error }) => done(error === undefined || error instanceof Error ? error : new Error(String(error))),
    fault: error => context.fault(error, 'authorizePublish'),
    deadlineMs: context.settings.deadlineMs,
  })
}
