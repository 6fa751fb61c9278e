import { createHash } from 'node:crypto'
import type { Action, Denied, DenyReason, Principal } from '../acl/types.js'
import { type GrowingCache, growingCache } from '../growing-cache.js'
import type { SharedState } from '../store/shared.js'
import type { Emitter } from './emitter.js'
import type { LoopEvent } from './events.js'
import type { Session } from './types.js'

/** When something that comes again and again is a loop. */
export interface LoopLimits {
  readonly loopThreshold: number
  readonly loopWindowMs: number
}

/** What happened once more. */
interface Occurrence {
  readonly event: Pick<LoopEvent, 'kind' | 'principal' | 'session' | 'action' | 'topic' | 'filter' | 'decision'>
  readonly addresses: readonly (string | undefined)[]
  /** Whether to count together with other nodes. */
  readonly isShared: boolean
}

/** What a session refused. */
interface SessionRefusal {
  readonly action: Action
  readonly subject: string
  readonly decision: Denied
}

/** One thing that happens again and again, as counted here. */
interface Bout {
  count: number
  /** Of them, those that the shared state has not heard of. */
  untold: number
  /** Moments of the monotonic clock. */
  since: number
  last: number
  reportedAt: number
  addresses: readonly string[]
  /** Whether it counts as a loop, here or on another node. */
  isLoop: boolean
  isTelling: boolean
  /** Who was refused last: a loop is one only if the client comes back. */
  session: WeakRef<Session> | undefined
}

/** The same for all nodes. Times are Unix milliseconds. */
interface SharedBout {
  readonly count: number
  readonly since: number
  readonly last: number
  readonly reportedAt: number
  readonly addresses: readonly string[]
}

/** Bouts that are followed; of more, that which rested longest is forgotten. */
const MAX_BOUTS = 10_000

/** Addresses told of one loop, and longest one. */
const MAX_ADDRESSES = 8
const MAX_ADDRESS = 64

/** Longest key that is kept as it is. */
const MAX_KEY = 200

/** Bouts that are told to the shared state at the same time; what comes beyond is told with the next occurrence. */
const MAX_TELLING = 20

const MAX_TRIES = 5

/** Refusals that the same request meets again. */
const LASTING: ReadonlySet<DenyReason> = new Set([
  'topic_invalid',
  'filter_invalid',
  'too_deep',
  'no_matching_rule',
  'shared_subscription_unsupported',
  'modifiers_unsupported',
])

/**
 * Recognises what comes again and again: an account that is connected twice and evicts itself for ever, a message that
 * is refused and sent again after every reconnect. Tells it once per window instead of every time.
 *
 * Counts here first, and from the second time on together with the other nodes: a client that changes nodes with every
 * reconnect would seem half as bad, or harmless, to each.
 */
export class LoopWatch {
  readonly #limits: LoopLimits
  readonly #shared: SharedState | undefined
  readonly #emitter: Emitter
  readonly #now: () => number
  readonly #bouts: GrowingCache<Bout> = growingCache({ max: MAX_BOUTS })
  #telling = 0

  constructor(limits: LoopLimits, shared: SharedState | undefined, emitter: Emitter, now: () => number) {
    this.#limits = limits
    this.#shared = shared
    this.#emitter = emitter
    this.#now = now
  }

  /**
   * A client id was taken over by its own account. Returns whether that belongs to a loop, which is told for itself.
   */
  takeover(session: Session, addresses: readonly (string | undefined)[]): boolean {
    const { principal } = session
    const key = ['takeover', principal.mountpoint, principal.clientId]
    return this.#note(key, { event: { kind: 'takeover', principal, session }, addresses, isShared: true })
  }

  /** A session refused something. Returns whether that belongs to a loop, which is told for itself. */
  refusal(session: Session, { action, subject, decision }: SessionRefusal): boolean {
    if (!LASTING.has(decision.reason) || (action !== 'publish' && action !== 'subscribe')) return false
    const { principal, address } = session
    const key = [action, principal.mountpoint, principal.clientId, principal.username, subject, decision.reason]
    const subjectOf = action === 'subscribe' ? { filter: subject } : { topic: subject }
    const event = { kind: 'refusal' as const, principal, session, action, decision, ...subjectOf }
    return this.#note(key, { event, addresses: [address], isShared: true })
  }

  /** A login was refused. Nothing is kept back for it: each attempt may come from somebody else. */
  refusedLogin(principal: Principal, address: string | undefined, decision: Denied): void {
    const key = ['connect', principal.mountpoint, principal.clientId, principal.username, decision.reason]
    const event = { kind: 'refusal' as const, principal, action: 'connect' as const, decision }
    this.#note(key, { event, addresses: [address], isShared: false })
  }

