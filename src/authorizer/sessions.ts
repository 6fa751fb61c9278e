import type { Principal } from '../acl/types.js'
import { RecordInvalid } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordKey } from '../record/types.js'
import type { ChangeEffects } from '../store/types.js'
import { DenialReporter } from './denials.js'
import { describeKey } from './describe.js'
import type { Emitter } from './emitter.js'
import { Expiries } from './expiries.js'
import { Gate } from './gate.js'
import type { LoopWatch } from './loops.js'
import type { Settings } from './options.js'
import type { Known } from './record-cache.js'
import { REFRESH_SHARE, refreshShare, spreadOf } from './refresh-share.js'
import type { ResolveOptions, Resolver } from './resolver.js'
import { LiveSession } from './session.js'
import type { SessionContext, Snapshot } from './session-context.js'
import { SessionIndex } from './session-index.js'
import { causeToRevoke, Succession } from './succession.js'
import type { Takeovers } from './takeovers.js'
import { Tally } from './tally.js'
import type { Epoch, Trust } from './trust.js'
import type { RevokeCause, SessionChange } from './types.js'

/** Sessions whose records are read again at the same time, so that logins are not kept waiting behind them. */
const MAX_REFRESHES = 50

/** Records that changed and are read at the same time: a tool may change all of them at once. */
const MAX_CHANGES = 200

const MAX_TRIES = 3

/** Sessions looked at or brought up to date in one turn of the event loop. */
const TURN = 500

/** A session that is being read again, and the change that what comes of it is counted for, if there is one. */
interface Refreshing {
  finished: Promise<void>
  tally: Tally | undefined
}

/** What sessions are made with. */
export interface SessionsParts {
  readonly resolver: Resolver
  readonly trust: Trust
  readonly emitter: Emitter
  readonly loops: LoopWatch
  readonly takeovers: Takeovers
  readonly settings: Pick<Settings, 'takeover' | 'wildcardClientId'>
}

/** The live sessions, and what happens to them when records change. */
export class Sessions implements SessionContext {
  readonly trust: Trust
  readonly denials: DenialReporter
  readonly succession: Succession
  readonly #resolver: Resolver
  readonly #emitter: Emitter
  readonly #index: SessionIndex
  readonly #expiries: Expiries
  readonly #refreshing: Map<LiveSession, Refreshing> = new Map()
  /** Listeners at work, so that who reported the change can wait for them. */
  readonly #telling: Map<LiveSession, Promise<unknown>> = new Map()
  readonly #due: Set<LiveSession> = new Set()
  readonly #reads: Gate = new Gate(MAX_CHANGES)
  #opened = 0
  #workers = 0
  #isSweeping = false
  #isSweepWanted = false
  /** Up to when no session is over or due, as long as the epoch of the last sweep goes on and is heard. */
  #quietUntil = Number.POSITIVE_INFINITY
  #sweptIn: Epoch | undefined

