import { Tally } from '../authorizer/tally.js'
import { Turns } from '../authorizer/turns.js'
import type { Access } from '../authorizer/types.js'
import { watchWallClock } from '../authorizer/wall-clock.js'
import type { ChangeEffects } from '../store/types.js'
import { accountJudge, isOver } from './account.js'
import type { QueuedPacket } from './broker.js'
import type { Context } from './context.js'
import type { MaybePromise } from './maybe-promise.js'
import { type SessionOwner, settleOwner } from './owners.js'
import { isKept, withoutNode } from './settle.js'
import { dropFilters, dropFromQueue, wipeSession } from './stored.js'
import { Suspects } from './suspects.js'
import { isUncovered } from './verdict.js'

/** Sessions begun in one turn of the event loop: a persistence in memory answers within the turn. */
const SESSIONS_A_TURN = 8

/** How often it is looked whether accounts of stored sessions have ended or may have changed, in milliseconds. */
const LOOK_MS = 1_000
/** After how many looks the authorizer, which looks as often, has noticed too that the clock of the system was set. */
const LOOKS_TO_WAIT = 2

/**
 * Follows the changes and the ends of records for sessions whose clients are away: what the rules no longer cover
 * leaves the store, and a session without an account leaves it whole. When anything may have changed, all of them are
 * gone through as soon as changes are heard again. Runs behind, one session at a time. Nobody waits for it but receipts,
 * since the next login makes the same check, and every delivery its own.
 *
 * @returns What ends it.
 */
export function tidyUp(context: Context): () => void {
  const waiting = new Map<string, Batch>()
  const turns = new Turns(SESSIONS_A_TURN)
  const tidyNext = async (clientId: string): Promise<ChangeEffects> => {
    await turns.take()
    return tidyInTime(context, tidySession(context, clientId))
  }
  let isRunning = false
  const run = async (): Promise<void> => {
    if (isRunning) return
    isRunning = true
    for (const [clientId, batch] of waiting) {
      waiting.delete(clientId)
      batch.add(await tidyNext(clientId))
    }
    isRunning = false
  }
  const tidy = (clientIds: readonly string[]): ChangeEffects | undefined => {
    if (clientIds.length === 0) return undefined
    // What waits already is counted for the change that came first.
    const earlier = new Set(clientIds.flatMap(clientId => waiting.get(clientId) ?? []))
    const fresh = clientIds.filter(clientId => !waiting.has(clientId))
    const batch = new Batch(fresh.length)
    for (const clientId of fresh) waiting.set(clientId, batch)
    void run()
    return { later: Promise.all([...earlier].map(({ done }) => done)).then(() => batch.done) }
  }
  const suspects = new Suspects(context.sleepers, tidyNext)
  const unwatch = context.authorizer.store.watch(event => {
    if (event.type === 'unknown') suspects.all()
    return event.type === 'changed' ? tidy(context.sleepers.concernedBy(event.key)) : undefined
  })
  const wasClockSet = watchWallClock(() => performance.now())
  let looksToWait = 0
  const timer = setInterval(() => {
    if (wasClockSet()) looksToWait = LOOKS_TO_WAIT
    else if (looksToWait > 0 && --looksToWait === 0) tidy(context.sleepers.ending())
    tidy(context.sleepers.overdue())
    if (context.authorizer.freshness().state === 'live') void suspects.run()
  }, LOOK_MS).unref()
  return () => {
    clearInterval(timer)
    unwatch()
    suspects.none()
    for (const batch of waiting.values()) batch.add({})
    waiting.clear()
  }
}

/** The stored sessions that one change concerns. */
class Batch {
  /** Resolves with what was done to all of them. */
  readonly done: Promise<ChangeEffects>
  readonly #tally: Tally = new Tally()
  #left: number
  #finish: () => void = () => {}

  constructor(size: number) {
    this.#left = size
    this.done = new Promise(resolve => {
      this.#finish = () => resolve(this.#tally.effects)
    })
    if (size === 0) this.#finish()
  }

