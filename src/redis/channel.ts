import { BeatReturn } from './beat.js'
import type { Command } from './client.js'
import { CommandFailure } from './failure.js'
import type { Arm, SourceContext } from './link.js'

/**
 * Hears of changes through a channel that the stores publish to when they write, where a server refuses tracking. A
 * beat is a message like the others: when it is back, what was published before it has arrived. A message names a key
 * and carries nothing else, so whoever forges one makes stores read again and no more.
 */
export function createChannel({ keys, settings, lane }: SourceContext): Arm {
  const channel = Buffer.from(keys.channel)
  return async (connection, news) => {
    const beats = new BeatReturn(connection)
    connection.listen((name, payload) => {
      if (!Buffer.isBuffer(name) || !name.equals(channel) || !Buffer.isBuffer(payload)) {
        news.dropped()
        return
      }
      news.changed(payload)
      beats.heard(payload)
    })
    await shardedOr(['ssubscribe', channel], ['subscribe', channel], command =>
      connection.request(command, settings.commandTimeoutMs),
    )
    return async () => {
      const timeoutMs = settings.heartbeatTimeoutMs
      const beat = keys.beatKey('')
      const through = await lane().acquire(timeoutMs, true)
      await beats.await(beat, timeoutMs, () => {
        return publish(channel, beat, command => through.request(command, timeoutMs))
      })
    }
  }
}

/** Sends one command to the server that has the channel; rejects with a `CommandFailure`. */
type Send = (command: Command) => Promise<unknown>

/** Sends a message to who listens on a channel. */
export async function publish(channel: Buffer, message: Buffer, send: Send): Promise<void> {
  await shardedOr(['spublish', channel, message], ['publish', channel, message], send)
}

/**
 * Uses sharded pub/sub where the server has it (Redis 7): subscribers to patterns, as mqemitter-redis has them, do not
 * see its messages. All that talk to one server come to the same choice.
 */
async function shardedOr(sharded: Command, classic: Command, send: Send): Promise<void> {
  try {
    await send(sharded)
  } catch (error) {
    // "ERR unknown command"; the classic one would meet with any other failure as well.
    if (!(error instanceof CommandFailure) || error.code !== 'ERR') throw error
    await send(classic)
  }
}
