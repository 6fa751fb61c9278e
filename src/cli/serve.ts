import { type Command, Option } from 'commander'
import { collect, integer } from './arguments.js'
import { CliFault } from './io.js'
import { addStoreOptions, type StoreArguments } from './redis.js'
import type { ServerOptions } from './serve/server.js'

/** What commander makes of the command line. */
interface ServeOptions extends StoreArguments {
  readonly port: number
  readonly listen: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
  readonly secretEnv?: string
  /** `false` for `--no-secret`. */
  readonly secret: boolean
  readonly unknownFacts: 'refuse' | 'allow'
  readonly goAuthMode: 'status' | 'json' | 'text'
  readonly vernemqNode?: readonly string[]
  readonly vernemqKeyEnv: string
  readonly cacheSeconds: number
}

/** Adds `serve`. */
export function addServeCommand(program: Command): void {
  const serve = program
    .command('serve')
    .summary('answer brokers that ask over HTTP')
    .description(
      'Answers brokers that ask over HTTP, from the records in a Redis: the webhooks of VerneMQ, and the HTTP ' +
        'authentication of EMQX, RabbitMQ, mosquitto-go-auth and NanoMQ. Logs one line of JSON per event to ' +
        'standard output, and stops on SIGTERM and SIGINT when the requests under way are answered.',
    )
    .addOption(new Option('-p, --port <n>', 'TCP port; 0 takes a free one').argParser(integer(0, 65_535)).default(8081))
    .option('--listen <host>', 'address to listen on', '127.0.0.1')
  addAccessOptions(serve)
  addBrokerOptions(serve)
  // Without any invalidation the server would never be ready.
  addStoreOptions(serve, ['tracking', 'channel']).addHelpText('after', HELP).action(run)
}

function addAccessOptions(serve: Command): void {
  serve
    .option('--tls-cert <file>', 'certificate chain (PEM): speak HTTPS')
    .option('--tls-key <file>', 'private key of the certificate (PEM)')
    .option('--tls-client-ca <file>', 'authority (PEM) whose certificate every broker has to show')
    .option('--secret-env <name>', 'environment variable with the secret that paths must begin with')
    .option('--no-secret', 'listen on other addresses than loopback without a secret')
}

function addBrokerOptions(serve: Command): void {
  serve
    .addOption(
      new Option(
        '--unknown-facts <mode>',
        'where a broker tells no QoS, retain flag or payload size: rules that limit them allow nothing, or ignore them',
      )
        .choices(['refuse', 'allow'])
        .default('refuse'),
    )
    .addOption(
      new Option('--go-auth-mode <mode>', 'response mode of mosquitto-go-auth')
        .choices(['status', 'json', 'text'])
        .default('status'),
    )
    .option('--vernemq-node <url>', 'HTTP listener of a VerneMQ node, to end rights at once; name all nodes', collect)
    .option('--vernemq-key-env <name>', 'environment variable with the API key for them', 'VERNEMQ_API_KEY')
    .addOption(
      new Option('--cache-seconds <n>', 'how long VerneMQ may repeat a grant; needs every --vernemq-node')
        .argParser(integer(0, 86_400))
        .default(0),
    )
}

const HELP = `
Paths, with the secret as second part where there is one (/emqx/<secret>/authentication):
  /vernemq                                       all webhooks of VerneMQ
  /emqx/authentication /emqx/authorization
  /rabbitmq/user /rabbitmq/vhost /rabbitmq/resource /rabbitmq/topic
  /mosquitto/getuser /mosquitto/superuser /mosquitto/aclcheck
  /nanomq/auth /nanomq/super /nanomq/acl
Without a secret:
  /health/live                                   200 as long as the process runs
  /health/ready                                  200 while Redis answers and changes are heard, otherwise 503
  /metrics                                       for Prometheus

Examples:
  $ mqtt-warden serve --redis redis://127.0.0.1
  $ AUTH_SECRET=… mqtt-warden serve --redis redis://10.0.0.5 --listen 0.0.0.0 --secret-env AUTH_SECRET`

async function run(options: ServeOptions): Promise<void> {
  const { listen } = options
  if ((options.tlsCert === undefined) !== (options.tlsKey === undefined)) {
    throw new CliFault('--tls-cert and --tls-key go together')
  }
  if (options.tlsClientCa !== undefined && options.tlsCert === undefined) {
    throw new CliFault('--tls-client-ca needs --tls-cert and --tls-key')
  }
  const secret = options.secretEnv === undefined ? undefined : fromEnvironment(options.secretEnv, '--secret-env')
  const isGuarded = secret !== undefined || options.tlsClientCa !== undefined
  if (!isLoopback(listen) && !isGuarded && options.secret) {
    throw new CliFault(
      `anybody who reaches ${listen} could ask for rights and try passwords: ` +
        'give --secret-env or --tls-client-ca, or --no-secret if the network is closed',
    )
  }
  const { vernemqNode, cacheSeconds } = options
  if (cacheSeconds > 0 && vernemqNode === undefined) {
    throw new CliFault('--cache-seconds needs --vernemq-node: nothing else clears the caches of VerneMQ')
  }
  const server: ServerOptions = {
    ...options,
    secret,
    vernemq: vernemqNode && { nodes: vernemqNode, apiKey: fromEnvironment(options.vernemqKeyEnv, '--vernemq-key-env') },
  }
  // Loaded here, so that the other commands need not wait for it.
  const { runServer } = await import('./serve/server.js')
  await runServer(server)
}

function fromEnvironment(name: string, option: string): string {
  const value = process.env[name]
  if (value === undefined || value === '') throw new CliFault(`${option}: the variable ${name} is not set`)
  return value
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
