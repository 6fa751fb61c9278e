import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.js'

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

/** Starts `redis-server` and resolves when it answers. Options are its command line, e.g. `['--cluster-enabled', 'yes']`. */
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

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

async function launch(port: number, dir: string, options: readonly string[]): Promise<ChildProcess> {
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', [...fixed, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
  let failure: Error | undefined
  child.once('error', (error: NodeJS.ErrnoException) => {
    const missing = 'redis-server is not installed: apt-get install -y redis-server'
    failure = new Error(error.code === 'ENOENT' ? missing : `redis-server does not start: ${error.message}`)
  })
  child.once('exit', code => {
    failure ??= new Error(`redis-server ended with code ${code}: ${output}`)
  })
  await eventually(() => {
    if (failure !== undefined) throw failure
    return answersPing(port)
  }, 'redis-server answers PING')
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
