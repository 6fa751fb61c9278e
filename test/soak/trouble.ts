import type { Redis } from 'ioredis'
import type { Child } from '../faults/child.js'
import type { Lines } from '../faults/lines.js'
import type { RedisServer } from '../helpers/redis-server.js'
import type { TcpProxy } from '../helpers/tcp-proxy.js'
import type { Chance } from './chance.js'
import type { SoakCalls } from './protocol.js'
import type { Records } from './records.js'

/** Everything that can be given trouble. */
export interface Site {
  readonly server: RedisServer
  readonly admin: Redis
  readonly lines: readonly Lines[]
  readonly nodes: readonly Child<SoakCalls>[]
  readonly records: Records
  readonly chance: Chance
}

/** Begins, and resolves with what ends it. */
type Trouble = (site: Site) => Promise<() => Promise<void> | void>

const line =
  (begin: (line: TcpProxy) => void, end: (line: TcpProxy) => void = () => {}): Trouble =>
  async ({ lines, chance }) => {
    const { data, link } = chance.pick(lines)
    const hit = chance.pick([[data], [link], [data, link]])
    for (const one of hit) begin(one)
    return () => {
      for (const one of hit) end(one)
    }
  }

const over = (): void => {}

export const TROUBLES: Readonly<Record<string, Trouble>> = {
  cut: line(one => one.cut()),
  refuse: line(
    one => {
      one.refuse(true)
      one.cut()
    },
    one => one.refuse(false),
  ),
  freeze: line(
    one => one.freeze(),
    one => one.resume(),
  ),
  delay: line(
    one => one.delay(400),
    one => one.delay(0),
  ),
  loseUp: line(
    one => one.drop('up'),
    one => {
      one.cut()
      one.drop(undefined)
    },
  ),
  loseDown: line(
    one => one.drop('down'),
    one => {
      one.cut()
      one.drop(undefined)
    },
  ),
  async reset({ lines, chance }) {
    chance.pick(lines).link.inject('RESET\r\n', '+RESET\r\n')
    return over
  },
  async killClients({ admin }) {
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    return over
  },
  async pauseClients({ admin, chance }) {
    await admin.client('PAUSE', 100 + chance.below(1_500))
    return over
  },
  async flush({ admin, records }) {
    await records.lose(() => admin.flushall())
    return () => records.writeAll()
  },
  async stopServer({ server }) {
    server.freeze()
    return () => server.thaw()
  },
  async killServer({ server, records }) {
    await records.lose(() => server.kill())
    return async () => {
      await server.restart()
      await records.writeAll()
    }
  },
  async stopNode({ nodes, chance }) {
    const node = chance.pick(nodes)
    await node.standStill()
    return () => node.resume()
  },
}
