import { encodeRecordKey } from '../../src/index.js'
import { eventually } from '../helpers/eventually.js'
import { type Fault, pause } from './fault.js'
import { LineWorld } from './lines.js'
import { takeNodes } from './node-process.js'
import { LIMITS, NARROWED, RIGHT, recordOf } from './protocol.js'

const standStill = (name: string, ms: number): Fault<LineWorld> => ({
  name,
  start: () => LineWorld.start(),
  async strike(world) {
    await Promise.all(world.nodes.map(node => node.standStill()))
    const revoked = await world.revoke()
    await pause(ms)
    for (const node of world.nodes) node.resume()
    return revoked
  },
})

export const PROCESS_FAULTS: readonly Fault<LineWorld>[] = [
  {
    name: 'a node killed, and started anew',
    start: () => LineWorld.start(),
    async strike(world) {
      const [killed] = world.nodes
      const gone = killed!.kill()
      const revoked = await world.revoke()
      await gone
      const [successor] = takeNodes(1)
      world.nodes[0] = successor!
      await world.open(successor!)
      return revoked
    },
  },
  standStill('nodes stand still (`SIGSTOP`), for less than the bound', LIMITS.outageGraceMs / 2),
  standStill('nodes stand still (`SIGSTOP`), for longer than the bound', 2 * LIMITS.outageGraceMs),
  {
    name: 'a `put` that timed out on a frozen line, before the revoking',
    start: () => LineWorld.start(),
    async strike(world) {
      const [{ data }] = world.lines as readonly [LineWorld['lines'][number]]
      const name = encodeRecordKey(NARROWED.key)
      data.watch('up', chunk => {
        if (chunk.includes(name) && chunk.includes('keepttl')) data.freeze()
      })
      const outcome = await world.nodes[0]!.call('put', NARROWED.key, recordOf(RIGHT))
      if (outcome !== 'OutcomeUnknown') throw new Error(`the put was not lost: ${outcome}`)
      return world.revoke()
    },
    async heal(world) {
      const name = encodeRecordKey(NARROWED.key)
      const before = await world.admin.get(name)
      world.lines[0]!.data.resume()
      await eventually(() => world.lines[0]!.data.held('up').length === 0, 'everything held back is delivered')
      // In each of its turns Redis reads whatever has arrived: at the third answer it has long done so.
      for (let turns = 0; turns < 3; turns++) await world.admin.ping()
      if ((await world.admin.get(name)) !== before) throw new Error('the lost put came back')
    },
  },
]
