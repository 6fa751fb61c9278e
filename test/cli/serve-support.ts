import type { ChildProcess } from 'node:child_process'
import { createRedisStore } from 'mqtt-warden/redis'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { launch, type Outcome, run } from '../helpers/cli.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

export const PASSWORD = '38b3eff8baf56627478ec76a704e9b52'
export const PUMP = { mountpoint: '', clientId: 'pump-1', username: 'plant' }
export const RECORD = {
  passhash: '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6',
  publishAcl: [{ pattern: 'state/%c/#' }],
  subscribeAcl: [{ pattern: 'news/#' }],
}

type Line = Readonly<Record<string, unknown>>

export interface Served {
  readonly url: string
  readonly child: ChildProcess
  /** What it has logged so far. */
  readonly lines: readonly Line[]
  /** Ends it as an operator would, and resolves with its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  /** What is on its standard error so far. */
  errors(): string
}

const running: Served[] = []

/** Runs a command line that ends by itself. */
export const ending = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
  run(['serve', ...args], { env })

export async function serve(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Served> {
  const { child, ended, output } = launch(['serve', '--port', '0', ...args], env)
  const lines = (): Line[] => {
    const [...complete] = output().stdout.split('\n').slice(0, -1)
    return complete.map(line => JSON.parse(line) as Line)
  }
  let url: string | undefined
  await eventually(() => {
    if (child.exitCode !== null) throw new Error(output().stderr)
    url = lines().find(({ event }) => event === 'start')?.url as string | undefined
    return url !== undefined
  }, 'the server listens')
  const served: Served = {
    url: url!,
    child,
    get lines() {
      return lines()
    },
    errors: () => output().stderr,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null) child.kill(signal)
      return (await ended).code
    },
  }
  running.push(served)
  return served
}

interface Answer {
  readonly status: number
  readonly body: string
}

export async function post(
  url: string,
  fields: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(fields),
  })
  return { status: response.status, body: await response.text() }
}

export async function get(url: string): Promise<Answer> {
  const response = await fetch(url)
  return { status: response.status, body: await response.text() }
}

export const isReady = async ({ url }: Served): Promise<boolean> => (await get(`${url}/health/ready`)).status === 200

/** A Redis with the record of the pump, and no server left over after a test. */
export function useRedis(): { readonly url: string } {
  let redis: RedisServer | undefined
  beforeAll(async () => {
    redis = await startRedisServer()
  })
  beforeEach(async () => {
    await using store = createRedisStore(redis!.url)
    await store.put(PUMP, RECORD)
  })
  afterEach(async () => {
    for (const served of running.splice(0)) await served.stop('SIGKILL')
  })
  afterAll(() => redis?.stop())
  return {
    get url() {
      return redis!.url
    },
  }
}
