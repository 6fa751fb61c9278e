import { Redis } from 'ioredis'
import type { RecordKey } from '../../src/record/types.js'
import { createRedisStore, type RedisStore, type RedisStoreOptions, type RedisTarget } from '../../src/redis/index.js'
import type { RecordStore, StoreEvent } from '../../src/store/types.js'
import { eventually } from '../helpers/eventually.js'

/** Options that make links fail and return quickly. */
export const FAST: RedisStoreOptions = {
  heartbeatMs: 50,
  heartbeatTimeoutMs: 300,
  commandTimeoutMs: 300,
  connectTimeoutMs: 500,
  reconnectMinMs: 5,
  reconnectMaxMs: 50,
}

/** For links that must not fail, however busy the machine is. */
export const PATIENT: RedisStoreOptions = { heartbeatTimeoutMs: 10_000, commandTimeoutMs: 10_000 }

/** Text of a record with one publish rule, as any tool might write it. */
export const textOf = (pattern: string): string =>
  JSON.stringify({
    passhash: '$2a$04$abcdefghijklmnopqrstuuJ6zrjCk0vJKgVDsJrGzBbXxCMCDPRF2',
    publish_acl: [{ pattern }],
    subscribe_acl: [],
  })

/** Everything a store tells a watcher, with what tests ask of it. */
export class Heard {
  readonly events: StoreEvent[] = []
  readonly stop: () => void

  constructor(store: RecordStore) {
    this.stop = store.watch(event => void this.events.push(event))
  }

  get isLive(): boolean {
    const links = this.events.filter(event => event.type === 'link')
    return links.at(-1)?.state === 'live'
  }

  /** Kinds of events, repeated `live` left out, from the given position. */
  story(from = 0): string[] {
    const kinds = this.events.slice(from).map(event => (event.type === 'link' ? event.state : event.type))
    return kinds.filter((kind, at) => kind !== 'live' || kinds.slice(0, at).findLast(isState) !== 'live')
  }

  count(type: StoreEvent['type'], from = 0): number {
    return this.events.slice(from).filter(event => event.type === type).length
  }

  changed(key: RecordKey, from = 0): boolean {
    return this.events.slice(from).some(event => event.type === 'changed' && sameKey(event.key, key))
  }

  live(): Promise<void> {
    return eventually(() => this.isLive, 'the watch is live')
  }

  blind(): Promise<void> {
    return eventually(() => this.events.length > 0 && !this.isLive, 'the watch is blind')
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return eventually(condition, what)
  }
}

function isState(kind: string): boolean {
  return kind === 'live' || kind === 'blind'
}

function sameKey(a: RecordKey, b: RecordKey): boolean {
  return a.mountpoint === b.mountpoint && a.clientId === b.clientId && a.username === b.username
}

/** A client to hand in whose copies reach Redis through one port for data and another for tracking. */
export function splitTemplate(
  ports: { readonly data: number; readonly link: number },
  options: { readonly username?: string; readonly password?: string } = {},
): RedisTarget {
  const template = new Redis({ lazyConnect: true, ...options })
  return {
    options: template.options,
    duplicate(override: { connectionName: string }) {
      const port = override.connectionName.endsWith(':link') ? ports.link : ports.data
      const options: object = { ...template.options, ...override, host: '127.0.0.1', port }
      return new Redis(options)
    },
  }
}

/** Stores of one test, closed together. */
export class Stores {
  readonly #stores: RedisStore[] = []
  readonly #options: RedisStoreOptions

  /** @param options What else than {@link FAST} holds where nothing is said. */
  constructor(options: RedisStoreOptions = {}) {
    this.#options = options
  }

  create(target: RedisTarget, options: RedisStoreOptions = {}): RedisStore {
    const store = createRedisStore(target, { ...FAST, ...this.#options, ...options })
    this.#stores.push(store)
    return store
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.splice(0).map(store => store.close()))
  }
}
