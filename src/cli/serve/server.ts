import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAuthorizer } from '../../authorizer/index.js'
import { createEndpointServer } from '../../endpoint/index.js'
import { CliFault, outliveOutput } from '../io.js'
import { asFault, openStore, type StoreArguments } from '../redis.js'
import { createEndpoints, enforce } from './endpoints.js'
import { Health } from './health.js'
import { Log } from './log.js'
import { Metrics } from './metrics.js'
import { createListener, type Page } from './routes.js'
import { readTls, type TlsFiles } from './tls.js'

/** What `serve` was told, checked as far as the command line goes. */
export interface ServerOptions extends StoreArguments, TlsFiles {
  readonly port: number
  readonly listen: string
  readonly secret: string | undefined
  readonly unknownFacts: 'refuse' | 'allow'
  readonly goAuthMode: 'status' | 'json' | 'text'
  /** Variables that hold the secret and the key, for messages. */
  readonly secretEnv?: string
  readonly vernemqKeyEnv: string
  readonly vernemq: { readonly nodes: readonly string[]; readonly apiKey: string } | undefined
  readonly cacheSeconds: number
}

/** Longest wait for requests under way, in milliseconds; a login takes 10 s at most. */
const STOP_MS = 12_000

/** What to do about an address that cannot be listened on, by the code of the error. */
const LISTEN_REMEDIES: { readonly [code: string]: string } = {
  EADDRINUSE: 'end whatever listens there, perhaps another "serve", or choose another --port',
  EACCES: 'choose a --port from 1024 on, or allow the process lower ones',
  EADDRNOTAVAIL: '--listen must name an address of this machine',
  ENOTFOUND: '--listen must name an address of this machine',
}

/** Runs until a signal says stop. Resolves when everything is closed. */
export async function runServer(options: ServerOptions): Promise<void> {
  const log = new Log()
  const metrics = new Metrics()
  const tls = await readTls(options)
  await using store = await openStore(options)
  await using authorizer = createAuthorizer({ store, unknownPayloadSize: options.unknownFacts })
  log.follow(authorizer)
  metrics.follow(authorizer)
  await using enforced = await enforce(authorizer, options, log, metrics)
  const health = new Health(authorizer, store)
  const pages = new Map<string, () => Page | Promise<Page>>([
    ['/health/live', () => health.live()],
    ['/health/ready', () => health.ready()],
    ['/metrics', async () => ({ status: 200, type: metrics.contentType, body: await metrics.text() })],
  ])
  const counting = metrics.counting(authorizer)
  const names = { pathSecret: `--secret-env: ${options.secretEnv}` }
  const endpoints = asFault(() => createEndpoints(counting, options, log, enforced?.enforcement), names)
  const server = asFault(() => createEndpointServer({ node: createListener({ endpoints, pages }, metrics) }, tls))
  await listen(server, options)
  outliveOutput()
  log.line('info', 'start', { url: urlOf(server, tls.tls !== undefined), pid: process.pid })
  const signal = await stopSignal()
  health.isStopping = true
  log.line('info', 'stopping', { signal })
  await stop(server)
  log.line('info', 'stop')
}

function urlOf(server: Server, isTls: boolean): string {
  const { address, family, port } = server.address() as AddressInfo
  return `${isTls ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}

async function listen(server: Server, { port, listen: host }: ServerOptions): Promise<void> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    const remedy = LISTEN_REMEDIES[code]
    throw new CliFault(`cannot listen: ${message}${remedy === undefined ? '' : `; ${remedy}`}`)
  }
}

/** Resolves with the first signal to stop; the second ends the process as it would have without us. */
function stopSignal(): Promise<string> {
  return new Promise(resolve => {
    const signals = ['SIGTERM', 'SIGINT'] as const
    const heard = (signal: NodeJS.Signals): void => {
      for (const name of signals) process.off(name, heard)
      resolve(signal)
    }
    for (const name of signals) process.on(name, heard)
  })
}

/** Takes no new connections, lets requests finish, and cuts what is left in the end. */
async function stop(server: Server): Promise<void> {
  const closed = new Promise(resolve => server.close(resolve))
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), STOP_MS)
  await closed
  clearTimeout(timer)
}
