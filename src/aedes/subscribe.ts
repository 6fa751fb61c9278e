import { topicFilterProblem } from '../acl/topic.js'
import type { Decision, Qos, SubscribeRule } from '../acl/types.js'
import type { Session } from '../authorizer/types.js'
import type { Callback, Hooks, Subscription } from './broker.js'
import { consult } from './consult.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { isLasting } from './refusal.js'
import { removeFilters } from './stored.js'

const SHARE_PREFIX = '$share/'

/**
 * Decides filters, of a SUBSCRIBE and of a stored session alike. A refusal is `null`, never an error: that would close the
 * connection, and keep a client with one forbidden stored filter from ever logging in again.
 */
export function subscribeHook(context: Context): Hooks['authorizeSubscribe'] {
  return (client, subscription, callback) => {
    if (context.asked.has(subscription)) return callback(null, subscription)
    const member = context.members.of(client)
    if (member === undefined || context.isClosed) return callback(null, null)
    const decision = judgeSubscribe(member.session, subscription)
    if (!decision.allow) return refuse(context, member, subscription, isLasting(decision.reason), callback)
    const guest = context.guests.authorizeSubscribe
    if (guest === undefined) return grant(context, member, subscription, callback)
    const copy = { ...subscription }
    context.asked.add(copy)
    consult({
      ask: done => guest.call(context.broker, client, copy, done),
      done: ({ error, value }) => {
        // The rules may have changed while the guest took its time.
        const isGranted = error === undefined && isGrant(value) && judgeSubscribe(member.session, subscription).allow
        if (isGranted) grant(context, member, subscription, callback)
        else refuse(context, member, subscription, error === undefined, callback)
      },
      fault: error => context.fault(error, 'authorizeSubscribe'),
      deadlineMs: context.settings.deadlineMs,
    })
  }
}

/** Decides; sends nothing. What aedes cannot keep to is refused with a reason of its own. */
export function judgeSubscribe(session: Session, { topic, qos }: Subscription): Decision {
  if (topicFilterProblem(topic) !== undefined) return session.refuse('subscribe', topic, 'filter_invalid')
  // aedes takes it for an ordinary name.
  if (topic.startsWith(SHARE_PREFIX)) return session.refuse('subscribe', topic, 'shared_subscription_unsupported')
  const decision = session.authorizeSubscribe(topic, { qos: qos as Qos })
  if (!decision.allow || (decision.rule as SubscribeRule).modifiers === undefined) return decision
  // aedes would store and look up the requested filter, and map no UNSUBSCRIBE back.
  return session.refuse('subscribe', topic, 'modifiers_unsupported')
}

/** A hook that sets the QoS to 128 means to refuse; aedes would grant it. */
function isGrant(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (value as Subscription).qos !== 128
}

/** aedes restores stored filters before it registers the client; nothing else is asked about that early. */
function isRestored({ broker }: Context, { client }: Member): boolean {
  return broker.clients[client.id] !== client
}

function grant(context: Context, member: Member, subscription: Subscription, callback: Callback<Subscription>): void {
  if (!member.client.clean && !isRestored(context, member)) member.granted.add(subscription)
  callback(null, subscription)
}

function refuse(
  context: Context,
  member: Member,
  { topic }: Subscription,
  isLasting: boolean,
  callback: Callback<null>,
): void {
  const { client } = member
  if (isRestored(context, member)) {
    // A client that is told its session was restored believes in its subscriptions: better to come back later.
    if (!isLasting) client.close()
    else {
      const { gate, persistence } = context
      void context.attempt(
        gate.exclusively(client.id, () => removeFilters(persistence, client.id, [topic])),
        'persistence',
      )
    }
  }
  callback(null, null)
}
