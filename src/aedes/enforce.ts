import type { RevokeCause, Session, SessionChange } from '../authorizer/types.js'
import type { ChangeEffects } from '../store/types.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { dropFilters } from './stored.js'
import { tidyInTime, tidySession } from './tidy.js'
import { isUncovered } from './verdict.js'

/** Makes what happens to sessions happen to their clients. One listener for all: there may be a million sessions. */
export class Enforcer {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  /** Begins to follow a member, until its session ends. One that is revoked already is for its login to refuse. */
  follow({ session }: Member): void {
    if (session.revokeCause !== undefined) return
    session.onChange(this.#change)
    session.onRevoked(this.#cut)
  }

  readonly #change = async ({ session }: SessionChange): Promise<ChangeEffects> => {
    const member = this.#context.members.bySession(session)
    if (member === undefined) return {}
    const subscriptionsDropped = await this.#context.attempt(narrowMember(this.#context, member), 'persistence')
    return subscriptionsDropped === undefined ? { failed: 'subscriptions were not dropped' } : { subscriptionsDropped }
  }

  readonly #cut = (cause: RevokeCause, session: Session): ChangeEffects | undefined => {
    const member = this.#context.members.bySession(session)
    if (member === undefined) return undefined
    const { client } = member
    client.close()
    if (client.clean || (cause !== 'deleted' && cause !== 'expired')) return undefined
    // Nothing may wait for an account that is no more, or for the next one under its client id.
    const tidied = member.ended().then(() => tidySession(this.#context, client.id))
    return { later: tidyInTime(this.#context, tidied) }
  }
}

/** Drops exactly the subscriptions that the rules no longer cover, live and stored. Resolves with their number. */
async function narrowMember(context: Context, member: Member): Promise<number> {
  const { gate, persistence } = context
  const { client, session } = member
  const dropped = new Set(await dropLive(context, member))
  if (client.clean) return dropped.size
  await gate.exclusively(client.id, async () => {
    // What was being stored is stored now; aedes needs one more turn to make it live.
    await new Promise(resolve => setImmediate(resolve))
    for (const topic of await dropLive(context, member)) dropped.add(topic)
    const stored = await dropFilters(persistence, client.id, subscription => {
      return dropped.has(subscription.topic) || isUncovered(context, session, subscription)
    })
    for (const topic of stored) dropped.add(topic)
  })
  return dropped.size
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
