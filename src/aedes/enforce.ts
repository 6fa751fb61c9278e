import type { RevokedEvent } from '../authorizer/events.js'
import type { Session, SessionChange } from '../authorizer/types.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { dropFilters } from './stored.js'
import { tidySession } from './tidy.js'
import { isUncovered } from './verdict.js'

/** What became of the subscriptions of a client, for receipts. */
type Effects = { readonly subscriptionsDropped: number } | { readonly failed?: string }

/** Makes what happens to sessions happen to their clients. One listener for all: there may be a million sessions. */
export class Enforcer {
  readonly #context: Context
  /** Sessions that were revoked, maybe before anybody knew whose they are. */
  readonly #revoked: WeakSet<Session> = new WeakSet()

  constructor(context: Context) {
    this.#context = context
    context.authorizer.on('revoked', this.#cut)
  }

  /** Begins to follow a member, until its session ends. */
  follow({ session }: Member): void {
    session.onChange(this.#change)
  }

  isRevoked(session: Session): boolean {
    return this.#revoked.has(session)
  }

  stop(): void {
    this.#context.authorizer.off('revoked', this.#cut)
  }

  readonly #change = async ({ session }: SessionChange): Promise<Effects> => {
    const member = this.#context.members.bySession(session)
    if (member === undefined) return {}
    const subscriptionsDropped = await this.#context.attempt(narrowMember(this.#context, member), 'persistence')
    return subscriptionsDropped === undefined ? { failed: 'subscriptions were not dropped' } : { subscriptionsDropped }
  }

  readonly #cut = ({ session, cause }: RevokedEvent): void => {
    this.#revoked.add(session)
    const member = this.#context.members.bySession(session)
    if (member === undefined) return
    const { client } = member
    client.close()
    if (client.clean || (cause !== 'deleted' && cause !== 'expired')) return
    // Nothing may wait for an account that is no more, or for the next one under its client id.
    const tidied = member.ended().then(() => tidySession(this.#context, client.id))
    void this.#context.attempt(tidied, 'persistence')
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
