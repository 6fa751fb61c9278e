import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.js'

/** The server under test. The suites of vitest's project `valkey` run on the second, all others on the first. */
export type Engine = 'redis' | 'valkey'

export const ENGINE: Engine = process.env.TEST_ENGINE === 'valkey' ? 'valkey' : 'redis'

/** Its program, of which a sentinel is another mode. */
export const SERVER: string = `${ENGINE}-server`

/** A Redis server of the test's own. Keeps nothing on disk, so a restart comes back empty. */
export interface RedisServer {
  readonly port: number
  readonly url: string
  /** Ends it as an operator would, and removes its folder. */
  stop(): Promise<void>
  /** Ends it without warning. */
  kill(): Promise<void>
  /** Starts it again on the same port, after `kill`. */
  restart(): Promise<void>
  /** Lets the process stand still, connections and all, as a machine that hangs would. */
  freeze(): void
  thaw(): void
}

/** Starts the server and resolves when it answers. Options are its command line, e.g. `['--cluster-enabled', 'yes']`. */
export async function startRedisServer(options: readonly string[] = []): Promise<RedisServer> {
  const dir = await mkdtemp(join(tmpdir(), 'warden-redis-'))
  const port = await freePort()
  let child = await launch(port, dir, options)
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGCONT')
    child.kill(signal)
    await exited
  }
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      await end('SIGTERM')
      await rm(dir, { recursive: true, force: true })
    },
    kill: () => end('SIGKILL'),
    async restart() {
      child = await launch(port, dir, options)
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
  }
}

/** Where ports are looked for: below those that Linux gives to outgoing connections, which would come in between. */
const FIRST_PORT = 20_000
const PORTS = 12_000
// Processes of the same run look in different places.
let tried = (process.pid * 101) % PORTS

/** A port that nothing listens on, and that nothing takes by itself before it is used. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS; tries++) {
    const port = FIRST_PORT + (tried++ % PORTS)
    if (await isFree(port)) return port
  }
  throw new Error(`no port from ${FIRST_PORT} to ${FIRST_PORT + PORTS - 1} is free`)
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise(resolve => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

async function launch(port: number, dir: string, options: readonly string[]): Promise<ChildProcess> {
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']
  // Otherwise a replica waits five seconds for others before it is served.
  fixed.push('--repl-diskless-sync-delay', '0')
  const child = spawn(SERVER, [...fixed, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
  let failure: Error | undefined
  child.once('error', (error: NodeJS.ErrnoException) => {
    const missing = `${SERVER} is not installed: npm run setup`
    failure = new Error(error.code === 'ENOENT' ? missing : `${SERVER} does not start: ${error.message}`)
  })
  child.once('exit', code => {
    failure ??= new Error(`${SERVER} ended with code ${code}: ${output}`)
  })
  await eventually(() => {
    if (failure !== undefined) throw failure
    return answersPing(port)
  }, `${SERVER} answers PING`)
  return child
}

function answersPing(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const finish = (answered: boolean): void => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('data', data => finish(data.toString().startsWith('+PONG')))
    socket.once('error', () => finish(false))
    socket.once('close', () => finish(false))
  })
}
