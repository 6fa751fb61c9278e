import { WardenError } from '../errors.js'
import type { StoreEvent } from '../store/types.js'
import { CommandFailure, lossOf } from './failure.js'
import { type Finding, found, ok, type RedisFinding } from './findings.js'
import type { KeySpace } from './keys.js'
import type { Nodes, RecordServer } from './nodes.js'
import type { RedisSettings } from './options.js'
import { remedyFor } from './remedies.js'
import { checkClock, checkEpoch, checkRead, checkUses, checkWrite } from './rights.js'
import { checkSentinels } from './sentinel-check.js'
import { checkInfo, withoutInfo } from './server-info.js'
import { createSource } from './source.js'

/** Looks at every server that has records: whether all that the store needs of it is there. Changes nothing. */
export class SelfCheck {
  readonly #nodes: Nodes
  readonly #keys: KeySpace
  readonly #settings: RedisSettings
  readonly #closing: AbortController = new AbortController()
  /** Findings that were told already. */
  readonly #told: Set<string> = new Set()
  readonly #running: Set<Promise<unknown>> = new Set()
  #isReporting = false

  constructor(nodes: Nodes, keys: KeySpace, settings: RedisSettings) {
    this.#nodes = nodes
    this.#keys = keys
    this.#settings = settings
  }

  /** Resolves with what was found; what cannot be looked at is a finding too. */
  run(): Promise<readonly RedisFinding[]> {
    return this.#track(this.#run(true))
  }

  /** Tells each warning and each failure once, however often it is found. */
  async report(tell: (event: StoreEvent) => void): Promise<void> {
    if (this.#isReporting || this.#closing.signal.aborted) return
    this.#isReporting = true
    try {
      for (const { server, check, level, message, remedy } of await this.#track(this.#run(false))) {
        if (level === 'ok' || level === 'info' || this.#closing.signal.aborted) continue
        // Not by the message: it may count what is different each time.
        const trouble = JSON.stringify([server, check, level, remedy])
        if (this.#told.has(trouble)) continue
        this.#told.add(trouble)
        const text = `redis ${server}: ${message}${remedy === undefined ? '' : `; ${remedy}`}`
        tell({ type: 'error', error: new WardenError(text), place: 'redis check' })
      }
    } finally {
      this.#isReporting = false
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled(this.#running)
  }

  async #track<T>(run: Promise<T>): Promise<T> {
    this.#running.add(run)
    return run.finally(() => this.#running.delete(run))
  }

  /** Without `probed` changes are known to be heard, where they can be. */
  async #run(probed: boolean): Promise<readonly RedisFinding[]> {
    try {
      const servers = await this.#nodes.servers()
      const findings = await Promise.all(servers.map(server => this.#server(server, probed)))
      return findings.flat()
    } catch (error) {
      return [{ server: this.#nodes.place, ...unreached(error) }]
    }
  }

  async #server(server: RecordServer, probed: boolean): Promise<readonly RedisFinding[]> {
    const { sentinels } = server
    const looked = this.#look(server, probed).catch(error => [unreached(error)])
    const asked = sentinels === undefined ? [] : checkSentinels(sentinels, this.#settings.commandTimeoutMs)
    const findings = (await Promise.all([asked, looked])).flat()
    return findings.map(finding => ({ server: server.place(), ...finding }))
  }

  async #look(server: RecordServer, probed: boolean): Promise<Finding[]> {
    const timeoutMs = this.#settings.commandTimeoutMs
    const connection = await server.open('check', this.#closing.signal)
    const stop = (): void => connection.destroy(new CommandFailure('lost', 'store is closed'))
    this.#closing.signal.addEventListener('abort', stop, { once: true })
    try {
      const sentAt = performance.now()
      const [info] = await connection.requestAll([['info']], timeoutMs)
      const answered = ok('connection', `answers in ${inMs(performance.now() - sentAt)}`)
      const context = { connection, keys: this.#keys, timeoutMs, end: server.keyEnd() }
      const told = Buffer.isBuffer(info) ? checkInfo(info.toString(), server.kind) : withoutInfo()
      return [
        answered,
        ...told,
        ...(server.kind === 'cluster' ? [await checkEpoch(context)] : []),
        await checkRead(context),
        await checkWrite(context),
        ...(await checkUses(context)),
        await this.#hear(server, probed),
        await checkClock(context),
      ]
    } finally {
      this.#closing.signal.removeEventListener('abort', stop)
      stop()
      await connection.ended
    }
  }

  async #hear(server: RecordServer, probed: boolean): Promise<Finding> {
    const { invalidation } = this.#settings
    if (invalidation === 'none') {
      const message = 'changes are not heard: records are read again within staleWindowMs'
      return found(
        'invalidation',
        'warning',
        message,
        "set invalidation to 'tracking' or 'channel' where Redis allows it",
      )
    }
    try {
      const heard = probed ? `a change is heard after ${inMs(await this.#probe(server))}` : 'changes are heard'
      if (invalidation === 'tracking') return ok('invalidation', heard)
      const message = `${heard}, but only if a store makes them: what others write counts within maxAgeMs`
      return found('invalidation', 'warning', message, "set invalidation to 'tracking' where Redis allows it")
    } catch (error) {
      return unheard(lossOf(error))
    }
  }

  /** Sets a link up as a watch does, and resolves with how long one beat takes to come back through it. */
  async #probe(server: RecordServer): Promise<number> {
    const settings = this.#settings
    const connection = await server.open('check', this.#closing.signal)
    const context = { settings, keys: this.#keys, lane: () => server.lane, keyEnd: () => server.keyEnd() }
    try {
      const prove = await createSource(context)(connection, { changed() {}, unknown() {}, dropped() {} })
      const sentAt = performance.now()
      await prove()
      return performance.now() - sentAt
    } finally {
      connection.destroy(new CommandFailure('lost', 'the check is over'))
      await connection.ended
    }
  }
}

function unreached(error: unknown): Finding {
  const { message } = lossOf(error)
  return found('connection', 'failed', message, remedyFor(message) ?? 'see that Redis runs and can be reached')
}

function unheard({ code, message }: CommandFailure): Finding {
  const remedies: { readonly [code: string]: string } = {
    NOPERM: 'grant what the documentation of createRedisStore lists for the watch',
    ERR: "upgrade Redis, leave out the proxy before it, or set invalidation to 'channel'",
  }
  return found('invalidation', 'failed', `changes are not heard: ${message}`, remedies[code] ?? remedyFor(message))
}

function inMs(ms: number): string {
  return `${ms.toFixed(1)} ms`
}
