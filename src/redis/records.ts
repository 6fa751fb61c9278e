import { RecordInvalid } from '../errors.js'
import type { Swapped } from '../store/shared.js'
import { digestOf, recordConflict } from '../store/write.js'
import { publish } from './channel.js'
import type { Command } from './client.js'
import type { Connection, Reply } from './connection.js'
import { CANNOT_WRITE, CommandFailure } from './failure.js'
import type { Nodes } from './nodes.js'

/** How often a command follows the advice of a Cluster node that does not own its key. */
const MAX_REDIRECTIONS = 3

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

/** A value as Redis has it. */
export interface StoredValue {
  readonly bytes: Buffer
  /** Milliseconds until Redis drops it; negative when it never does. */
  readonly ttlMs: number
}

/** The commands that read and write values. Failures are `CommandFailure`s. */
export class RecordCommands {
  readonly #nodes: Nodes
  /** For each answer, counted from when its command was sent: what this process was busy with before does not count. */
  readonly #timeoutMs: number

  constructor(nodes: Nodes, timeoutMs: number) {
    this.#nodes = nodes
    this.#timeoutMs = timeoutMs
  }

  /** Reads a value together with its expiry, so that neither belongs to another moment. */
  async read(redisKey: Buffer): Promise<StoredValue | undefined> {
    const { witness } = this.#nodes
    const reading: Command[] = [['multi'], ['get', redisKey], ['pttl', redisKey], ['exec']]
    const replies = await this.send(redisKey, witness === undefined ? reading : [witness, ...reading])
    const result = replies.at(-1)
    const [bytes, ttlMs] = Array.isArray(result) ? (result as readonly Reply[]) : []
    if (bytes instanceof CommandFailure) throw notAString(bytes)
    if (bytes === null) return undefined
    if (Buffer.isBuffer(bytes) && typeof ttlMs === 'number') return { bytes, ttlMs }
    // Never taken for an absent record: that would let another record decide.
    throw new CommandFailure('refused', 'redis answered a read in a form that is none of its own')
  }

  /** Writes a value; resolves with whether there was one before. An expiry that the key has stays: an edit prolongs nothing. */
  async put(redisKey: Buffer, text: string, ifMatch: string | null | undefined): Promise<boolean> {
    if (typeof ifMatch === 'string') return this.#writeIf(redisKey, ifMatch, [PUT_IF, text])
    if (ifMatch === undefined) return (await this.#write(redisKey, ['set', redisKey, text, 'keepttl', 'get'])) !== null
    if ((await this.#write(redisKey, ['set', redisKey, text, 'nx'])) === null) throw recordConflict(null)
    return false
  }

  /** Removes a value; resolves with whether there was one. */
  async delete(redisKey: Buffer, ifMatch: string | null | undefined): Promise<boolean> {
    if (typeof ifMatch === 'string') return this.#writeIf(redisKey, ifMatch, [DELETE_IF])
    if (ifMatch === undefined) return (await this.#write(redisKey, ['del', redisKey])) === 1
    if ((await this.#write(redisKey, ['exists', redisKey])) === 1) throw recordConflict(null)
    return false
  }

  /** Reads a value that nothing but {@link swap} writes. */
  async readText(redisKey: Buffer): Promise<string | undefined> {
    const [reply] = await this.send(redisKey, [['get', redisKey]])
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
    const reply = await this.#write(redisKey, ['eval', SWAP, '1', redisKey, ...given, String(ttlMs ?? '')])
    const [done, held] = reply as readonly [number, (Buffer | null)?]
    if (done === 1) return { swapped: true }
    return { swapped: false, current: Buffer.isBuffer(held) ? held.toString() : undefined }
  }

  /** Yields the Redis keys that match, page by page. */
  async *scan(glob: string): AsyncGenerator<readonly Buffer[]> {
    for (const { lane } of await this.#nodes.servers()) {
      let cursor = '0'
      do {
        const connection = await lane.acquire(this.#timeoutMs)
        const command: Command = ['scan', cursor, 'match', glob, 'count', SCAN_COUNT]
        const page = (await connection.request(command, this.#timeoutMs)) as readonly [Buffer, readonly Buffer[]]
        cursor = page[0].toString()
        yield page[1]
      } while (cursor !== '0')
    }
  }

  /** Tells who listens on the channel that a key was written. */
  async announce(channel: Buffer, redisKey: Buffer): Promise<void> {
    await publish(channel, redisKey, command => this.send(channel, [command]))
  }

  async #writeIf(
    redisKey: Buffer,
    ifMatch: string,
    [script, ...values]: readonly [script: string, ...values: string[]],
  ): Promise<boolean> {
    const stored = await this.read(redisKey)
    if (stored === undefined || digestOf(stored.bytes) !== ifMatch) throw recordConflict(ifMatch)
    const written = await this.#write(redisKey, ['eval', script, '1', redisKey, stored.bytes, ...values])
    if (written !== 1) throw recordConflict(ifMatch)
    return true
  }

  /**
   * Sends a command that writes, over a connection that has answered just before. What is written to a line that no
   * longer carries anything may be delivered when it does again, whatever became of the connection meanwhile.
   */
  async #write(redisKey: Buffer, command: Command): Promise<Reply> {
    const [reply] = await this.send(redisKey, [command], connection =>
      connection.requestAll([['ping']], this.#timeoutMs),
    )
    return reply as Reply
  }

  /** Sends commands about one key to the server that has it. Each is sent again only where it was refused. */
  async send(
    redisKey: Buffer,
    commands: readonly Command[],
    prepare?: (connection: Connection) => Promise<unknown>,
  ): Promise<readonly Reply[]> {
    for (let redirections = 0; ; redirections++) {
      const lane = await this.#nodes.laneOf(redisKey)
      const connection = await lane.acquire(this.#timeoutMs)
      await prepare?.(connection)
      const replies = await connection.requestAll(commands, this.#timeoutMs)
      const refusal = replies.find((reply, at) => isRefusal(reply, commands[at] === this.#nodes.witness))
      if (refusal === undefined) return replies
      if (isStuck(commands, replies)) connection.destroy(refusal)
      connection.leaveIfNoMaster(refusal)
      if (redirections === MAX_REDIRECTIONS || !(await this.#nodes.redirected(refusal))) {
        throw refusal.code === 'WRONGTYPE' ? notAString(refusal) : refusal
      }
    }
  }
}

/** Whether a reply refuses. That this user may not write does not matter to a witness. */
function isRefusal(reply: Reply, isWitness: boolean): reply is CommandFailure {
  return reply instanceof CommandFailure && !(isWitness && CANNOT_WRITE.has(reply.code))
}

/** Whether a transaction was begun and its EXEC refused for itself: the connection would queue whatever comes next. */
function isStuck(commands: readonly Command[], replies: readonly Reply[]): boolean {
  const start = commands.findIndex(([name]) => name === 'multi')
  if (start < 0 || replies[start] instanceof CommandFailure) return false
  const last = replies.at(-1)
  return last instanceof CommandFailure && last.code !== 'EXECABORT'
}

function notAString(refusal: CommandFailure): RecordInvalid {
  if (refusal.code !== 'WRONGTYPE') throw refusal
  return new RecordInvalid('', 'is not a string in redis', { cause: refusal })
}
