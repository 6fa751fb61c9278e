import type { RevokeCause } from '../authorizer/types.js'
import type { Subscription } from './broker.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { settleOwner } from './owners.js'
import { isLasting } from './refusal.js'
import { removeFilters, wipeSession } from './stored.js'
import { judgeSubscribe } from './subscribe.js'

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
  await dropLive(member)
  if (client.clean) return
  await context.gate.exclusively(client.id, async () => {
    // What was being stored is stored now; aedes needs one more turn to make it live.
    await new Promise(resolve => setImmediate(resolve))
    await dropLive(member)
    await dropStored(context, member)
  })
}

async function dropLive(member: Member): Promise<void> {
  const { client } = member
  if (client.closed) return
  const live = Object.entries(client.subscriptions).map(([topic, { qos }]) => ({ topic, qos }))
  const uncovered = uncoveredOf(member, live)
  if (uncovered.length === 0) return
  await new Promise<void>((resolve, reject) => {
    client.unsubscribe(uncovered, error => (error ? reject(error) : resolve()))
  })
}

/** Removes stored subscriptions the member may not hold. Its client must not be subscribing meanwhile. */
export async function dropStored({ persistence }: Context, member: Member): Promise<void> {
  const { id } = member.client
  await removeFilters(persistence, id, uncoveredOf(member, await persistence.subscriptionsByClient({ id })))
}

function uncoveredOf({ session }: Member, subscriptions: readonly Subscription[]): string[] {
  const uncovered = subscriptions.filter(subscription => {
    const decision = judgeSubscribe(session, subscription)
    return !decision.allow && isLasting(decision.reason)
  })
  return uncovered.map(({ topic }) => topic)
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
