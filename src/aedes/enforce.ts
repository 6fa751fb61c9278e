import type { RevokeCause } from '../authorizer/types.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { dropFilters } from './stored.js'
import { tidySession } from './tidy.js'
import { isUncovered } from './verdict.js'

/** Makes what happens to a session happen to its client. */
export function follow(context: Context, member: Member): void {
  const { client, session } = member
  const { revoked } = session
  const cut = (): void => {
    client.close()
    const cause = revoked.reason as RevokeCause
    if (client.clean || (cause !== 'deleted' && cause !== 'expired')) return
    // Nothing may wait for an account that is no more, or for the next one under its client id.
    const tidied = member.ended().then(() => tidySession(context, client.id))
    void context.attempt(tidied, 'persistence')
  }
  if (revoked.aborted) cut()
  else revoked.addEventListener('abort', cut, { once: true })
  session.onChange(() => context.attempt(dropUncovered(context, member), 'persistence'))
}

/** Drops exactly the subscriptions that the rules no longer cover, live and stored. */
async function dropUncovered(context: Context, member: Member): Promise<void> {
  const { gate, persistence } = context
  const { client, session } = member
  const dropped = await dropLive(context, member)
  if (client.clean) return
  await gate.exclusively(client.id, async () => {
    // What was being stored is stored now; aedes needs one more turn to make it live.
    await new Promise(resolve => setImmediate(resolve))
    const isDropped = new Set([...dropped, ...(await dropLive(context, member))])
    await dropFilters(persistence, client.id, subscription => {
      return isDropped.has(subscription.topic) || isUncovered(context, session, subscription)
    })
  })
}

async function dropLive(context: Context, { client, session }: Member): Promise<readonly string[]> {
  if (client.closed) return []
  const live = Object.entries(client.subscriptions).map(([topic, { qos }]) => ({ topic, qos }))
  const uncovered = live.filter(subscription => isUncovered(context, session, subscription)).map(({ topic }) => topic)
  if (uncovered.length === 0) return []
  await new Promise<void>((resolve, reject) => {
    client.unsubscribe(uncovered, error => (error ? reject(error) : resolve()))
  })
  return uncovered
}
