import type { Bytes, Command, NodeClient } from './client.js'
import { CANNOT_WRITE, CommandFailure, isReplyError, lossOf, NOT_MASTER, refusal } from './failure.js'
import { within } from './time.js'

/** A reply as RESP2 has it, strings as buffers. */
export type Reply = null | number | Buffer | readonly Reply[] | CommandFailure

/** Hears what the server pushes to a subscribed connection. */
export type MessageListener = (channel: unknown, payload: unknown) => void

/**
 * One socket, from its opening to its end. It is never reopened, so nothing that was sent through it can be sent again,
 * and nothing that arrives late can be taken for news of a later connection.
 */
export class Connection {
  /** Settles once, with the reason, when the connection can no longer be used. */
  readonly lost: Promise<CommandFailure>
  /** Settles when the socket is closed. */
  readonly ended: Promise<void>
  readonly #client: NodeClient
  #loss: CommandFailure | undefined
  #tellLoss!: (loss: CommandFailure) => void
  /** How to fail the requests under way. Not reactions to `lost`: a promise that lives long would keep them all. */
  readonly #underWay: Set<(loss: CommandFailure) => void> = new Set()
  #listener: MessageListener | undefined

  private constructor(client: NodeClient) {
    this.#client = client
    this.lost = new Promise(resolve => {
      this.#tellLoss = resolve
    })
    this.ended = new Promise(resolve => client.on('end', () => resolve()))
    // Errors that ioredis only announces, such as a refused SELECT, would leave the connection in the wrong state.
    client.on('error', error => this.destroy(error))
    client.on('close', () => this.destroy(new CommandFailure('lost', 'connection closed')))
    for (const event of ['messageBuffer', 'smessageBuffer'] as const) {
      client.on(event, (channel, payload) => this.#listener?.(channel, payload))
    }
  }

  /** Opens the socket of a client that was not used before, and waits until the server answers. */
  static async open(client: NodeClient, timeoutMs: number, signal: AbortSignal): Promise<Connection> {
    const connection = new Connection(client)
    const abort = (): void => connection.destroy(new CommandFailure('lost', 'store is closed'))
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (signal.aborted) abort()
      await within(connection.#greet(timeoutMs), timeoutMs, () => {
        return new CommandFailure('timeout', `no connection within ${timeoutMs} ms`)
      })
      return connection
    } catch (error) {
      connection.destroy(error)
      throw lossOf(error)
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  get isUsable(): boolean {
    return this.#loss === undefined && this.#client.status === 'ready' && this.#client.stream?.writable === true
  }

  /** Sends a command. The connection is destroyed when there is no reply in time. */
  async request(command: Command, timeoutMs: number): Promise<Exclude<Reply, CommandFailure>> {
    const [reply] = await this.requestAll([command], timeoutMs)
    if (reply instanceof CommandFailure) throw reply
    return reply as Exclude<Reply, CommandFailure>
  }

  /** Sends commands back to back, with nothing in between. Refusals stand among the replies. */
  async requestAll(commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]> {
    if (!this.isUsable)
      throw new CommandFailure('unsent', this.#loss?.message ?? 'connection closed', { cause: this.#loss })
    let fail!: (loss: CommandFailure) => void
    const lost = new Promise<never>((_, reject) => {
      fail = reject
    })
    this.#underWay.add(fail)
    try {
      return await within(Promise.race([this.#sendAll(commands), lost]), timeoutMs, () => {
        this.destroy(new CommandFailure('lost', 'connection destroyed, since a command was not answered in time'))
        return new CommandFailure('timeout', `no reply within ${timeoutMs} ms`)
      })
    } finally {
      this.#underWay.delete(fail)
    }
  }

  /**
   * Resolves when the server has answered. One that cannot save what is written refuses even this, and has answered.
   */
  async ping(timeoutMs: number): Promise<void> {
    const [reply] = await this.requestAll([['ping']], timeoutMs)
    if (reply instanceof CommandFailure && !CANNOT_WRITE.has(reply.code)) throw reply
  }

  /** Sets who hears what is pushed from now on. */
  listen(listener: MessageListener): void {
    if (this.#loss === undefined) this.#listener = listener
  }

  /** Ends the connection if a refusal shows that it leads to no master: the next may lead to the successor. */
  leaveIfNoMaster({ code }: CommandFailure): void {
    if (NOT_MASTER.has(code)) this.destroy(new CommandFailure('lost', `the server is no master: it answered ${code}`))
  }

  /**
   * Rejects, and ends the connection, where the server is a replica, or demands replicas and has none. For a server that
   * refuses writes for another reason: it does not come to say so then. One that may not be asked is taken for a master.
   */
  async demandMaster(timeoutMs: number): Promise<void> {
    const [info] = await this.requestAll([['info', 'replication']], timeoutMs)
    const text = String(info)
    // The count is told only where `min-replicas-to-write` demands one; how many it demands is not.
    const isLeft = /^min_slaves_good_slaves:0\r?$/m.test(text)
    if (!isLeft && !/^role:slave\r?$/m.test(text)) return
    const failure = new CommandFailure(
      'lost',
      `the server is no master: ${isLeft ? 'its replicas have left it' : 'it is a replica'}`,
    )
    this.destroy(failure)
    throw failure
  }

  /** Ends the connection at once. What is under way fails, and what arrives from now on is not heard. */
  destroy(cause: unknown): void {
    if (this.#loss !== undefined) return
    this.#loss = lossOf(cause)
    this.#listener = undefined
    this.#close()
    this.#tellLoss(this.#loss)
    for (const fail of this.#underWay) fail(new CommandFailure('lost', this.#loss.message, { cause: this.#loss.cause }))
  }

  async #greet(timeoutMs: number): Promise<void> {
    // `connect` says no more than that it failed; the reason came as an event.
    await this.#client.connect().catch(error => {
      throw this.#loss ?? error
    })
    // Proves that a Redis is there and lets us in: without commands, ioredis takes a socket that opened for ready.
    await this.ping(timeoutMs)
  }

  /** All in one write: of its own accord ioredis makes a system call of each command. */
  #sendAll(commands: readonly Command[]): Promise<readonly Reply[]> {
    const { stream } = this.#client
    stream?.cork?.()
    try {
      return Promise.all(commands.map(command => this.#send(command)))
    } finally {
      stream?.uncork?.()
    }
  }

  async #send([name, ...args]: readonly [string, ...Bytes[]]): Promise<Reply> {
    try {
      return toReply(await this.#client.callBuffer(name, ...args))
    } catch (error) {
      if (isReplyError(error)) return refusal(error)
      throw lossOf(error)
    }
  }

  #close(): void {
    const { stream } = this.#client
    // A plain close lets the kernel go on delivering what was written, perhaps minutes later and over newer records; a
    // reset makes it forget.
    try {
      if (this.#underWay.size > 0 && stream?.connecting === false) stream.resetAndDestroy?.()
    } catch {
      // TLS or a Unix socket: only bare TCP can be reset.
    }
    // Ends what ioredis has opened besides, and keeps it from connecting if it was about to; then what it leaves open.
    this.#client.disconnect()
    stream?.destroy()
  }
}

/** Puts refusals in place of the errors that ioredis leaves inside the reply to EXEC. */
function toReply(reply: unknown): Reply {
  if (isReplyError(reply)) return refusal(reply)
  if (Array.isArray(reply)) return reply.map(toReply)
  return reply as Reply
}
