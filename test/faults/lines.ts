import { Redis } from 'ioredis'
import { encodeRecordKey, serializeRecord } from '../../src/index.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { type Moment, moment, type World } from './fault.js'
import { type NodeProcess, takeNodes } from './node-process.js'
import { CLIENTS, DELETED, FRESH, NARROWED, RIGHT, ROLE, recordOf } from './protocol.js'

export const NODES = 3

export const textOf = (...topics: readonly string[]): string => serializeRecord(recordOf(...topics))
export const nameOf = ({ key }: { readonly key: Parameters<typeof encodeRecordKey>[0] }): string => encodeRecordKey(key)

/** The way of one node to Redis: a line for data, and one for what the server tells of changes. */
export interface Lines {
  readonly data: TcpProxy
  readonly link: TcpProxy
}

/** One server with three nodes, each with lines of its own. */
export class LineWorld implements World {
  readonly server: RedisServer
  /** Reaches the server without a line that could fail. */
  admin: Redis
  readonly lines: readonly Lines[]
  readonly nodes: NodeProcess[]

  protected constructor(server: RedisServer, lines: readonly Lines[], nodes: NodeProcess[]) {
    this.server = server
    this.lines = lines
    this.nodes = nodes
    this.admin = adminOf(server)
  }

  static async start(options: readonly string[] = []): Promise<LineWorld> {
    const server = await startRedisServer(options)
    return new LineWorld(server, await linesTo(server), takeNodes(NODES))
  }

  /** The lines that a fault of the network hits: both of the first node, each one of the two others. */
  get hit(): readonly TcpProxy[] {
    const [first, second, third] = this.lines as readonly [Lines, Lines, Lines]
    return [first.data, first.link, second.link, third.data]
  }

  get all(): readonly TcpProxy[] {
    return this.lines.flatMap(({ data, link }) => [data, link])
  }

  async grant(): Promise<void> {
    await this.admin.mset(CLIENTS.flatMap(client => [nameOf(client), textOf(RIGHT)]))
  }

  revoke(): Promise<Moment> {
    return moment(() => this.revocation().exec())
  }

  /** The commands of the revoking, to be carried out in one go. */
  revocation(): ReturnType<Redis['multi']> {
    return revoking(this.admin)
  }

  async refresh(): Promise<void> {
    await this.admin.set(nameOf(NARROWED), textOf(FRESH))
  }

  async open(node: NodeProcess): Promise<void> {
    const { data, link } = this.lines[this.nodes.indexOf(node)]!
    await node.call('open', { data: data.port, link: link.port })
  }

  async close(): Promise<void> {
    try {
      await Promise.all(this.nodes.map(node => node.release()))
    } finally {
      this.admin.disconnect()
      await Promise.all([...this.all.map(line => line.close()), this.server.stop()])
    }
  }
}

/** A client that no fault of a line concerns. */
export function adminOf(server: RedisServer): Redis {
  const admin = new Redis(server.port, { retryStrategy: () => 5, maxRetriesPerRequest: null })
  admin.on('error', () => {})
  return admin
}

/** Lines to a server for every node. */
export function linesTo({ port }: RedisServer): Promise<Lines[]> {
  const line = async (): Promise<Lines> => ({ data: await startTcpProxy(port), link: await startTcpProxy(port) })
  return Promise.all(Array.from({ length: NODES }, line))
}

/** Takes the right away: one record is narrowed, one removed, one of a role narrowed. */
export function revoking(admin: Redis): ReturnType<Redis['multi']> {
  return admin.multi().set(nameOf(NARROWED), textOf('other')).del(nameOf(DELETED)).set(nameOf(ROLE), textOf('other'))
}
