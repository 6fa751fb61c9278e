import { describe, expect, it } from 'vitest'
import type { Command } from '../../src/redis/client.js'
import type { Connection, Reply } from '../../src/redis/connection.js'
import { CommandFailure } from '../../src/redis/failure.js'
import type { Lane } from '../../src/redis/lane.js'
import type { Nodes } from '../../src/redis/nodes.js'
import { Sender } from '../../src/redis/send.js'

const KEY = Buffer.from('key')
const MOVED = new CommandFailure('refused', 'moved', { code: 'MOVED', movedTo: '127.0.0.1:1' })

/** A lane whose connection keeps what is sent, and answers all of it alike. */
function laneOf(answer: Reply): { readonly lane: Lane; readonly sent: (readonly Command[])[] } {
  const sent: (readonly Command[])[] = []
  const requestAll = async (commands: readonly Command[]): Promise<readonly Reply[]> => {
    if (sent.push(commands) > 10) throw new Error('sent again and again')
    return commands.map(() => answer)
  }
  const connection = { requestAll, leaveIfNoMaster() {} } as unknown as Connection
  return { lane: { acquire: async () => connection } as unknown as Lane, sent }
}

/** Sends to one lane; each refusal is advice to go to another, or on as before. */
function senderOf(first: Lane, advice: Lane | 'owner'): Sender {
  return new Sender({ laneOf: async () => first, redirected: async () => advice } as unknown as Nodes, 1_000)
}

describe('a command that nodes of a Cluster send from one to another', () => {
  it('is given up after three such answers', async () => {
    const { lane, sent } = laneOf(MOVED)
    await expect(senderOf(lane, 'owner').send(KEY, [['get', KEY]])).rejects.toBe(MOVED)
    expect(sent).toHaveLength(4)
  })

  it.each<[string, readonly Command[], readonly string[]]>([
    [
      'each of several commands',
      [
        ['getrange', KEY],
        ['pttl', KEY],
      ],
      ['asking', 'getrange', 'asking', 'pttl'],
    ],
    ['a whole transaction', [['multi'], ['get', KEY], ['exec']], ['asking', 'multi', 'get', 'exec']],
  ])('is announced where its key is on its way to: %s', async (_, commands, expected) => {
    const there = laneOf(7)
    const replies = await senderOf(laneOf(MOVED).lane, there.lane).send(KEY, commands)
    expect(there.sent.map(given => given.map(([name]) => name))).toEqual([expected])
    expect(replies).toEqual(commands.map(() => 7))
  })
})
