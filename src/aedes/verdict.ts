import { denied } from '../acl/rule.js'
import { isTooDeep, topicFilterProblem } from '../acl/topic.js'
import type { Decision, DenyReason, Qos, SubscribeRule } from '../acl/types.js'
import type { Session } from '../authorizer/types.js'
import type { Judge } from './account.js'
import type { BrokerClient, Message, Subscription } from './broker.js'
import { consult } from './consult.js'
import type { Context } from './context.js'
import { canApply, factsOf, modifiersOf, NOWHERE_PREFIX, topicProblem } from './message.js'
import { isLasting } from './refusal.js'

const SHARE_PREFIX = '$share/'

/** What events say of a subscription that is taken away. The client did not ask, and is not told. */
const DROPPED = 'a subscription it had is dropped'

/** Decides; sends nothing. */
export function judgePublish(context: Context, judge: Judge, packet: Message): Decision {
  try {
    const { broker } = context
    const { topic } = packet
    const problem = topicProblem(topic, broker)
    if (problem !== undefined) return judge.refuse('publish', topic, problem)
    const decision = judge.authorizePublish(topic, factsOf(packet))
    if (!decision.allow) return decision
    const modifiers = modifiersOf(decision)
    if (modifiers === undefined || canApply(modifiers, broker)) return decision
    return judge.refuse('publish', topic, 'modifiers_unsupported')
  } catch (error) {
    return thrown(context, error, 'authorizePublish')
  }
}

/**
 * Decides; sends nothing. What aedes cannot keep to is refused with a reason of its own.
 *
 * @param detail What the event of a refusal tells besides.
 */
export function judgeSubscribe(context: Context, judge: Judge, subscription: Subscription, detail?: string): Decision {
  const { topic, qos } = subscription
  try {
    const problem = filterProblem(context, topic)
    if (problem !== undefined) return judge.refuse('subscribe', topic, problem, detail)
    const decision = judge.authorizeSubscribe(topic, { qos: qos as Qos }, detail)
    if (!decision.allow || (decision.rule as SubscribeRule).modifiers === undefined) return decision
    // aedes would store and look up the requested filter, and map no UNSUBSCRIBE back.
    return judge.refuse('subscribe', topic, 'modifiers_unsupported', detail)
  } catch (error) {
    return thrown(context, error, 'authorizeSubscribe')
  }
}

/** What no rule can allow. */
function filterProblem({ broker }: Context, filter: string): DenyReason | undefined {
  if (topicFilterProblem(filter) !== undefined) return 'filter_invalid'
  // aedes would answer with an error, and a stored one would keep its client from logging in.
  if (isTooDeep(filter, broker.maxTopicLevels)) return 'too_deep'
  if (filter.startsWith(NOWHERE_PREFIX)) return 'no_matching_rule'
  // aedes takes it for an ordinary name.
  return filter.startsWith(SHARE_PREFIX) ? 'shared_subscription_unsupported' : undefined
}

/**
 * Tells whether the rules, and not the state of the store, forbid a subscription that the client has. It is to go then.
 */
export function isUncovered(context: Context, judge: Judge, subscription: Subscription): boolean {
  const decision = judgeSubscribe(context, judge, subscription, DROPPED)
  return !decision.allow && isLasting(decision.reason)
}

/** Decides; sends nothing. */
export function judgeReceive(context: Context, session: Session, topic: string): Decision {
  try {
    return session.authorizeReceive(topic)
  } catch (error) {
    return thrown(context, error, 'authorizeForward')
  }
}

/**
 * What a judgement that threw comes to. An exception in a hook would end the process: it comes out of aedes' parser.
 */
function thrown(context: Context, error: unknown, place: string): Decision {
  context.fault(error, place)
  return denied('store_unavailable')
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
