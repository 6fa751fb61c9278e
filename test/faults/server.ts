import type { Redis } from 'ioredis'
import { eventually } from '../helpers/eventually.js'
import { type Fault, moment } from './fault.js'
import { LineWorld } from './lines.js'
import { LIMITS } from './protocol.js'

/** Buffers of connections that hear changes may take no more than this, in bytes. */
const OUTPUT_LIMIT = ['--client-output-buffer-limit', 'pubsub', '65536', '0', '0']
const IMPORTED = 100_000

/** Ids of the connections that nodes are told of changes through. */
async function linkIds(admin: Redis): Promise<string[]> {
  const clients = (await admin.client('LIST')) as string
  return [...clients.matchAll(/^id=(\d+) .* name=mqtt-warden:link /gm)].map(match => match[1]!)
}

export const SERVER_FAULTS: readonly Fault<LineWorld>[] = [
  {
    name: '`CLIENT KILL` of the tracking connections',
    start: () => LineWorld.start(),
    async strike(world) {
      const ids = await linkIds(world.admin)
      return moment(async () => {
        const kills = ids.map(id => world.admin.client('KILL', 'ID', id))
        await Promise.all([...kills, world.revocation().exec()])
      })
    },
  },
  {
    name: '`RESET` of the tracking connections',
    start: () => LineWorld.start(),
    async strike(world) {
      for (const { link } of world.lines) link.inject('RESET\r\n', '+RESET\r\n')
      await eventually(
        async () => !((await world.admin.client('LIST')) as string).includes('mqtt-warden:link'),
        'it is reset',
      )
      return world.revoke()
    },
  },
  {
    name: '`CLIENT PAUSE`',
    start: () => LineWorld.start(),
    strike: world =>
      moment(async () => {
        const revoked = world.revocation().exec()
        const paused = world.admin.client('PAUSE', 2_000)
        await Promise.all([revoked, paused])
      }),
  },
  {
    name: '`CLIENT PAUSE` of writes',
    start: () => LineWorld.start(),
    strike: world =>
      moment(async () => {
        const revoked = world.revocation().exec()
        const paused = world.admin.client('PAUSE', 2_000, 'WRITE')
        await Promise.all([revoked, paused])
      }),
  },
  {
    name: '`FLUSHALL`',
    start: () => LineWorld.start(),
    strike: ({ admin }) => moment(() => admin.flushall()),
  },
  {
    name: '`SWAPDB`, which no beat can see',
    boundMs: LIMITS.maxAgeMs,
    start: () => LineWorld.start(),
    strike: ({ admin }) => moment(() => admin.swapdb(0, 1)),
  },
  {
    name: 'output limit, during an import of 100,000 records',
    start: () => LineWorld.start(OUTPUT_LIMIT),
    async strike(world) {
      const { admin } = world
      const before = await linkIds(admin)
      const pairs = Array.from({ length: IMPORTED }, (_, n) => [`["","import${n}","u"]`, '{}']).flat()
      const half = admin.mset(pairs.slice(0, IMPORTED))
      const revoked = world.revoke()
      await Promise.all([half, revoked, admin.mset(pairs.slice(IMPORTED))])
      const after = await linkIds(admin)
      if (before.some(id => after.includes(id))) throw new Error('the limit was not reached')
      return revoked
    },
  },
  {
    name: 'Redis killed, restarted with its data',
    start: () => LineWorld.start(),
    async strike(world) {
      await world.admin.save()
      await world.server.kill()
      await world.server.restart()
      return world.revoke()
    },
  },
  {
    name: 'Redis killed, restarted without its data',
    start: () => LineWorld.start(),
    async strike(world) {
      const lost = await moment(() => world.server.kill())
      await world.server.restart()
      return lost
    },
  },
]
