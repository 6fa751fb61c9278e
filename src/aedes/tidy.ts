import type { Access } from '../authorizer/types.js'
import { accountJudge, isGone } from './account.js'
import type { QueuedPacket } from './broker.js'
import type { Context } from './context.js'
import { type SessionOwner, settleOwner } from './owners.js'
import { isKept, withoutNode } from './settle.js'
import { dropFilters, dropFromQueue, wipeSession } from './stored.js'
import { isUncovered } from './verdict.js'

/** How often it is looked whether accounts of stored sessions have ended, in milliseconds. */
const EXPIRY_LOOK_MS = 1_000

/**
 * Follows the changes and the ends of records for sessions whose clients are away: what the rules no longer cover
 * leaves the store, and a session without an account leaves it whole. Runs behind, one session at a time; nobody waits
 * for it, since the next login makes the same check, and every delivery its own.
 *
 * @returns What ends it.
 */
export function tidyUp(context: Context): () => void {
  const waiting = new Set<string>()
  let isRunning = false
  const run = async (): Promise<void> => {
    if (isRunning) return
    isRunning = true
    for (const clientId of waiting) {
      waiting.delete(clientId)
      await context.attempt(tidySession(context, clientId), 'persistence')
    }
    isRunning = false
  }
  const tidy = (clientIds: Iterable<string>): void => {
    for (const clientId of clientIds) waiting.add(clientId)
    void run()
  }
  const unwatch = context.authorizer.store.watch(event => {
    if (event.type === 'changed') tidy(context.sleepers.concernedBy(event.key))
  })
  const timer = setInterval(() => tidy(context.sleepers.overdue()), EXPIRY_LOOK_MS).unref()
  return () => {
    clearInterval(timer)
    unwatch()
    waiting.clear()
  }
}

/** Brings one stored session in line with what its account may do now; wipes it when there is no account any more. */
export async function tidySession(context: Context, clientId: string): Promise<void> {
  const { authorizer, claims, sleepers, gate, persistence } = context
  await claims.run(clientId, async () => {
    const owner = sleepers.ownerOf(clientId)
    // Its client may be back by now.
    if (owner === undefined) return
    if (!(await begin(context, clientId, owner))) {
      sleepers.delete(clientId)
      return
    }
    const { mountpoint, username } = owner
    let isWiped = false
    try {
      const granted = await authorizer.access({ mountpoint, clientId, username })
      if (granted.allow) {
        sleepers.expectEnd(clientId, granted.access.leftMs)
        await gate.exclusively(clientId, () => narrowSleeper(context, granted.access))
      } else if (isGone(granted.reason)) {
        await gate.exclusively(clientId, () => wipeSession(persistence, clientId))
        isWiped = true
      }
    } finally {
      await finish(context, clientId, isWiped)
    }
    if (isWiped) sleepers.delete(clientId)
  })
}

/**
 * Has other nodes wait. Resolves with whether the session is still this node's to tidy: its client may be on another.
 */
function begin({ registry }: Context, clientId: string, owner: SessionOwner): Promise<boolean> {
  return registry.update(clientId, async held => {
    // A shared state that forgets cannot tell anybody to wait.
    if (held === undefined) return { outcome: true, entry: 'kept' }
    const isAway = (await registry.others(held)).length === 0 && !(await isKept(registry, held))
    if (!isAway || settleOwner(held.owner, owner) !== 'keep') return { outcome: false, entry: 'kept' }
    return { outcome: true, entry: { ...held, keeper: registry.node } }
  })
}

function finish({ registry }: Context, clientId: string, isWiped: boolean): Promise<void> {
  return registry.update(clientId, held => {
    if (held?.keeper !== registry.node) return { outcome: undefined, entry: 'kept' }
    return { outcome: undefined, entry: withoutNode(registry.node, isWiped ? { ...held, isStored: false } : held) }
  })
}

/** Takes from a sleeping session what its account may no longer have: queued messages, then stored subscriptions. */
async function narrowSleeper(context: Context, access: Access): Promise<void> {
  const { authorizer, persistence } = context
  const { principal, compiled } = access
  const { clientId } = principal
  const judge = accountJudge(authorizer, access)
  // First the queue: with the last subscription, Redis drops the list of what is queued, but not the messages.
  const isUnwanted = ({ cmd, topic }: QueuedPacket) =>
    cmd === 'publish' && topic !== undefined && !compiled.authorizeReceive(principal, topic).allow
  await dropFromQueue(persistence, clientId, isUnwanted)
  await dropFilters(persistence, clientId, subscription => isUncovered(context, judge, subscription))
}
