import type { Command } from './client.js'
import type { Connection, Reply } from './connection.js'
import { CANNOT_WRITE, CommandFailure, lossOf } from './failure.js'
import type { Lane } from './lane.js'
import type { Nodes } from './nodes.js'

/** How often a command follows the advice of a Cluster node that does not own its key. */
const MAX_REDIRECTIONS = 3

const ASKING: Command = ['asking']

/** How commands are sent, if not as all others. */
interface Manner {
  /** Which connection to the right server; left out, the one that all share. */
  readonly acquire?: (lane: Lane) => Promise<Connection>
  /** What must have succeeded before. */
  readonly prepare?: (connection: Connection) => Promise<unknown>
}

/** The answer to a write that replicas were awaited for. */
export interface DurableReply {
  readonly reply: Reply
  /** How many replicas have it, as far as is known. */
  readonly replicas: number
}

/** Sends commands about one key to the server that has it. Failures are `CommandFailure`s. */
export class Sender {
  /** For each answer, counted from when its command was sent: what this process was busy with before does not count. */
  readonly timeoutMs: number
  readonly #nodes: Nodes

  constructor(nodes: Nodes, timeoutMs: number) {
    this.#nodes = nodes
    this.timeoutMs = timeoutMs
  }

  /** Sends commands back to back. Each is sent again only where it was refused for being at the wrong server. */
  async send(redisKey: Buffer, commands: readonly Command[], manner: Manner = {}): Promise<readonly Reply[]> {
    const { acquire = lane => lane.acquire(this.timeoutMs), prepare } = manner
    let next: 'owner' | Lane = 'owner'
    for (let redirections = 0; ; redirections++) {
      const lane: Lane = next === 'owner' ? await this.#nodes.laneOf(redisKey) : next
      const connection = await acquire(lane)
      await prepare?.(connection)
      const sent: readonly Command[] = next === 'owner' ? commands : asking(commands)
      const replies = await connection.requestAll(sent, this.timeoutMs)
      await this.#believe(connection, sent, replies)
      const refusal = replies.find((reply, at) => isRefusal(reply, sent[at] === this.#nodes.witness))
      if (refusal === undefined) return replies.filter((_, at) => sent[at] !== ASKING)
      if (isStuck(sent, replies)) connection.destroy(refusal)
      connection.leaveIfNoMaster(refusal)
      const advice = redirections === MAX_REDIRECTIONS ? undefined : await this.#nodes.redirected(refusal)
      if (advice === undefined) throw refusal
      next = advice
    }
  }

  /**
   * Sends commands about several keys to the server that has them, as far as is known, back to back. Their refusals stand
   * among the replies; that of a witness is thrown.
   */
  async sendTo(lane: Lane, commands: readonly Command[]): Promise<readonly Reply[]> {
    const connection = await lane.acquire(this.timeoutMs)
    const replies = await connection.requestAll(commands, this.timeoutMs)
    await this.#believe(connection, commands, replies)
    for (const [at, reply] of replies.entries()) {
      const isWitness = commands[at] === this.#nodes.witness
      if (!isRefusal(reply, isWitness)) continue
      connection.leaveIfNoMaster(reply)
      if (isWitness) throw reply
    }
    return replies
  }

  /**
   * Sends a command that writes, over a connection that has answered just before. What is written to a line that no
   * longer carries anything may be delivered when it does again, whatever became of the connection meanwhile.
   */
  async write(redisKey: Buffer, command: Command): Promise<Reply> {
    const prepare = (connection: Connection) => connection.requestAll([['ping']], this.timeoutMs)
    const [reply] = await this.send(redisKey, [command], { prepare })
    return reply as Reply
  }

  /** As {@link write}, then waits for replicas. On a connection of its own: all others would wait with it. */
  async writeDurably(redisKey: Buffer, command: Command, minReplicas: number): Promise<DurableReply> {
    const { timeoutMs } = this
    const opened: Connection[] = []
    const acquire = async (lane: Lane): Promise<Connection> => {
      const connection = await lane.openApart()
      opened.push(connection)
      return connection
    }
    try {
      const [reply] = await this.send(redisKey, [command], { acquire })
      const wait: Command = ['wait', String(minReplicas), String(timeoutMs)]
      // The write stands whatever becomes of the question.
      const count = await opened
        .at(-1)!
        .request(wait, 2 * timeoutMs)
        .catch(() => 0)
      return { reply: reply as Reply, replicas: typeof count === 'number' ? count : 0 }
    } finally {
      for (const connection of opened) connection.destroy(lossOf(undefined))
    }
  }

  /** A server that refuses the witness for another reason does not come to say that it is a replica. */
  async #believe(connection: Connection, commands: readonly Command[], replies: readonly Reply[]): Promise<void> {
    const { witness } = this.#nodes
    const reply = witness && replies[commands.indexOf(witness)]
    if (reply instanceof CommandFailure && CANNOT_WRITE.has(reply.code)) await connection.demandMaster(this.timeoutMs)
  }
}

/** Has a server serve commands about a key that is on its way there: each one, save in a transaction, which counts whole. */
function asking(commands: readonly Command[]): readonly Command[] {
  if (commands[0]?.[0] === 'multi') return [ASKING, ...commands]
  return commands.flatMap(command => [ASKING, command])
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
