import { RecordInvalid } from '../errors.js'
import { digestOf, recordConflict } from '../store/write.js'
import type { Command } from './client.js'
import type { Connection, Reply } from './connection.js'
import { CommandFailure } from './failure.js'
import type { Nodes } from './nodes.js'
import type { Deadline } from './time.js'

/** How often a command follows the advice of a Cluster node that does not own its key. */
const MAX_REDIRECTIONS = 3

/** Keys that Redis looks at for one page of a scan. */
const SCAN_COUNT = '500'

// They compare whole values: Redis' own digest is SHA-1. Nothing else needs the right to run scripts.
const PUT_IF = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1`
const DELETE_IF = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`

/** A value as Redis has it. */
export interface StoredValue {
  readonly bytes: Buffer
  /** Milliseconds until Redis drops it; negative when it never does. */
  readonly ttlMs: number
}

/** The commands that read and write records. Failures are `CommandFailure`s. */
export class RecordCommands {
  readonly #nodes: Nodes

  constructor(nodes: Nodes) {
    this.#nodes = nodes
  }

  /** Reads a value together with its expiry, so that neither belongs to another moment. */
  async read(redisKey: Buffer, deadline: Deadline): Promise<StoredValue | undefined> {
    const replies = await this.#send(redisKey, deadline, ['multi'], ['get', redisKey], ['pttl', redisKey], ['exec'])
    const [bytes, ttlMs] = Array.isArray(replies[3]) ? (replies[3] as readonly Reply[]) : []
    if (bytes instanceof CommandFailure) throw notAString(bytes)
    if (bytes === null) return undefined
    if (Buffer.isBuffer(bytes) && typeof ttlMs === 'number') return { bytes, ttlMs }
    // Never taken for an absent record: that would let another record decide.
    throw new CommandFailure('refused', 'redis answered a read in a form that is none of its own')
  }

  /** Writes a value; resolves with whether there was one before. An expiry that the key has stays: an edit prolongs nothing. */
  async put(redisKey: Buffer, text: string, ifMatch: string | null | undefined, deadline: Deadline): Promise<boolean> {
    if (typeof ifMatch === 'string') return this.#writeIf(redisKey, ifMatch, [PUT_IF, text], deadline)
    if (ifMatch === undefined)
      return (await this.#one(redisKey, deadline, ['set', redisKey, text, 'keepttl', 'get'])) !== null
    if ((await this.#one(redisKey, deadline, ['set', redisKey, text, 'nx'])) === null) throw recordConflict(null)
    return false
  }

  /** Removes a value; resolves with whether there was one. */
  async delete(redisKey: Buffer, ifMatch: string | null | undefined, deadline: Deadline): Promise<boolean> {
    if (typeof ifMatch === 'string') return this.#writeIf(redisKey, ifMatch, [DELETE_IF], deadline)
    if (ifMatch === undefined) return (await this.#one(redisKey, deadline, ['del', redisKey])) === 1
    if ((await this.#one(redisKey, deadline, ['exists', redisKey])) === 1) throw recordConflict(null)
    return false
  }

  /** Yields the Redis keys that match, page by page; each page has its own deadline. */
  async *scan(glob: string, createDeadline: () => Deadline): AsyncGenerator<readonly Buffer[]> {
    for (const lane of await this.#nodes.lanes(createDeadline())) {
      let cursor = '0'
      do {
        const deadline = createDeadline()
        const connection = await lane.acquire(deadline.remainingMs)
        const command: Command = ['scan', cursor, 'match', glob, 'count', SCAN_COUNT]
        const page = (await connection.request(command, deadline.remainingMs)) as readonly [Buffer, readonly Buffer[]]
        cursor = page[0].toString()
        yield page[1]
      } while (cursor !== '0')
    }
  }

  async #writeIf(
    redisKey: Buffer,
    ifMatch: string,
    [script, ...values]: readonly [script: string, ...values: string[]],
    deadline: Deadline,
  ): Promise<boolean> {
    const stored = await this.read(redisKey, deadline).catch(error => {
      // The write has not been sent yet, so its outcome is known.
      if (!(error instanceof CommandFailure) || error.kind === 'refused') throw error
      throw new CommandFailure('unsent', error.message, { cause: error })
    })
    if (stored === undefined || digestOf(stored.bytes) !== ifMatch) throw recordConflict(ifMatch)
    const written = await this.#one(redisKey, deadline, ['eval', script, '1', redisKey, stored.bytes, ...values])
    if (written !== 1) throw recordConflict(ifMatch)
    return true
  }

  async #one(redisKey: Buffer, deadline: Deadline, command: Command): Promise<Reply> {
    return (await this.#send(redisKey, deadline, command))[0] as Reply
  }

  /** Sends commands about one key to the server that has it. Each is sent again only where it was refused. */
  async #send(redisKey: Buffer, deadline: Deadline, ...commands: readonly Command[]): Promise<readonly Reply[]> {
    for (let redirections = 0; ; redirections++) {
      const lane = await this.#nodes.laneOf(redisKey, deadline)
      const connection = await lane.acquire(deadline.remainingMs)
      const replies = await connection.requestAll(commands, deadline.remainingMs)
      const refusal = replies.find(reply => reply instanceof CommandFailure)
      if (refusal === undefined) return replies
      leaveTransaction(connection, replies.at(-1))
      if (redirections === MAX_REDIRECTIONS || !(await this.#nodes.redirected(refusal, deadline))) {
        throw refusal.code === 'WRONGTYPE' ? notAString(refusal) : refusal
      }
    }
  }
}

/** An EXEC that was refused for itself leaves the connection queueing whatever comes next. */
function leaveTransaction(connection: Connection, last: Reply | undefined): void {
  if (last instanceof CommandFailure && last.code === 'NOPERM') connection.destroy(last)
}

function notAString(refusal: CommandFailure): RecordInvalid {
  if (refusal.code !== 'WRONGTYPE') throw refusal
  return new RecordInvalid('', 'is not a string in redis', { cause: refusal })
}
