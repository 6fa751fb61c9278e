import type { Message, Persistence, QueuedPacket, Subscription } from './broker.js'

/** Removes everything the broker keeps for a client id that is not connected: subscriptions, queue and wills. */
export async function wipeSession(persistence: Persistence, clientId: string): Promise<void> {
  await dropFromQueue(persistence, clientId, () => true)
  await dropFilters(persistence, clientId, () => true)
  // Once more, for what was queued before the last subscription went.
  await dropFromQueue(persistence, clientId, () => true)
  await persistence.cleanIncoming?.({ id: clientId })
  await dropWills(persistence, clientId)
}

/**
 * Removes stored subscriptions. A client that is connected must not be subscribing meanwhile. Resolves with their
 * filters.
 */
export async function dropFilters(
  persistence: Persistence,
  clientId: string,
  isUnwanted: (subscription: Subscription) => boolean,
): Promise<readonly string[]> {
  const stored = await persistence.subscriptionsByClient({ id: clientId })
  const unwanted = stored.filter(isUnwanted).map(({ topic }) => topic)
  // An empty list is an error to Redis, and never answered by the broadcast.
  if (unwanted.length > 0) await persistence.removeSubscriptions({ id: clientId }, unwanted)
  return unwanted
}

/**
 * Takes packets off the queue of a client id that is not connected, as if the client had acknowledged them: the only
 * way every persistence has.
 */
export async function dropFromQueue(
  persistence: Persistence,
  clientId: string,
  isUnwanted: (packet: QueuedPacket) => boolean,
): Promise<void> {
  const client = { id: clientId }
  // A persistence may hand out only the head of a long queue.
  for (let dropped = -1; dropped !== 0; ) {
    dropped = 0
    const queue: QueuedPacket[] = []
    for await (const packet of persistence.outgoingStream(client)) queue.push(packet)
    const taken = new Set(queue.map(({ messageId }) => messageId))
    let messageId = 1
    for (const packet of queue.filter(isUnwanted)) {
      while (taken.has(messageId)) messageId++
      packet.messageId ??= messageId++
      await persistence.outgoingUpdate(client, packet)
      if ((await persistence.outgoingClearMessageId(client, packet)) !== undefined) dropped++
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
