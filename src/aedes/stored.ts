import type { ChangeEffects } from '../store/types.js'
import type { Message, Persistence, QueuedPacket, Subscription } from './broker.js'

/**
 * Removes everything the broker keeps for a client id that is not connected: subscriptions, queue and wills. Resolves
 * with how much there was.
 */
export async function wipeSession(persistence: Persistence, clientId: string): Promise<ChangeEffects> {
  const queued = await dropFromQueue(persistence, clientId, () => true)
  const filters = await dropFilters(persistence, clientId, () => true)
  // Once more, for what was queued before the last subscription went.
  const late = await dropFromQueue(persistence, clientId, () => true)
  await persistence.cleanIncoming?.({ id: clientId })
  await dropWills(persistence, clientId)
  return { subscriptionsDropped: filters.length, messagesDropped: queued + late }
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
 * way every persistence has. Resolves with the number of messages.
 */
export async function dropFromQueue(
  persistence: Persistence,
  clientId: string,
  isUnwanted: (packet: QueuedPacket) => boolean,
): Promise<number> {
  const client = { id: clientId }
  let messages = 0
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
      if ((await persistence.outgoingClearMessageId(client, packet)) === undefined) continue
      dropped++
      if (packet.cmd === 'publish') messages++
    }
  }
  return messages
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
