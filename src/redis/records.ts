import type { Swapped } from '../store/shared.js'
import type { WriteOptions, WriteResult } from '../store/types.js'
import { digestOf, recordConflict } from '../store/write.js'
import { publish } from './channel.js'
import type { Command } from './client.js'
import type { Reply } from './connection.js'
import { CommandFailure } from './failure.js'
import type { Lane } from './lane.js'
import type { Nodes } from './nodes.js'
import { Reads } from './reads.js'
import type { DurableReply, Sender } from './send.js'
import { meaningOf, type StoredValue } from './stored-value.js'

/** Keys that Redis looks at for one page of a scan. */
const SCAN_COUNT = '500'

// They compare whole values: Redis' own digest is SHA-1. Only they and the shared state need the right to run scripts.
const PUT_IF = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1`
const DELETE_IF = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`

const SWAP = `local held = redis.call('GET', KEYS[1])
if held ~= (ARGV[1] ~= '' and string.sub(ARGV[1], 2)) then return {0, held} end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
elseif ARGV[3] == '' then redis.call('SET', KEYS[1], string.sub(ARGV[2], 2))
else redis.call('SET', KEYS[1], string.sub(ARGV[2], 2), 'PX', ARGV[3]) end
return {1}`

/** What came of a write. */
export type Done = Pick<WriteResult, 'replaced' | 'replicas'>

/** The commands that read and write values. Failures are `CommandFailure`s. */
export class RecordCommands {
  readonly #nodes: Nodes
  readonly #sender: Sender
  readonly #reads: Reads

  /** @param maxRecordBytes Size beyond which it does not matter how large a value is. */
  constructor(nodes: Nodes, sender: Sender, maxRecordBytes: number) {
    this.#nodes = nodes
    this.#sender = sender
    this.#reads = new Reads(nodes, sender, maxRecordBytes)
  }

  /** How many reads may be under way where others must not wait for them. */
  get readsAtOnce(): number {
    return this.#reads.atOnce
  }

  /** Reads a value and its expiry. */
  read(redisKey: Buffer): Promise<StoredValue | undefined> {
    return this.#reads.read(redisKey)
  }

  /** Writes a value. An expiry that the key has stays: an edit prolongs nothing. */
  async put(redisKey: Buffer, text: string, { ifMatch, minReplicas }: WriteOptions = {}): Promise<Done> {
    if (typeof ifMatch === 'string') return this.#writeIf(redisKey, { ifMatch, minReplicas }, [PUT_IF, text])
    const condition = ifMatch === undefined ? ['keepttl', 'get'] : ['nx']
    const { reply, ...rest } = await this.#write(redisKey, ['set', redisKey, text, ...condition], minReplicas)
    if (ifMatch === null && reply === null) throw recordConflict(null)
    return { replaced: ifMatch === undefined && reply !== null, ...rest }
  }

  /** Removes a value. */
  async delete(redisKey: Buffer, { ifMatch, minReplicas }: WriteOptions = {}): Promise<Done> {
    if (typeof ifMatch === 'string') return this.#writeIf(redisKey, { ifMatch, minReplicas }, [DELETE_IF])
    const command = ifMatch === undefined ? 'del' : 'exists'
    const { reply, ...rest } = await this.#write(redisKey, [command, redisKey], minReplicas)
    if (ifMatch === null && reply === 1) throw recordConflict(null)
    return { replaced: reply === 1, ...rest }
  }

  /** Reads a value that nothing but {@link swap} writes. */
  async readText(redisKey: Buffer): Promise<string | undefined> {
    const [reply] = await this.#send(redisKey, [['get', redisKey]])
    return reply === null ? undefined : String(reply)
  }

  /** Puts one text in the place of another, where `undefined` stands for nothing. */
  async swap(
    redisKey: Buffer,
    expected: string | undefined,
    value: string | undefined,
    ttlMs: number | undefined,
  ): Promise<Swapped> {
    // Told apart from nothing by a character before it.
    const given = [expected, value].map(text => (text === undefined ? '' : `=${text}`))
    const { reply } = await this.#write(redisKey, ['eval', SWAP, '1', redisKey, ...given, String(ttlMs ?? '')])
    const [done, held] = reply as readonly [number, (Buffer | null)?]
    if (done === 1) return { swapped: true }
    return { swapped: false, current: Buffer.isBuffer(held) ? held.toString() : undefined }
  }

  /** Yields the Redis keys that match, page by page. */
  async *scan(glob: string): AsyncGenerator<readonly Buffer[]> {
    for (const { lane, kind } of await this.#nodes.servers()) {
      if (kind !== 'cluster') await this.#demandWhole(lane)
      let cursor = '0'
      do {
        const connection = await lane.acquire(this.#sender.timeoutMs)
        const command: Command = ['scan', cursor, 'match', glob, 'count', SCAN_COUNT]
        const page = (await connection.request(command, this.#sender.timeoutMs)) as readonly [Buffer, readonly Buffer[]]
        cursor = page[0].toString()
        yield page[1]
      } while (cursor !== '0')
    }
  }

  /** Refuses to list a part as if it were all: a node of a Cluster that is taken for a single server has no more. */
  async #demandWhole(lane: Lane): Promise<void> {
    const connection = await lane.acquire(this.#sender.timeoutMs)
    const info = await connection.request(['info', 'cluster'], this.#sender.timeoutMs).catch((error: unknown) => {
      // Who may not ask, or is told that there is no such command, sees at the records themselves what else is wrong.
      if (error instanceof CommandFailure && error.kind === 'refused') return ''
      throw error
    })
    if (!String(info).includes('cluster_enabled:1')) return
    throw new CommandFailure('refused', 'redis is one of a Cluster, and has a part of the records only')
  }

  /** Tells who listens on the channel that a key was written. */
  async announce(channel: Buffer, redisKey: Buffer): Promise<void> {
    await publish(channel, redisKey, command => this.#send(channel, [command]))
  }

  async #writeIf(
    redisKey: Buffer,
    { ifMatch, minReplicas }: { readonly ifMatch: string; readonly minReplicas: number | undefined },
    [script, ...values]: readonly [script: string, ...values: string[]],
  ): Promise<Done> {
    const stored = await this.read(redisKey)
    if (stored === undefined || digestOf(stored.bytes) !== ifMatch) throw recordConflict(ifMatch)
    const command: Command = ['eval', script, '1', redisKey, stored.bytes, ...values]
    const { reply, ...rest } = await this.#write(redisKey, command, minReplicas)
    if (reply !== 1) throw recordConflict(ifMatch)
    return { replaced: true, ...rest }
  }

  /** Writes, waiting for replicas where some are demanded. */
  async #write(redisKey: Buffer, command: Command, minReplicas?: number): Promise<Partial<DurableReply>> {
    try {
      if (minReplicas !== undefined) return await this.#sender.writeDurably(redisKey, command, minReplicas)
      return { reply: await this.#sender.write(redisKey, command) }
    } catch (error) {
      throw meaningOf(error)
    }
  }

  async #send(redisKey: Buffer, commands: readonly Command[]): Promise<readonly Reply[]> {
    try {
      return await this.#sender.send(redisKey, commands)
    } catch (error) {
      throw meaningOf(error)
    }
  }
}