  /** One more is done. */
  add(effects: ChangeEffects): void {
    this.#tally.add(effects)
    if (--this.#left === 0) this.#finish()
  }
}

/** Waits for a tidying at most as long as the deadline. */
export async function tidyInTime(context: Context, tidied: Promise<ChangeEffects>): Promise<ChangeEffects> {
  return (await context.attempt(tidied, 'persistence')) ?? { failed: 'a stored session could not be tidied' }
}

/**
 * Brings one stored session in line with what its account may do now; wipes it when there is no account any more.
 * Resolves with what was taken away.
 */
export function tidySession(context: Context, clientId: string): Promise<ChangeEffects> {
  const { authorizer, upkeep, sleepers, gate, persistence } = context
  return upkeep.queue.run(clientId, async () => {
    const owner = sleepers.ownerOf(clientId)
    // Its client may be back by now.
    if (owner === undefined) return {}
    const { mountpoint, username } = owner
    const found = await authorizer.access({ mountpoint, clientId, username })
    const isOrphaned = isOver(owner, found)
    if (!isOrphaned && !found.allow) {
      return found.reason === 'record_invalid' ? {} : { failed: `a stored session cannot be judged: ${found.reason}` }
    }
    const access = found.allow && !isOrphaned ? found.access : undefined
    if (access !== undefined) {
      sleepers.expectEnd(clientId, access.leftMs)
      if (sleepers.isTidy(clientId, access.compiled.acl)) return {}
    }
    if (!(await begin(context, clientId, owner))) {
      sleepers.delete(clientId)
      return {}
    }
    let isWiped = false
    try {
      const effects = await gate.exclusively(clientId, () => {
        return access === undefined ? wipeSession(persistence, clientId) : narrowSleeper(context, access)
      })
      if (access === undefined) isWiped = true
      else sleepers.tidied(clientId, access.compiled.acl)
      return effects
    } finally {
      await finish(context, clientId, isWiped)
      if (isWiped) sleepers.delete(clientId)
    }
  })
}

/**
 * Has other nodes wait. Resolves with whether the session is still this node's to tidy: its client may be on another.
 */
function begin({ registry }: Context, clientId: string, owner: SessionOwner): MaybePromise<boolean> {
  return registry.update(clientId, async held => {
    // A shared state that forgets cannot tell anybody to wait.
    if (held === undefined) return { outcome: true, entry: 'kept' }
    const isAway = (await registry.others(held)).length === 0 && !(await isKept(registry, held))
    if (!isAway || settleOwner(held.owner, owner) !== 'keep') return { outcome: false, entry: 'kept' }
    return { outcome: true, entry: { ...held, keeper: registry.node } }
  })
}

function finish({ registry }: Context, clientId: string, isWiped: boolean): MaybePromise<void> {
  return registry.update(clientId, held => {
    if (held?.keeper !== registry.node) return { outcome: undefined, entry: 'kept' }
    return { outcome: undefined, entry: withoutNode(registry.node, isWiped ? { ...held, isStored: false } : held) }
  })
}

/** Takes from a sleeping session what its account may no longer have: queued messages, then stored subscriptions. */
async function narrowSleeper(context: Context, access: Access): Promise<ChangeEffects> {
  const { authorizer, persistence } = context
  const { principal, compiled } = access
  const { clientId } = principal
  const judge = accountJudge(authorizer, access)
  // First the queue: with the last subscription, Redis drops the list of what is queued, but not the messages.
  const isUnwanted = ({ cmd, topic }: QueuedPacket) =>
    cmd === 'publish' && topic !== undefined && !compiled.authorizeReceive(principal, topic).allow
  const messagesDropped = await dropFromQueue(persistence, clientId, isUnwanted)
  const dropped = await dropFilters(persistence, clientId, subscription => isUncovered(context, judge, subscription))
  return { subscriptionsDropped: dropped.length, messagesDropped }
}
