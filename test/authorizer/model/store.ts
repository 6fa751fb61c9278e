import type { AclRecord, RecordKey, RecordStore, StoreListener, WriteResult } from 'mqtt-warden'
import { Heard } from '../../../src/redis/heard.js'
import { keyOf } from '../support.js'

export const CLIENTS = ['a', 'b'] as const
export const KEYS = [...CLIENTS, '*'] as const

const NEVER = Number.POSITIVE_INFINITY

/** What stood under one key for some time. */
export interface Span {
  readonly record: AclRecord | undefined
  endedAt: number
  /** Whether the write that ended it was one that no link hears of. */
  isSilent: boolean
  /** When the authorizer was told of that write, or of a later one to the key. */
  toldAt: number
  /** Which of the times it was told that anything may have changed was the first since. */
  coveredBy: number
}

/** A read that is under way, step by step. */
export interface Read {
  /** Has the store look, which is some time after it was asked. */
  serve(): void
  answer(): void
  fail(): void
}

/** How the store deals with reads: each as the test says, at once, or not at all. */
export type Reading = 'stepped' | 'answered' | 'failing'

/** The link to one server: what it brings arrives in order, or not at all. */
class Line {
  isDeaf = true
  /** Whether the authorizer was told that it is deaf. */
  isNoticed = true
  readonly news: (() => void)[] = []
}

/**
 * A store on two servers that knows its whole past, and whose every step is the test's: serving, answering, delivering,
 * beating. What its links report is put together as for a Redis Cluster.
 */
export class WorldStore implements RecordStore {
  readonly semantics = 'strict'
  readonly reads: Read[] = []
  /** By client id of the key, the present last. */
  readonly spans: Record<string, Span[]> = {}
  readonly lines: readonly Line[] = [new Line(), new Line()]
  /** How often the authorizer was told that anything may have changed. */
  unknowns = 0
  /** Whether a read failed, waits, or was overtaken by news, so that the authorizer may need its sweep. */
  isTroubled = false
  readonly #isNeverDeaf: boolean
  readonly #heard: Heard
  #reading: Reading = 'stepped'
  #readableSince = NEVER
  /** Whether something changed that no link hears of, and nobody was told since that anything may have changed. */
  #isSilentlyChanged = false
  #heardUntil = Number.NEGATIVE_INFINITY
  #listener: StoreListener = () => {}

