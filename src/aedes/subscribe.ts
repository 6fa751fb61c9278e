import type { Callback, Hooks, Subscription } from './broker.js'
import { consult } from './consult.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { isLasting } from './refusal.js'
import { dropFilters } from './stored.js'
import { judgeSubscribe } from './verdict.js'

/**
 * Decides filters, of a SUBSCRIBE and of a stored session alike. A refusal is `null`, never an error: that would close
 * the connection, and keep a client with one forbidden stored filter from ever logging in again.
 */
export function subscribeHook(context: Context): Hooks['authorizeSubscribe'] {
  return (client, subscription, callback) => {
    if (context.asked.has(subscription)) return callback(null, subscription)
    const member = context.members.of(client)
    if (member === undefined || context.isClosed) return callback(null, null)
    const decision = judgeSubscribe(context, member.session, subscription)
    if (!decision.allow) return refuse(context, member, subscription, isLasting(decision.reason), callback)
    const guest = context.guests.authorizeSubscribe
    if (guest === undefined) return grant(member, subscription, callback)
    const copy = { ...subscription }
    context.asked.add(copy)
    consult({
      ask: done => guest.call(context.broker, client, copy, done),
      done: ({ error, value }) => {
        // The rules may have changed while the guest took its time.
        const isGranted =
          error === undefined && isGrant(value) && judgeSubscribe(context, member.session, subscription).allow
        if (isGranted) grant(member, subscription, callback)
        else refuse(context, member, subscription, error === undefined, callback)
      },
      fault: error => context.fault(error, 'authorizeSubscribe'),
      deadlineMs: context.settings.deadlineMs,
    })
  }
}

/** A hook that sets the QoS to 128 means to refuse; aedes would grant it. */
function isGrant(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (value as Subscription).qos !== 128
}

function grant(member: Member, subscription: Subscription, callback: Callback<Subscription>): void {
  // Nothing but what is stored already is asked about before the client is registered.
  if (!member.client.clean && member.isRegistered) {
    member.granted ??= new Set()
    member.granted.add(subscription)
  }
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
  if (!member.isRegistered) {
    // A client that is told its session was restored believes in its subscriptions: better to come back later.
    if (!isLasting) client.close()
    else {
      const { gate, persistence } = context
      void context.attempt(
        gate.exclusively(client.id, () => dropFilters(persistence, client.id, stored => stored.topic === topic)),
        'persistence',
      )
    }
  }
  callback(null, null)
}
