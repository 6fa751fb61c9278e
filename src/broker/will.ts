import type { Decision } from '../acl/types.js'
import type { Authorizer } from '../authorizer/types.js'
import { canApply, factsOf, modifiersOf, rewrite } from './message.js'
import type { Settings } from './options.js'
import type { PublishPacket, Will } from './packets.js'
import type { BrokerSession } from './session.js'

/** Judges a will that is to be published now. */
export async function judgeWill(
  authorizer: Authorizer,
  settings: Settings,
  session: BrokerSession,
): Promise<PublishPacket | undefined> {
  const { rights, will } = session
  if (will === undefined) return undefined
  const decision = await decide(authorizer, session, will)
  if (!decision.allow) return undefined
  const modifiers = modifiersOf(decision)
  const packet = packetOf(will)
  if (modifiers === undefined) return packet
  if (canApply(modifiers, settings)) return rewrite(packet, modifiers)
  rights.refuse('publish', will.topic, 'modifiers_unsupported')
  return undefined
}

/** By the session, or once that is over by the rules the account has now: a will may be published long after. */
function decide(authorizer: Authorizer, session: BrokerSession, will: Will): Decision | Promise<Decision> {
  const { principal, rights, isOver } = session
  const facts = factsOf(will)
  return isOver ? authorizer.authorizePublish(principal, will.topic, facts) : rights.authorizePublish(will.topic, facts)
}

function packetOf({ topic, payload, qos = 0, retain = false, properties }: Will): PublishPacket {
  const { willDelayInterval, ...rest } = properties ?? {}
  return {
    cmd: 'publish',
    topic,
    payload,
    qos,
    retain,
    dup: false,
    ...(properties !== undefined && { properties: rest }),
  }
}