  #note(parts: readonly unknown[], occurrence: Occurrence): boolean {
    const key = keyOf(parts)
    const now = this.#now()
    let bout = this.#bouts.get(key)
    if (bout === undefined || now - bout.last > this.#limits.loopWindowMs) {
      bout = newBout(now)
      this.#bouts.set(key, bout)
    }
    const { session } = occurrence.event
    if (occurrence.event.kind === 'refusal' && session !== undefined) {
      if (bout.session?.deref() === session) return bout.isLoop
      bout.session = new WeakRef(session)
    }
    bout.count++
    bout.untold++
    bout.last = now
    bout.addresses = joinAddresses(bout.addresses, occurrence.addresses)
    bout.isLoop ||= bout.count >= this.#limits.loopThreshold
    if (this.#shared === undefined || !occurrence.isShared) this.#reportAlone(bout, occurrence)
    else if (bout.count > 1 && !bout.isTelling && this.#telling < MAX_TELLING) {
      void this.#tell(this.#shared, key, bout, occurrence)
    }
    return bout.isLoop
  }

  /** Reports by what was counted here. */
  #reportAlone(bout: Bout, occurrence: Occurrence): void {
    const now = this.#now()
    if (!bout.isLoop || now - bout.reportedAt < this.#limits.loopWindowMs) return
    bout.reportedAt = now
    this.#emit(occurrence, { ...bout, sinceMs: now - bout.since })
  }

  /** Counts together with the other nodes: of all, one reports. Never rejects. */
  async #tell(shared: SharedState, key: string, bout: Bout, occurrence: Occurrence): Promise<void> {
    bout.isTelling = true
    this.#telling++
    try {
      const told = await this.#merge(shared, `loop:${key}`, bout)
      bout.isLoop = told.count >= this.#limits.loopThreshold
      if (told.isToReport) {
        bout.reportedAt = this.#now()
        this.#emit(occurrence, { ...told, sinceMs: told.last - told.since })
      }
    } catch {
      // Better twice than never.
      this.#reportAlone(bout, occurrence)
    } finally {
      bout.isTelling = false
      this.#telling--
    }
  }

  async #merge(shared: SharedState, name: string, bout: Bout): Promise<SharedBout & { isToReport: boolean }> {
    const { loopWindowMs, loopThreshold } = this.#limits
    let text: string | undefined
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const last = Date.now()
      const held = readBout(text)
      // One of the future was counted before the clock of the system was set back.
      const isOn = held !== undefined && Math.abs(last - held.last) <= loopWindowMs
      const { untold } = bout
      const count = (isOn ? held.count : 0) + untold
      const since = isOn ? Math.min(held.since, last) : last - (this.#now() - bout.since)
      const addresses = joinAddresses(isOn ? held.addresses : [], bout.addresses)
      const reportedAt = isOn ? held.reportedAt : 0
      const isToReport = count >= loopThreshold && last - reportedAt >= loopWindowMs
      const next: SharedBout = { count, since, last, reportedAt: isToReport ? last : reportedAt, addresses }
      const swap = await shared.swap(name, text, JSON.stringify(next), { ttlMs: loopWindowMs })
      if (swap.swapped) {
        bout.untold -= untold
        return { ...next, isToReport }
      }
      text = swap.current
    }
    throw new Error('the count changed again and again')
  }

  #emit(
    { event }: Occurrence,
    { count, sinceMs, addresses }: Pick<LoopEvent, 'count' | 'sinceMs' | 'addresses'>,
  ): void {
    if (!this.#emitter.heard('loop')) return
    this.#emitter.emit('loop', { at: Date.now(), ...event, count, sinceMs: Math.round(sinceMs), addresses })
  }
}

function newBout(now: number): Bout {
  const counts = { count: 0, untold: 0, since: now, last: now, reportedAt: Number.NEGATIVE_INFINITY }
  return { ...counts, addresses: [], isLoop: false, isTelling: false, session: undefined }
}

/** Clients choose topics of up to 64 KiB. */
function keyOf(parts: readonly unknown[]): string {
  const text = JSON.stringify(parts)
  return text.length <= MAX_KEY ? text : createHash('sha256').update(text).digest('base64url')
}

/** Those seen last, each once, the latest at the end. */
function joinAddresses(known: readonly string[], seen: readonly (string | undefined)[]): readonly string[] {
  const joined = new Set(known)
  for (const address of seen) {
    if (address === undefined) continue
    const text = address.slice(0, MAX_ADDRESS)
    joined.delete(text)
    joined.add(text)
  }
  return [...joined].slice(-MAX_ADDRESSES)
}

/** What is there, unless somebody else wrote it. */
function readBout(text: string | undefined): SharedBout | undefined {
  if (text === undefined) return undefined
  try {
    const { count, since, last, reportedAt, addresses } = JSON.parse(text) as SharedBout
    const areNumbers = [count, since, last, reportedAt].every(Number.isFinite)
    const areTexts = Array.isArray(addresses) && addresses.every(address => typeof address === 'string')
    return areNumbers && areTexts ? { count, since, last, reportedAt, addresses } : undefined
  } catch {
    return undefined
  }
}
