import { denied } from '../acl/rule.js'
import { topicFilterProblem } from '../acl/topic.js'
import type { Decision, Qos, SubscribeRule } from '../acl/types.js'
import type { Session } from '../authorizer/types.js'
import type { BrokerClient, Message, Subscription } from './broker.js'
import { consult } from './consult.js'
import type { Context } from './context.js'
import { canApply, factsOf, modifiersOf, topicProblem } from './message.js'

const SHARE_PREFIX = '$share/'

/** Who decides a PUBLISH, and reports what the adapter refuses. */
export type PublishJudge = Pick<Session, 'authorizePublish' | 'refuse'>

/** Decides; sends nothing. */
export function judgePublish(context: Context, session: PublishJudge, packet: Message): Decision {
  return withoutThrowing(context, 'authorizePublish', () => {
    const { broker } = context
    const { topic } = packet
    const problem = topicProblem(topic, broker)
    if (problem !== undefined) return session.refuse('publish', topic, problem)
    const decision = session.authorizePublish(topic, factsOf(packet))
    if (!decision.allow) return decision
    const modifiers = modifiersOf(decision)
    if (modifiers === undefined || canApply(modifiers, broker)) return decision
    return session.refuse('publish', topic, 'modifiers_unsupported')
  })
}

/** Decides; sends nothing. What aedes cannot keep to is refused with a reason of its own. */
export function judgeSubscribe(context: Context, session: Session, { topic, qos }: Subscription): Decision {
  return withoutThrowing(context, 'authorizeSubscribe', () => {
    if (topicFilterProblem(topic) !== undefined) return session.refuse('subscribe', topic, 'filter_invalid')
    // aedes takes it for an ordinary name.
    if (topic.startsWith(SHARE_PREFIX)) return session.refuse('subscribe', topic, 'shared_subscription_unsupported')
    const decision = session.authorizeSubscribe(topic, { qos: qos as Qos })
    if (!decision.allow || (decision.rule as SubscribeRule).modifiers === undefined) return decision
    // aedes would store and look up the requested filter, and map no UNSUBSCRIBE back.
    return session.refuse('subscribe', topic, 'modifiers_unsupported')
  })
}

/** Decides; sends nothing. */
export function judgeReceive(context: Context, session: Session, topic: string): Decision {
  return withoutThrowing(context, 'authorizeForward', () => session.authorizeReceive(topic))
}

/** An exception in a hook would end the process: it comes out of aedes' parser. */
function withoutThrowing(context: Context, place: string, judge: () => Decision): Decision {
  try {
    return judge()
  } catch (error) {
    context.fault(error, place)
    return denied('store_unavailable')
  }
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
