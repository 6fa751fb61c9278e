import type { Message, Persistence, StoredClient } from './broker.js'

/** Removes everything the broker keeps for a client id that is not connected: subscriptions, queue and wills. */
export async function wipeSession(persistence: Persistence, clientId: string): Promise<void> {
  const client = { id: clientId }
  await drainQueue(persistence, client)
  const stored = await persistence.subscriptionsByClient(client)
  await removeFilters(
    persistence,
    clientId,
    stored.map(({ topic }) => topic),
  )
  // Once more, for what was queued before the last subscription went.
  await drainQueue(persistence, client)
  await persistence.cleanIncoming?.(client)
  await dropWills(persistence, clientId)
}

/** Removes stored subscriptions. An empty list would be an error to Redis, and never answered by the broadcast. */
export async function removeFilters(
  persistence: Persistence,
  clientId: string,
  filters: readonly string[],
): Promise<void> {
  if (filters.length > 0) await persistence.removeSubscriptions({ id: clientId }, filters)
}

/** Takes packets off the queue as if the client had acknowledged them: the only way every persistence has. */
async function drainQueue(persistence: Persistence, client: StoredClient): Promise<void> {
  for (let messageId = 1, isEmpty = false; !isEmpty; ) {
    isEmpty = true
    // A persistence may hand out only the head of a long queue.
    for await (const packet of persistence.outgoingStream(client)) {
      packet.messageId ??= messageId++
      await persistence.outgoingUpdate(client, packet)
      if ((await persistence.outgoingClearMessageId(client, packet)) !== undefined) isEmpty = false
    }
  }
}

/** Removes the wills of a client id, whichever broker stored them. */
async function dropWills(persistence: Persistence, clientId: string): Promise<void> {
  const wills: Message[] = []
  for await (const will of persistence.streamWill({})) {
    if (will.clientId === clientId) wills.push(will)
  }
  for (const { brokerId } of wills) {
    await persistence.delWill({ id: clientId, ...(brokerId !== undefined && { brokerId }) })
  }
}
