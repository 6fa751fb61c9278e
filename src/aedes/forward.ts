import type { Hooks } from './broker.js'
import type { Context } from './context.js'
import { NOWHERE } from './message.js'
import { judgeReceive } from './verdict.js'

/** Decides deliveries: live, retained, queued, and those of the server's own `client.publish`. Cannot wait. */
export function forwardHook(context: Context): Hooks['authorizeForward'] {
  let isAsking = false
  return (client, packet) => {
    const member = context.members.of(client)
    if (member === undefined || context.isClosed || packet.topic === NOWHERE) return null
    if (!judgeReceive(context, member.session, packet.topic).allow) return null
    const guest = context.guests.authorizeForward
    // A guest that calls us in turn gets our verdict.
    if (guest === undefined || isAsking) return packet
    isAsking = true
    try {
      const forwarded: unknown = guest.call(context.broker, client, packet)
      if (typeof (forwarded as PromiseLike<unknown> | null | undefined)?.then !== 'function')
        return forwarded
        // aedes would take the promise for the packet.
      ;(forwarded as PromiseLike<unknown>).then(undefined, error => context.fault(error, 'authorizeForward'))
      context.fault(new Error('the hook returned a promise, and cannot wait'), 'authorizeForward')
    } catch (error) {
      context.fault(error, 'authorizeForward')
    } finally {
      isAsking = false
    }
    return null
  }
}