  /** @param isNeverDeaf Whether it tells of changes at once, as a store in memory does, and of its links when they end. */
  constructor(isNeverDeaf: boolean) {
    this.#isNeverDeaf = isNeverDeaf
    for (const id of KEYS) this.spans[id] = [spanOf(undefined)]
    const tell = (state: 'live' | 'blind', at: number) => void this.#listener({ type: 'link', state, at })
    this.#heard = new Heard(this.lines.length, {
      live: at => {
        this.#heardUntil = at
        tell('live', isNeverDeaf ? NEVER : at)
      },
      blind: () => tell('blind', isNeverDeaf ? performance.now() : this.#heardUntil),
    })
  }

  get reading(): Reading {
    return this.#reading
  }

  set reading(reading: Reading) {
    if (reading !== this.#reading) this.#readableSince = reading === 'answered' ? performance.now() : NEVER
    this.#reading = reading
  }

  /** How long reads have been answered at once. */
  get readableMs(): number {
    return performance.now() - this.#readableSince
  }

  /** Whether the authorizer was told of a line that it is deaf. */
  get isKnownDeaf(): boolean {
    return this.lines.some(({ isDeaf, isNoticed }) => isDeaf && isNoticed)
  }

  /** Whether everything that changes is heard of, sooner or later. */
  get isHeard(): boolean {
    return !this.#isSilentlyChanged && this.lines.every(({ isDeaf }) => !isDeaf)
  }

  get(key: RecordKey): Promise<AclRecord | undefined> {
    const { clientId } = key
    if (this.#reading === 'answered') return Promise.resolve(this.present(clientId).record)
    if (this.#reading === 'failing') {
      this.isTroubled = true
      return Promise.reject(new Error('no connection'))
    }
    return new Promise((resolve, reject) => {
      let served: Span | undefined
      const serve = () => {
        served ??= this.present(clientId)
        return served
      }
      const leave = () => void this.reads.splice(this.reads.indexOf(read), 1)
      const read: Read = {
        serve,
        answer: () => {
          leave()
          resolve(serve().record)
        },
        fail: () => {
          leave()
          this.isTroubled = true
          reject(new Error('connection lost'))
        },
      }
      this.reads.push(read)
    })
  }

  write(id: string, record: AclRecord | undefined): void {
    const ended = this.#replace(id, record)
    this.#send(this.#lineOf(id), () => this.#tellOf(id, ended))
  }

  /** Changes a record behind the back of the link, if that can be. */
  writeSilently(id: string, record: AclRecord | undefined): void {
    if (this.#isNeverDeaf) this.write(id, record)
    else {
      this.#replace(id, record).isSilent = true
      this.#isSilentlyChanged = true
    }
  }

  /** Changes a record of which is told only that anything may have changed. */
  restore(id: string, record: AclRecord | undefined): void {
    this.#replace(id, record)
    for (const line of this.lines.keys()) this.flush(line)
    this.deliverAll()
  }

  /** Writes what is there already. */
  touch(id: string): void {
    this.#send(this.#lineOf(id), () => this.#tellOf(id, undefined))
  }

  /** Says that anything may have changed. */
  flush(line: number): void {
    this.#send(line, () => this.#tellUnknown())
  }

  /** Sends a beat, which vouches for everything up to now when it arrives. */
  beat(line: number): void {
    const at = performance.now()
    this.#send(line, () => this.#heard.live(String(line), at))
  }

  /** Whatever is under way is lost; the authorizer is told, or finds out when the line is armed again. */
  cut(at: number, isNoticed: boolean): void {
    const line = this.lines[at]!
    if (!line.isDeaf) line.isNoticed = false
    line.isDeaf = true
    line.news.length = 0
    if (!isNoticed && !this.#isNeverDeaf) return
    this.#notice(at)
  }

  arm(at: number): void {
    const line = this.lines[at]!
    if (!line.isDeaf) return
    this.#notice(at)
    line.isDeaf = false
    this.flush(at)
    this.beat(at)
  }

  /** Delivers the next of a line. */
  deliver(at: number): void {
    const news = this.lines[at]!.news.shift()
    if (news === undefined) return
    this.isTroubled ||= this.reads.length > 0
    news()
  }

  deliverAll(): void {
    for (const at of this.lines.keys()) {
      for (let left = this.lines[at]!.news.length; left > 0; left--) this.deliver(at)
    }
  }

  present(id: string): Span {
    return this.spans[id]!.at(-1)!
  }

  watch(listener: StoreListener): () => void {
    this.#listener = listener
    return () => {
      this.#listener = () => {}
    }
  }

  put(): Promise<WriteResult> {
    throw new Error('not used')
  }
  delete(): Promise<WriteResult> {
    throw new Error('not used')
  }
  async *scan(): AsyncGenerator<RecordKey> {}
  async close(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}

  /** Records of roles are on a server of their own. */
  #lineOf(id: string): number {
    return id === '*' ? 1 : 0
  }

  #send(line: number, news: () => void): void {
    if (this.lines[line]!.isDeaf) return
    if (this.#isNeverDeaf) news()
    else this.lines[line]!.news.push(news)
  }

  #replace(id: string, record: AclRecord | undefined): Span {
    const ended = this.present(id)
    ended.endedAt = performance.now()
    this.spans[id]!.push(spanOf(record))
    return ended
  }

  #tellOf(id: string, ended: Span | undefined): void {
    const spans = this.spans[id]!
    for (const span of spans.slice(0, spans.indexOf(ended!) + 1)) {
      span.toldAt = Math.min(span.toldAt, performance.now())
    }
    void this.#listener({ type: 'changed', key: keyOf(id) })
  }

  #tellUnknown(): void {
    this.#isSilentlyChanged = false
    this.unknowns++
    for (const span of KEYS.flatMap(id => this.spans[id]!.slice(0, -1))) {
      span.coveredBy = Math.min(span.coveredBy, this.unknowns)
    }
    void this.#listener({ type: 'unknown' })
  }

  #notice(at: number): void {
    const line = this.lines[at]!
    if (!line.isNoticed) this.#heard.blind(String(at))
    line.isNoticed = true
  }
}

function spanOf(record: AclRecord | undefined): Span {
  return { record, endedAt: NEVER, isSilent: false, toldAt: NEVER, coveredBy: NEVER }
}
