import type { Qos } from '../acl/types.js'
import type { BrokerClient, Callback, Hooks, Message } from './broker.js'
import type { Context } from './context.js'
import { modifiersOf, neutralize, rewrite } from './message.js'
import { isLasting, refusal } from './refusal.js'
import { askPublishGuest, judgePublish } from './verdict.js'
import { fireWill, isWill } from './will.js'

/** Decides PUBLISHes and wills; PUBLISHes in the same turn, so that messages keep their order. */
export function publishHook(context: Context): Hooks['authorizePublish'] {
  return (client, packet, callback) => {
    if (context.guests.authorizePublish !== undefined && context.asked.has(packet)) return callback(null)
    if (client === null || isWill(client, packet)) return fireWill(context, client, packet, () => callback(null))
    const member = context.members.of(client)
    if (member === undefined || context.isClosed) return callback(refusal('closed'))
    const decision = judgePublish(context, member.session, packet)
    if (!decision.allow) {
      const { reason } = decision
      // What is refused for the moment only must not be acknowledged: the client will send it again.
      if (isLasting(reason) && isDropping(context)) return drop(packet, callback)
      return callback(refusal(reason))
    }
    const modifiers = modifiersOf(decision)
    if (modifiers !== undefined) rewrite(packet, modifiers)
    if (modifiers === undefined && context.guests.authorizePublish === undefined) return callback(null)
    askPublishGuest(context, client, packet, error => {
      if (error === undefined) deliver(context, client, packet, modifiers?.qos ?? packet.qos, callback)
      else if (isDropping(context)) drop(packet, callback)
      else callback(error)
    })
  }
}

function isDropping({ settings }: Context): boolean {
  return settings.onDeniedPublish === 'drop'
}

/** Lets a message pass that nobody gets, so that aedes acknowledges it. */
function drop(packet: Message, callback: Callback): void {
  neutralize(packet)
  callback(null)
  // aedes took note of the QoS it has to acknowledge; from here on it says how the message is stored and queued.
  packet.qos = 0
}

function deliver(context: Context, client: BrokerClient, packet: Message, qos: Qos, callback: Callback): void {
  if (packet.qos > 0 || qos === 0) {
    callback(null)
    packet.qos = qos
    return
  }
  // A message that came without QoS is published within the callback, and with QoS it would get a PUBACK.
  const { topic, payload, retain } = packet
  neutralize(packet)
  context.broker.publish({ cmd: 'publish', topic, payload, qos, retain }, client, callback)
}
