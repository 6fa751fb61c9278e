import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.js'
import { freePort } from './redis-server.js'

/** A RabbitMQ of the test's own, with the plugins for MQTT and for authentication over HTTP. */
export interface Rabbitmq {
  /** Where it speaks MQTT, on 127.0.0.1. */
  readonly port: number
  /** All it has said so far. */
  output(): string
  stop(): Promise<void>
}

/** Longest time for its start, on a machine that has other things to do. */
const START_MS = 120_000
/** Longest time for its end, before it is ended without asking. */
const STOP_MS = 20_000

/** The script itself where it is known: Debian's wrapper for it changes the user, and with it the folders. */
const SCRIPTS = ['/usr/lib/rabbitmq/bin/rabbitmq-server', '/opt/homebrew/sbin/rabbitmq-server']

/**
 * Starts RabbitMQ, in a folder and on ports of its own, and resolves when it accepts MQTT clients.
 *
 * @param authUrl Where its `user`, `vhost`, `resource` and `topic` are asked.
 */
export async function startRabbitmq(authUrl: string): Promise<Rabbitmq> {
  const dir = await mkdtemp(join(tmpdir(), 'warden-rabbitmq-'))
  const [port, distPort, epmdPort] = [await freePort(), await freePort(), await freePort()]
  const env = await prepare(dir, { port, distPort, epmdPort }, authUrl)
  // Started by us, so that it can be ended by us: RabbitMQ would leave one behind.
  const epmd = launch('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'], env)
  const server = launch(SCRIPTS.find(existsSync) ?? 'rabbitmq-server', [], env)
  const killAll = (): void => {
    for (const { child } of [server, epmd]) child.kill('SIGKILL')
  }
  process.once('exit', killAll)
  const stop = async (): Promise<void> => {
    await end(server.child)
    await end(epmd.child)
    process.off('exit', killAll)
    await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    await eventually(
      () => {
        if (server.failure() !== undefined) throw server.failure()
        return server.output().includes('startup complete') && accepts(port)
      },
      'RabbitMQ accepts MQTT clients',
      START_MS,
    )
  } catch (error) {
    await stop()
    throw new Error(`${(error as Error).message}\n${server.output().slice(-4_000)}`)
  }
  return { port, output: server.output, stop }
}

interface Ports {
  readonly port: number
  readonly distPort: number
  readonly epmdPort: number
}

/** Writes its configuration and returns the variables that keep it away from the system's own. */
async function prepare(dir: string, { port, distPort, epmdPort }: Ports, authUrl: string): Promise<NodeJS.ProcessEnv> {
  const conf = [
    'listeners.tcp = none',
    'auth_backends.1 = http',
    'auth_http.http_method = post',
    ...['user', 'vhost', 'resource', 'topic'].map(call => `auth_http.${call}_path = ${authUrl}/${call}`),
    `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
    'mqtt.allow_anonymous = false',
  ]
  for (const folder of ['home', 'mnesia', 'log', 'conf.d', 'schema', 'generated']) await mkdir(join(dir, folder))
  await writeFile(join(dir, 'rabbitmq.conf'), `${conf.join('\n')}\n`)
  await writeFile(join(dir, 'enabled_plugins'), '[rabbitmq_mqtt,rabbitmq_auth_backend_http].\n')
  return {
    PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
    LANG: 'C.UTF-8',
    HOME: join(dir, 'home'),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `warden-${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_MNESIA_BASE: join(dir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILES: join(dir, 'conf.d'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(dir, 'advanced.config'),
    RABBITMQ_SCHEMA_DIR: join(dir, 'schema'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'generated'),
    // Lets the script become the server instead of waiting for it, so that our signals reach the server.
    RUNNING_UNDER_SYSTEMD: 'true',
  }
}

function launch(command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let failure: Error | undefined
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
  child.once('error', (error: NodeJS.ErrnoException) => {
    const missing = 'rabbitmq-server is not installed: apt-get install -y rabbitmq-server'
    failure = new Error(error.code === 'ENOENT' ? missing : `${command} does not start: ${error.message}`)
  })
  child.once('exit', code => {
    failure ??= new Error(`${command} ended with code ${code}`)
  })
  return { child, output: () => output, failure: () => failure }
}

/** Ends a process, by force if it takes too long. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(timer)
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => finish(true))
    const finish = (accepted: boolean): void => {
      socket.destroy()
      resolve(accepted)
    }
    socket.once('error', () => finish(false))
  })
}