  constructor(parts: SessionsParts) {
    const { resolver, trust, emitter, loops, takeovers, settings } = parts
    this.#resolver = resolver
    this.trust = trust
    this.#emitter = emitter
    this.denials = new DenialReporter(emitter, loops, trust.now)
    this.#index = new SessionIndex(settings.wildcardClientId)
    this.succession = new Succession({ index: this.#index, takeovers, policy: settings.takeover })
    this.#expiries = new Expiries(trust.now, session => this.#look(session, trust.now()))
  }

  get size(): number {
    return this.#index.size
  }

  values(): IterableIterator<LiveSession> {
    return this.#index.values()
  }

  /** Opens a session. It has no client id before {@link confirm}. */
  open(principal: Principal, address: string | undefined, snapshot: Snapshot): LiveSession {
    const session = new LiveSession(principal, address, snapshot, this)
    session.spread = spreadOf(this.#opened++)
    this.#index.add(session)
    this.#expect(session)
    this.#expectEnd(session)
    return session
  }

  confirm(session: LiveSession): boolean {
    const displaced = this.succession.confirm(session)
    if (displaced instanceof LiveSession) this.revoke(displaced, 'client_id_taken')
    return displaced !== false
  }

  closed(session: LiveSession): void {
    this.#index.remove(session)
    this.#expiries.forget(session)
    this.#due.delete(session)
  }

  failed(error: unknown, place: string): void {
    this.#emitter.error(error, place)
  }

  /** Does nothing when the session was ended before. */
  revoke(session: LiveSession, cause: RevokeCause, tally?: Tally): void {
    if (session.isEnded) return
    tally?.cut()
    this.#follow(session, session.revoke(cause), tally)
    this.#emitter.emit('revoked', { at: Date.now(), principal: session.principal, session, cause })
  }

  /**
   * A record may have changed. Resolves when the sessions that depend on it decide by what it is now, and have said so,
   * with what came of it. What two changes at once bring about is counted for one of them.
   */
  async changed(key: RecordKey): Promise<ChangeEffects> {
    const sessions = this.#index.of(key).filter(session => session.named(key))
    const tally = new Tally()
    if (sessions.length === 0) return tally.effects
    try {
      // One read for all of them. Where it fails, they go on as long as the bound allows, and the sweep tries again.
      await this.#reads.pass(encodeRecordKey(key), () => this.#resolver.prepare(key))
    } catch (error) {
      for (const session of sessions) this.#expect(session)
      if (sessions.some(({ isEnded }) => !isEnded)) {
        this.#emitter.error(error, `refresh of ${describeKey(key)}`)
        tally.fail(error)
      }
      return tally.effects
    }
    for (let done = 0; done < sessions.length; done += TURN) {
      if (done > 0) await nextTurn()
      const given = this.#resolver.given(key)
      const some = sessions.slice(done, done + TURN)
      await Promise.all(some.map(session => this.#refresh(session, 1, { given, tally })))
      // Not before: until its record is read a session is due soon, and a sweep through all of them would be in vain.
      for (const session of some) this.#expect(session)
    }
    await Promise.all(sessions.map(session => this.#telling.get(session)))
    return tally.effects
  }

  /**
   * Ends the sessions whose records have ended, and has those read again that are due, a few at a time. Looks through
   * all once, and once more if that is asked for meanwhile; not at all while it is known that there is none.
   */
  async sweep(): Promise<void> {
    this.#isSweepWanted ||= !this.#isQuiet()
    if (this.#isSweeping) return
    this.#isSweeping = true
    while (this.#isSweepWanted) {
      this.#isSweepWanted = false
      this.#quietUntil = Number.POSITIVE_INFINITY
      this.#sweptIn = this.trust.epoch
      let seen = 0
      for (const session of this.#index.values()) {
        this.#look(session, this.trust.now())
        if (++seen % TURN === 0) await nextTurn()
      }
    }
    this.#isSweeping = false
  }

  /** Ends all sessions without cutting their clients. */
  closeAll(): void {
    for (const session of this.#index.values()) session.close()
    this.#expiries.close()
  }

  #isQuiet(): boolean {
    const now = this.trust.now()
    const isHeard = this.#sweptIn !== undefined && this.trust.isHeard(this.#sweptIn, now, REFRESH_SHARE)
    return isHeard && now < this.#quietUntil
  }

  /** Takes care that the sweep comes to a session in time. */
  #expect(session: LiveSession): void {
    this.#quietUntil = Math.min(this.#quietUntil, session.quietUntil(refreshShare(session)))
  }

  /** Takes care that a session ends with its record, to the moment. */
  #expectEnd(session: LiveSession): void {
    this.#expiries.expect(session, session.account?.endsAt ?? Number.POSITIVE_INFINITY)
  }

  #look(session: LiveSession, now: number): void {
    if (session.isOver(now)) {
      this.revoke(session, 'expired')
      return
    }
    this.#expect(session)
    if (!session.isDue(now, refreshShare(session))) return
    this.#due.add(session)
    if (this.#workers < MAX_REFRESHES) void this.#work()
  }

  /** Takes due sessions until there are none. */
  async #work(): Promise<void> {
    this.#workers++
    let taken = 0
    for (const session of this.#due) {
      this.#due.delete(session)
      await this.#refresh(session, REFRESH_SHARE)
      // A store that answers within the turn must not hold up everything else.
      if (++taken % (TURN / MAX_REFRESHES) === 0) await nextTurn()
    }
    this.#workers--
  }

  /** Brings a session up to date: in this turn, where what decides is held already. */
  #refresh(
    session: LiveSession,
    share: number,
    { given, tally }: { readonly given?: ResolveOptions; readonly tally?: Tally } = {},
  ): Promise<void> | undefined {
    const running = this.#refreshing.get(session)
    if (running !== undefined) running.tally ??= tally
    if (running !== undefined || session.isEnded) return running?.finished
    const exact = given?.exact ?? session.exactAbsence(this.trust.now(), share)
    const held = this.#resolver.held(session.principal, { share, exact, shared: given?.shared })
    if (held !== undefined) {
      this.#apply(session, held, tally)
      return undefined
    }
    const started: Refreshing = { tally, finished: Promise.resolve() }
    this.#refreshing.set(session, started)
    started.finished = this.#readAgain(session, share, started)
    return started.finished
  }

  /**
   * Reads until what was read is the latest, at most three times: a store that reports a change whenever it is asked
   * would never come to rest. The sweep tries again. Never rejects.
   */
  async #readAgain(session: LiveSession, share: number, refreshing: Refreshing): Promise<void> {
    let isSettled = false
    for (let tries = 0; tries < MAX_TRIES && !isSettled; tries++) {
      const { namings } = session
      const { epoch } = this.trust
      const isLatest = () => namings === session.namings && epoch === this.trust.epoch
      try {
        const exact = session.exactAbsence(this.trust.now(), share)
        const known = await this.#resolver.resolve(session.principal, { share, exact })
        if (isLatest()) this.#apply(session, known, refreshing.tally)
      } catch (error) {
        const isLast = isLatest() || tries === MAX_TRIES - 1
        if (isLast && !session.isEnded) {
          this.#emitter.error(error, `refresh of ${describeKey(session.principal)}`)
          refreshing.tally?.fail(error)
        }
      }
      isSettled = session.isEnded || isLatest()
    }
    if (!isSettled) refreshing.tally?.fail('the record kept changing')
    this.#refreshing.delete(session)
  }

  #apply(session: LiveSession, known: Known, tally: Tally | undefined): void {
    if (session.isEnded) return
    const { account } = known
    if (account instanceof RecordInvalid) {
      if (session.block(known)) this.#emitter.error(account, `record of ${describeKey(session.principal)}`)
      return
    }
    const cause = causeToRevoke(session.account, account, this.trust.now())
    if (account === undefined || cause !== undefined) {
      this.revoke(session, cause ?? 'deleted', tally)
      return
    }
    const change = session.replace(account, known)
    this.#expect(session)
    this.#expectEnd(session)
    if (change !== undefined) this.#announce(session, change, tally)
  }

  #announce(session: LiveSession, change: SessionChange, tally: Tally | undefined): void {
    if (this.#emitter.heard('changed')) {
      this.#emitter.emit('changed', { at: Date.now(), principal: session.principal, ...change })
    }
    this.#follow(session, session.tell(change), tally)
  }

  #follow(session: LiveSession, told: Promise<ChangeEffects> | undefined, tally: Tally | undefined): void {
    const finished = told?.then(effects => {
      tally?.add(effects)
      if (this.#telling.get(session) === finished) this.#telling.delete(session)
    })
    if (finished !== undefined) this.#telling.set(session, finished)
  }
}

function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
