import type { RevokeCause } from '../authorizer/types.js'
import type { Subscription } from './broker.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { settleOwner } from './owners.js'
import { isLasting } from './refusal.js'
import { removeFilters, wipeSession } from './stored.js'
import { judgeSubscribe } from './verdict.js'

/** Makes what happens to a session happen to its client. */
export function follow(context: Context, member: Member): void {
  const { revoked } = member.session
  const cut = (): void => {
    member.client.close()
    const cause = revoked.reason as RevokeCause
    if (cause === 'deleted' || cause === 'expired') void context.attempt(forget(context, member), 'persistence')
  }
  if (revoked.aborted) cut()
  else revoked.addEventListener('abort', cut, { once: true })
  member.session.onChange(() => context.attempt(dropUncovered(context, member), 'persistence'))
}

/** Drops exactly the subscriptions that the rules no longer cover, live and stored. */
async function dropUncovered(context: Context, member: Member): Promise<void> {
  const { client } = member
  const dropped = await dropLive(context, member)
  if (client.clean) return
  await context.gate.exclusively(client.id, async () => {
    // What was being stored is stored now; aedes needs one more turn to make it live.
    await new Promise(resolve => setImmediate(resolve))
    await dropStored(context, member, [...dropped, ...(await dropLive(context, member))])
  })
}

async function dropLive(context: Context, member: Member): Promise<readonly string[]> {
  const { client } = member
  if (client.closed) return []
  const live = Object.entries(client.subscriptions).map(([topic, { qos }]) => ({ topic, qos }))
  const uncovered = live.filter(isUncovered(context, member)).map(({ topic }) => topic)
  if (uncovered.length === 0) return []
  await new Promise<void>((resolve, reject) => {
    client.unsubscribe(uncovered, error => (error ? reject(error) : resolve()))
  })
  return uncovered
}

/**
 * Removes stored subscriptions the member may not hold. Its client must not be subscribing meanwhile.
 *
 * @param uncovered Those that need not be judged.
 */
export async function dropStored(context: Context, member: Member, uncovered: readonly string[] = []): Promise<void> {
  const { persistence } = context
  const { id } = member.client
  const judge = isUncovered(context, member)
  const stored = await persistence.subscriptionsByClient({ id })
  const refused = stored.filter(subscription => uncovered.includes(subscription.topic) || judge(subscription))
  await removeFilters(
    persistence,
    id,
    refused.map(({ topic }) => topic),
  )
}

function isUncovered(context: Context, { session }: Member): (subscription: Subscription) => boolean {
  return subscription => {
    const decision = judgeSubscribe(context, session, subscription)
    return !decision.allow && isLasting(decision.reason)
  }
}

/** The account is no more: nothing of its session may wait for it, or for the next one under this client id. */
async function forget(context: Context, member: Member): Promise<void> {
  const { claims, gate, members, persistence, settings } = context
  const { id, clean } = member.client
  if (clean) return
  await claims.run(id, async () => {
    const holder = members.holder(id)
    if (holder !== undefined && holder !== member) return
    const owner = await settings.owners.get(id)
    if (owner === undefined || settleOwner(owner, member.owner) !== 'keep') return
    await gate.exclusively(id, () => wipeSession(persistence, id))
    await settings.owners.delete(id)
  })
}
