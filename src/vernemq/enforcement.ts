import type { Access, Authorizer } from '../authorizer/types.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordKey } from '../record/types.js'
import type { ChangeEffects, StoreEvent } from '../store/types.js'
import { NodeCaches } from './caches.js'
import { type Change, changeOf } from './change.js'
import { Clients } from './clients.js'
import { Deeds } from './deeds.js'
import { type EnforcementOptions, type EnforcementSettings, resolveEnforcementOptions } from './enforcement-options.js'
import { createLonePeers, Shift } from './peers.js'
import { Records } from './records.js'
import { Sessions } from './sessions.js'
import { Task, type TaskContext, type Undertaking } from './task.js'
import type { EnforcementFault, VernemqAdmin, VernemqEnforcement, VernemqFreshness } from './types.js'
import { pause } from './work.js'

const SEVERITY: Readonly<Record<Change, number>> = { none: 0, widened: 1, narrowed: 2, revoked: 3 }

/**
 * Carries changes of records to the live sessions and the caches of a VerneMQ cluster that is served by
 * `createWebhookHandler`.
 *
 * When a record changes, the webhook cache of every node is cleared; then its clients are disconnected if the record or
 * its password is gone, or have their subscriptions judged anew if it allows less. Both are done once more after
 * `responseTimeoutMs`, since until then VerneMQ may take in what was answered by the older record; a client with a new
 * password is thus disconnected twice. Where a cache could not be cleared, once more when it has run out. What fails is
 * tried again with growing pauses. A record that ends by its own `expires_at` counts as a change, if it was seen.
 *
 * The receipt of a write counts, in the row of the server that did it, the clients that VerneMQ was told to disconnect
 * or to reauthorize, and confirms nothing that it could not be told yet.
 *
 * VerneMQ lists the user name of connected clients only. Those of a `*` record that are not connected are verified when
 * they come back.
 *
 * With several webhook servers over one VerneMQ, `peers` sees to it that each change is carried out by one of them,
 * after all have dropped the record, and by another if that one dies.
 *
 * Exported from `mqtt-warden/vernemq`.
 *
 * @example
 * ```ts
 * const admin = createVernemqAdmin({ nodes: ['http://10.0.0.1:8888', 'http://10.0.0.2:8888'], apiKey })
 * const enforcement = enforceOnVernemq(authorizer, admin, { peers: createRedisPeers(redis), onFault: console.warn })
 * const webhooks = createWebhookHandler(authorizer, { enforcement, cacheSeconds: 60 })
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function enforceOnVernemq(
  authorizer: Authorizer,
  admin: VernemqAdmin,
  options: EnforcementOptions = {},
): VernemqEnforcement {
  return new Enforcement(authorizer, admin, resolveEnforcementOptions(options))
}

class Enforcement implements VernemqEnforcement {
  readonly #authorizer: Authorizer
  readonly #admin: VernemqAdmin
  readonly #settings: EnforcementSettings
  readonly #abort: AbortController = new AbortController()
  readonly #caches: NodeCaches
  readonly #clients: Clients
  readonly #shift: Shift
  readonly #context: TaskContext
  readonly #records: Records
  readonly #sessions: Sessions
  readonly #changes: Map<string, Task> = new Map()
  readonly #timers: NodeJS.Timeout[] = []
  readonly #unwatch: () => void
  readonly #ready: { promise: Promise<void>; resolve: () => void }
  #survey: Task | undefined
  #isLive = false
  #mustSurvey = true
  #cacheSeconds = 0

  constructor(authorizer: Authorizer, admin: VernemqAdmin, settings: EnforcementSettings) {
    this.#authorizer = authorizer
    this.#admin = admin
    this.#settings = settings
    const { signal } = this.#abort
    const report = (fault: EnforcementFault) => settings.onFault(fault)
    this.#caches = new NodeCaches(admin, signal, report)
    this.#clients = new Clients(admin, authorizer, settings, signal)
    this.#shift = new Shift(settings.peers ?? createLonePeers(), settings.takeoverMs, error =>
      report({ what: 'peers', error, tries: 1, isGivenUp: false }),
    )
    this.#sessions = new Sessions(admin, signal, report)
    this.#records = new Records(authorizer.store, settings.maxKnown, key => void this.#changed(key))
    const { responseTimeoutMs, confirmTimeoutMs, takeoverMs, peers, probeMs } = settings
    this.#context = {
      caches: this.#caches,
      shift: this.#shift,
      hasPeers: peers !== undefined,
      signal,
      responseTimeoutMs,
      confirmTimeoutMs,
      takeoverMs,
      hearMs: () => authorizer.freshness().boundMs,
      cacheMs: () => (this.#caches.areClear ? 0 : this.#cacheSeconds * 1_000),
      reportSilent: ids => {
        for (const id of ids) {
          const error = new Error(`webhook server ${id} did not confirm`)
          report({ what: 'peer', error, tries: 1, isGivenUp: true })
        }
      },
    }
    let resolve: () => void = () => {}
    const promise = new Promise<void>(settle => {
      resolve = settle
    })
    this.#ready = { promise, resolve }
    this.#unwatch = authorizer.store.watch(event => this.#hear(event))
    this.#every(probeMs, () => this.#caches.probe())
    this.#every(probeMs, async () => this.#records.followClock())
    if (peers !== undefined) {
      void this.#shift.join()
      this.#every(takeoverMs / 3, () => this.#shift.join())
    }
  }

  ready(): Promise<void> {
    return this.#ready.promise
  }

  freshness(): VernemqFreshness {
    const { peers, confirmTimeoutMs, takeoverMs, responseTimeoutMs } = this.#settings
    const terms = {
      hearMs: this.#context.hearMs(),
      confirmMs: peers === undefined ? 0 : confirmTimeoutMs,
      takeoverMs: peers === undefined ? 0 : takeoverMs,
      responseTimeoutMs,
      // Caches are cleared side by side; a client is looked for on one node after the other.
      adminMs: this.#admin.timeoutMs * (1 + this.#admin.nodes.length),
      cacheMs: this.#context.cacheMs(),
    }
    const boundMs = Object.values(terms).reduce((sum, ms) => sum + ms, 0)
    return {
      boundMs: this.#caches.isReachable ? boundMs : Number.POSITIVE_INFINITY,
      terms,
      nodes: this.#caches.states(),
      pending: this.#clients.pending + this.#sessions.pending,
    }
  }

  async close(): Promise<void> {
    if (this.#abort.signal.aborted) return
    this.#abort.abort()
    this.#unwatch()
    for (const timer of this.#timers) clearInterval(timer)
    this.#records.close()
    this.#ready.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  mayCache(seconds: number): boolean {
    this.#cacheSeconds = Math.max(this.#cacheSeconds, seconds)
    return this.#isLive && this.#caches.areClear && !this.#abort.signal.aborted
  }

  observe(access: Access): void {
    this.#records.observe(access)
  }

  loggedIn(access: Access, isPersistent: boolean): void {
    if (isPersistent && this.#settings.verifyOnLogin && access.recordKey !== undefined) this.#clients.returned(access)
  }

  /** Writers in this process wait for what is returned: a change of theirs is then on VerneMQ, if VerneMQ answers. */
  #hear(event: StoreEvent): Promise<ChangeEffects> | undefined {
    switch (event.type) {
      case 'changed':
        return this.#changed(event.key)
      case 'unknown':
        this.#mustSurvey = true
        if (this.#isLive) this.#surveyAll()
        return undefined
      case 'link': {
        const wasLive = this.#isLive
        this.#isLive = event.state === 'live'
        if (wasLive && !this.#isLive) void this.#clearTwice()
        if (this.#isLive && this.#mustSurvey) this.#surveyAll()
        return undefined
      }
      case 'error':
        return undefined
    }
  }

  /** Changes are not heard any more: nothing may be repeated, nor what was answered just before. */
  async #clearTwice(): Promise<void> {
    await this.#caches.clear()
    if (await pause(this.#settings.responseTimeoutMs, this.#abort.signal)) await this.#caches.clear()
  }

  #changed(key: RecordKey): Promise<ChangeEffects> {
    const text = encodeRecordKey(key)
    const running = this.#changes.get(text)
    if (running !== undefined) return running.touch()
    if (this.#changes.size >= this.#settings.maxChanges) {
      const error = new Error('too many records change at once; all sessions are verified instead')
      this.#settings.onFault({ what: 'overflow', error, tries: 1, isGivenUp: true })
      this.#records.forget(text)
      return this.#surveyAll()
    }
    const task = new Task(this.#recordChange(key, text), this.#context)
    this.#changes.set(text, task)
    return task.touch()
  }

  #recordChange(key: RecordKey, text: string): Undertaking {
    // What was known before this moment: the handler may learn of the new record before it is read here.
    let before = this.#records.known(text)
    let change: Change = 'none'
    const deeds = new Deeds()
    const onFailure = (error: unknown, tries: number) =>
      this.#settings.onFault({ what: 'record', error, tries, isGivenUp: false })
    return {
      plan: async () => {
        const found = await this.#records.read(key, this.#abort.signal, onFailure)
        if (found === undefined) return undefined
        const { record, digest } = found
        const latest = changeOf(before, record)
        if (SEVERITY[latest] > SEVERITY[change]) change = latest
        const isInformed = before !== undefined
        before = this.#records.remember(key, text, record)
        return { work: `${digest} ${text}`, seen: { record: text, digest }, isInformed, isNothing: change === 'none' }
      },
      act: async pass => {
        if (this.#cacheSeconds > 0 && !this.#caches.areClear) deeds.fail('not every webhook cache could be cleared')
        await this.#enforce(key, { change, pass, deeds })
        return deeds.take()
      },
      end: () => {
        change = 'none'
        deeds.clear()
      },
      idle: () => this.#changes.delete(text),
    }
  }

  async #enforce(
    key: RecordKey,
    { change, pass, deeds }: { readonly change: Change; readonly pass: number; readonly deeds: Deeds },
  ): Promise<void> {
    if (change === 'none' || change === 'widened') return
    // A client that was let back in on the first pass keeps its connection on the later ones.
    const mustCut = change === 'revoked' || (this.#settings.onNarrowed === 'disconnect' && pass === 1)
    const act = async (client: RecordKey) =>
      deeds.note(client, await (mustCut ? this.#clients.disconnect(client) : this.#clients.reauthorize(client)))
    if (key.clientId !== '*') await act(key)
    else if (!(await this.#forEachUnder(key, act))) deeds.fail('VerneMQ could not list its sessions')
  }

  /** Finds the clients that a `*` record decides for; those with a record of their own are none of its. */
  #forEachUnder(key: RecordKey, act: (client: RecordKey) => Promise<void>): Promise<boolean> {
    return this.#sessions.forEach(key, async ({ clientId }) => {
      const client = { ...key, clientId }
      if (await this.#isUnder(client)) await act(client)
    })
  }

  /** Whether a `*` record decides for a client, or none, or nobody can tell. */
  async #isUnder(client: RecordKey): Promise<boolean> {
    try {
      const found = await this.#authorizer.access(client)
      return !found.allow || found.access.recordKey?.clientId === '*'
    } catch (error) {
      // Of another authorizer than ours, which never rejects.
      this.#settings.onFault({ what: 'sessions', error, tries: 1, isGivenUp: false })
      return true
    }
  }

  /** Anything may have changed, or nothing is known yet: all caches, and every session there is. */
  #surveyAll(): Promise<ChangeEffects> {
    this.#mustSurvey = false
    // What this server has granted while it heard nothing is its own affair, whoever looks at the sessions.
    if (this.#context.hasPeers) void this.#caches.clear()
    if (this.#survey !== undefined) return this.#survey.touch()
    const verify = (client: RecordKey) => this.#clients.verify(client, access => this.observe(access))
    this.#survey = new Task(
      {
        plan: async () => ({ work: 'all sessions', isInformed: true, isNothing: false }),
        act: async pass => {
          if (pass === 1 && this.#settings.verifyAtStart) await this.#sessions.forEach(undefined, verify)
          return {}
        },
        end: () => {},
        idle: () => {
          this.#survey = undefined
        },
      },
      this.#context,
    )
    const settled = this.#survey.touch()
    void settled.then(() => this.#ready.resolve())
    return settled
  }

  #every(ms: number, act: () => Promise<void>): void {
    this.#timers.push(setInterval(() => void act(), ms).unref())
  }
}
