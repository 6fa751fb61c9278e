import type { Redis } from 'ioredis'
import { encodeRecordKey, type RecordKey, serializeRecord } from '../../src/index.js'
import { recordOf, sharedNow } from '../faults/protocol.js'
import type { Chance } from './chance.js'
import { type Grant, KEYS, topicOf } from './protocol.js'

/** How long a version is remembered after its end, in milliseconds: far longer than anything may survive. */
const REMEMBERED_MS = 60_000

/** What every record is and was, as told by what Redis has confirmed. */
export class Records {
  readonly #redis: Redis
  readonly #chance: Chance
  readonly #present: Map<string, number> = new Map()
  /** Confirmed end of every version, `Infinity` while there is none. */
  readonly #ends: Map<number, number> = new Map()
  /** Versions with a password that no client has. */
  readonly #locked: Set<number> = new Set()
  #versions = 0
  longestMs = 0
  writes = 0

  constructor(redis: Redis, chance: Chance) {
    this.#redis = redis
    this.#chance = chance
  }

  /** The versions that stand now. */
  get present(): readonly number[] {
    return [...this.#present.values()]
  }

  async writeAll(): Promise<void> {
    for (const key of KEYS) await this.#write(key, 'pw')
  }

  /** Changes one record: mostly its rules, now and then its password, or it is removed. */
  async change(): Promise<void> {
    const key = this.#chance.pick(KEYS)
    const kind = this.#chance.below(10)
    if (kind < 8) await this.#write(key, 'pw')
    else if (kind === 8) await this.#write(key, 'another')
    else await this.#end(key, () => this.#redis.del(encodeRecordKey(key)))
    this.writes++
  }

  /** All records are lost by what `act` does. */
  async lose(act: () => Promise<unknown>): Promise<void> {
    await act()
    const now = sharedNow()
    for (const version of this.#present.values()) this.#endVersion(version, now)
    this.#present.clear()
  }

  /** What is wrong with grants that a node has given, to sessions or to look-ups. */
  judge(grants: readonly Grant[], boundMs: number, isSession: boolean): string[] {
    const wrong: string[] = []
    for (const [version, at] of grants) {
      if (isSession && this.#locked.has(version)) wrong.push(`a session was granted ${version} without its password`)
      const endedAt = this.#ends.get(version) ?? Number.NEGATIVE_INFINITY
      const survivedMs = at - endedAt
      if (survivedMs > boundMs)
        wrong.push(`${isSession ? 'a session' : 'a look-up'} was granted ${version} ${survivedMs} ms after its end`)
      else if (survivedMs > this.longestMs) this.longestMs = survivedMs
    }
    return wrong
  }

  forget(): void {
    const before = sharedNow() - REMEMBERED_MS
    for (const [version, endedAt] of this.#ends) {
      if (endedAt >= before) continue
      this.#ends.delete(version)
      this.#locked.delete(version)
    }
  }

  async #write(key: RecordKey, password: string): Promise<void> {
    const version = ++this.#versions
    this.#ends.set(version, Number.POSITIVE_INFINITY)
    if (password !== 'pw') this.#locked.add(version)
    const record = { ...recordOf(topicOf(version)), passhash: `plain:${password}` }
    await this.#end(key, () => this.#redis.set(encodeRecordKey(key), serializeRecord(record)))
    this.#present.set(encodeRecordKey(key), version)
  }

  /** Does what ends the present version of a record. */
  async #end(key: RecordKey, act: () => Promise<unknown>): Promise<void> {
    const name = encodeRecordKey(key)
    const before = this.#present.get(name)
    await act()
    this.#present.delete(name)
    if (before !== undefined) this.#endVersion(before, sharedNow())
  }

  #endVersion(version: number, now: number): void {
    if (this.#ends.get(version) === Number.POSITIVE_INFINITY) this.#ends.set(version, now)
  }
}
