import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { hashPassword } from 'mqtt-warden'
import { afterEach } from 'vitest'
import type { AclRecord } from '../../src/record/types.js'
import type { RedisStore } from '../../src/redis/index.js'
import { key } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import type { RedisServer } from '../helpers/redis-server.js'
import { Stores } from './support.js'

const PASSWORD = 'correct horse'
const passhash = await hashPassword(PASSWORD, { cost: 4 })

/** Key of the record that all clients of these tests have. */
export const SHARED = key('*')

/** A record with these filters to subscribe. */
export const recordOf = (...filters: string[]): AclRecord => ({
  passhash,
  publishAcl: [],
  subscribeAcl: filters.map(pattern => ({ pattern })),
})

/** Closed after each test, as the nodes and clients below are. */
export const stores = new Stores()
const children: ChildProcess[] = []
const admins: Redis[] = []

/** Starts brokers, each with a client `<name>-client`, and resolves when those have subscribed to `a/#`, `b` and `c`. */
export async function startNodes(target: string, ...names: string[]): Promise<ChildProcess[]> {
  const script = new URL('./children/node.ts', import.meta.url).pathname
  return Promise.all(
    names.map(async name => {
      const args = ['--import', 'tsx', script, target, name, `${name}-client`, PASSWORD]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      children.push(child)
      await once(child.stdout!, 'data')
      return child
    }),
  )
}

/** Names in the ids of nodes. */
export const namesOf = (ids: Iterable<string>): string[] =>
  [...ids].map(id => id.replace(/\.\d+\.[0-9a-f]{12}$/, '')).sort()

/** Resolves when exactly these nodes are alive. */
export async function present(store: RedisStore, ...names: string[]): Promise<void> {
  await eventually(async () => {
    const nodes = await store.nodes()
    return String(nodes.map(({ name }) => name).sort()) === String(names)
  }, `the nodes are ${names}`)
}

/** A client of another tool. */
export function adminOf({ port }: RedisServer): Redis {
  const admin = new Redis(port)
  admins.push(admin)
  return admin
}

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  await stores.close()
  for (const admin of admins.splice(0)) admin.disconnect()
})
