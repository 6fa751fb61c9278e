import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis, type RedisOptions } from 'ioredis'
import { eventually } from './eventually.js'
import { freePort, type RedisServer, SERVER, startRedisServer } from './redis-server.js'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js'

/** Name of the master that the sentinels watch. */
const NAME = 'records'

/** A sentinel, which clients reach through a line. */
export interface SentinelMember {
  readonly line: TcpProxy
  readonly admin: Redis
}

/** One master, two replicas and three sentinels of the test's own. */
export interface RedisSentinels {
  /** The master that it began with. Clients reach it directly; the sentinels and its replicas through `masterLine`. */
  readonly master: RedisServer
  readonly masterLine: TcpProxy
  readonly replicas: readonly RedisServer[]
  readonly sentinels: readonly SentinelMember[]
  /** Options for ioredis. Keys of the `natMap` are what the sentinels call a server. */
  readonly options: RedisOptions
  /** The server that most sentinels name now. */
  current(): Promise<RedisServer>
  /** Resolves when most sentinels name another server than this, and it is a master. */
  replaced(server: RedisServer): Promise<RedisServer>
  stop(): Promise<void>
}

/** Starts all of them, and resolves when the sentinels know each other and the replicas. */
export async function startRedisSentinels(): Promise<RedisSentinels> {
  const master = await startRedisServer()
  const masterLine = await startTcpProxy(master.port)
  const asReplica = ['--replicaof', '127.0.0.1', String(masterLine.port)]
  const replicas = await Promise.all([1, 2].map(() => startRedisServer(asReplica)))
  await Promise.all(replicas.map(replica => eventually(() => isLinked(replica), 'a replica is in step')))
  const started = await Promise.all([1, 2, 3].map(() => startSentinel(masterLine.port)))
  const sentinels = started.map(({ member }) => member)
  const servers = [master, ...replicas]
  const current = async (): Promise<RedisServer> => {
    const named = await Promise.all(sentinels.map(({ admin }) => masterOf(admin)))
    const port = named.find((each, at) => named.indexOf(each) !== at)
    return port === masterLine.port ? master : servers.find(server => server.port === port)!
  }
  await Promise.all(sentinels.map(({ admin }) => eventually(() => knowsAll(admin), 'a sentinel knows the others')))
  return {
    master,
    masterLine,
    replicas,
    sentinels,
    current,
    options: {
      name: NAME,
      sentinels: sentinels.map(({ line }) => ({ host: '127.0.0.1', port: line.port })),
      natMap: { [`127.0.0.1:${masterLine.port}`]: { host: '127.0.0.1', port: master.port } },
    },
    async replaced(server) {
      await eventually(async () => (await current()) !== server, 'the sentinels name another master', 30_000)
      const successor = await current()
      await eventually(async () => (await roleOf(successor)) === 'master', 'it is a master')
      return successor
    },
    async stop() {
      await Promise.all(started.map(({ stop }) => stop()))
      await masterLine.close()
      await Promise.all(servers.map(server => server.stop()))
    },
  }
}

/** `master` or `slave`. */
export async function roleOf(server: RedisServer): Promise<string> {
  return withClient(server.port, async client => String(((await client.role()) as unknown[])[0]))
}

async function isLinked(replica: RedisServer): Promise<boolean> {
  return withClient(replica.port, async client => (await client.info('replication')).includes('master_link_status:up'))
}

async function withClient<T>(port: number, ask: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(port)
  client.on('error', () => {})
  try {
    return await ask(client)
  } finally {
    client.disconnect()
  }
}

async function masterOf(sentinel: Redis): Promise<number> {
  const address = (await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as [string, string]
  return Number(address[1])
}

async function knowsAll(sentinel: Redis): Promise<boolean> {
  const fields = (await sentinel.call('SENTINEL', 'MASTER', NAME)) as string[]
  const field = (name: string): string | undefined => fields[fields.indexOf(name) + 1]
  return field('num-slaves') === '2' && field('num-other-sentinels') === '2'
}

async function startSentinel(masterPort: number): Promise<{ member: SentinelMember; stop: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'warden-sentinel-'))
  const port = await freePort()
  const config = join(dir, 'sentinel.conf')
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    `sentinel monitor ${NAME} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${NAME} 500`,
    `sentinel failover-timeout ${NAME} 2000`,
  ]
  await writeFile(config, `${lines.join('\n')}\n`)
  const child: ChildProcess = spawn(SERVER, [config, '--sentinel'], { stdio: 'ignore' })
  const failed = new Promise<never>((_, reject) => {
    child.once('error', error => reject(new Error(`${SERVER} does not start as a sentinel: ${error.message}`)))
  })
  const admin = new Redis(port, { retryStrategy: () => 20 })
  admin.on('error', () => {})
  await Promise.race([admin.ping(), failed])
  // Periods of seconds, made short where the version lets them be. While the master is down replicas are looked at once a
  // second, and one that was last looked at five ping periods ago is not promoted: with shorter ones there is often none.
  const periods = ['INFO-PERIOD', '200', 'PING-PERIOD', '300', 'ASK-PERIOD', '100', 'PUBLISH-PERIOD', '200']
  await admin.call('SENTINEL', 'DEBUG', ...periods).catch(() => {})
  const line = await startTcpProxy(port)
  return {
    member: { line, admin },
    async stop() {
      admin.disconnect()
      await line.close()
      const exited = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await exited
      await rm(dir, { recursive: true, force: true })
    },
  }
}
