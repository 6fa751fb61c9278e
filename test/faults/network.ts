import type { TcpProxy } from '../helpers/tcp-proxy.js'
import type { Fault } from './fault.js'
import { LineWorld } from './lines.js'

type Act = (line: TcpProxy) => void

/** A fault of the network between nodes and Redis: it hits both lines of one node, and one line of each other. */
const network = (name: string, begin: Act, heal: Act = () => {}): Fault<LineWorld> => ({
  name,
  start: () => LineWorld.start(),
  strike: world => {
    for (const line of world.hit) begin(line)
    return world.revoke()
  },
  heal: world => {
    for (const line of world.hit) heal(line)
  },
})

/** TCP delivers everything or ends: a line that lost bytes cannot go on. */
const endLoss: Act = line => {
  line.cut()
  line.drop(undefined)
}

export const NETWORK_FAULTS: readonly Fault<LineWorld>[] = [
  network('connections cut', line => line.cut()),
  network(
    'connections cut, new ones refused',
    line => {
      line.refuse(true)
      line.cut()
    },
    line => line.refuse(false),
  ),
  network(
    'connections frozen (half-open)',
    line => line.freeze(),
    line => line.resume(),
  ),
  network(
    'everything delayed by 3 s',
    line => line.delay(3_000),
    line => line.delay(0),
  ),
  network('what nodes send is lost', line => line.drop('up'), endLoss),
  network('what Redis sends is lost', line => line.drop('down'), endLoss),
]
