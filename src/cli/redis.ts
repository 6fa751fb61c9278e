import { type Command, Option } from 'commander'
import type { Cluster, Redis } from 'ioredis'
import type { Semantics } from '../acl/types.js'
import type { Invalidation, RedisStore, RedisTarget } from '../redis/index.js'
import type { RedisAddress } from '../redis/url.js'
import { CliFault } from './io.js'

/** Which Redis is meant. */
export interface RedisArguments {
  readonly redis?: string
  readonly cluster: boolean
  readonly redisCa?: string
  readonly redisCert?: string
  readonly redisKey?: string
}

/** What a connection over TLS is made with. */
interface RedisTls {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** Which Redis is meant, and how its records are read. */
export interface StoreArguments extends RedisArguments {
  readonly keyPrefix?: string
  readonly semantics: Semantics
  readonly invalidation?: Invalidation
}

/** How messages call the URL, wherever it came from. */
const URL_NAME = 'the URL of Redis (--redis or REDIS_URL)'

const HELP = `
URLs of Redis (rediss for TLS):
  redis://host:6379/0                     one server, and its database
  redis+sentinel://host,host2/<master>/0  the master that most sentinels name;
                                          list them all (port 26379)
  redis+cluster://host,host2              a Cluster, by some of its nodes
User and password stand before the hosts (redis://user:password@host) or, where
the list of processes does not show them, in REDIS_USERNAME and REDIS_PASSWORD;
those of sentinels in SENTINEL_USERNAME and SENTINEL_PASSWORD.
With rediss, --redis-ca names an authority of your own, --redis-cert and
--redis-key what this client shows of itself, to sentinels as well.`

/** Adds the options that say which Redis is meant, by name or by environment. */
export function addStoreOptions(
  command: Command,
  invalidations: readonly Invalidation[] = ['tracking', 'channel', 'none'],
): Command {
  addRedisOptions(command, new Option('--redis <url>', 'Redis with the records').env('REDIS_URL'))
  return command.addOption(
    new Option('--invalidation <mode>', 'how changes are heard: Redis tells, or those who write, or nobody')
      .choices(invalidations)
      .default('tracking'),
  )
}

/** Adds the options of every command that reads records from Redis. */
export function addRedisOptions(command: Command, redis: Option): Command {
  return command
    .addOption(redis.argParser(once))
    .option('--cluster', 'the URL, though it begins with redis://, is that of a Cluster', false)
    .option('--redis-ca <file>', 'authority (PEM) that vouches for that Redis, in place of those the system knows')
    .option('--redis-cert <file>', 'certificate (PEM) to show to that Redis')
    .option('--redis-key <file>', 'private key of the certificate (PEM)')
    .option('--key-prefix <text>', 'what stands before the keys in that Redis')
    .addOption(
      new Option('--semantics <mode>', 'read rules by the letter of MQTT, or as VerneMQ does')
        .choices(['strict', 'vernemq'])
        .default('strict'),
    )
    .addHelpText('after', HELP)
}

/** Opens the store that is meant; connects to nothing yet. */
export async function openStore(options: StoreArguments): Promise<RedisStore> {
  const { keyPrefix, invalidation, semantics } = options
  const { url, address, tls } = await readArguments(options)
  // Loaded here, so that a command without Redis need not wait for it.
  const { createRedisStore } = await import('../redis/index.js')
  const target = tls === undefined ? url : await targetWith(tls, address)
  return asFault(() =>
    createRedisStore(target, {
      semantics,
      ...(invalidation !== undefined && { invalidation }),
      ...(keyPrefix !== undefined && { keyPrefix }),
    }),
  )
}

/** Opens a client for what is in that Redis beside the records. What it cannot send at once is of no use later. */
export async function openClient(which: RedisArguments): Promise<Redis | Cluster> {
  const { address, tls } = await readArguments(which)
  const { Cluster, Redis } = await import('ioredis')
  const options = {
    ...withTls(address.options, tls),
    commandTimeout: 2_000,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
  }
  if (address.kind === 'single') return new Redis({ ...options, lazyConnect: false })
  return new Cluster([...address.nodes], { redisOptions: options, enableOfflineQueue: false })
}

/** The URL that is meant, with what the environment adds to it, what it says, and what TLS needs besides. */
async function readArguments(
  which: RedisArguments,
): Promise<{ url: string; address: RedisAddress; tls: RedisTls | undefined }> {
  const { redis, cluster } = which
  if (redis === undefined || redis === '') throw new CliFault('no Redis: give --redis <url> or set REDIS_URL')
  const named = cluster ? redis.replace(/^(rediss?):/, '$1+cluster:') : redis
  if (cluster && named.includes('+sentinel:')) throw new CliFault('--cluster: the URL names sentinels')
  const { readUrl } = await import('../redis/url.js')
  // Once before anything is added: only then it has its form.
  asFault(() => readUrl(named, URL_NAME))
  const url = withSentinelLogin(withLogin(named))
  const address = asFault(() => readUrl(url, URL_NAME))
  return { url, address, tls: await readTls(which, url.startsWith('rediss')) }
}

/** Reads the files for TLS, where there are any. */
async function readTls(
  { redisCa, redisCert, redisKey }: RedisArguments,
  isTls: boolean,
): Promise<RedisTls | undefined> {
  if (redisCa === undefined && redisCert === undefined && redisKey === undefined) return undefined
  if ((redisCert === undefined) !== (redisKey === undefined)) {
    throw new CliFault('--redis-cert and --redis-key go together')
  }
  if (!isTls)
    throw new CliFault(`--redis-ca, --redis-cert and --redis-key are for TLS: ${URL_NAME} must begin with rediss`)
  const { readAuthority, readPair } = await import('./pem.js')
  return {
    ...(redisCa !== undefined && { ca: await readAuthority({ option: '--redis-ca', path: redisCa }) }),
    ...(redisCert !== undefined &&
      redisKey !== undefined &&
      (await readPair({ option: '--redis-cert', path: redisCert }, { option: '--redis-key', path: redisKey }))),
  }
}

/** What a store is made with where a URL does not say all. */
async function targetWith(tls: RedisTls, address: RedisAddress): Promise<RedisTarget> {
  const options = withTls(address.options, tls)
  if (address.kind === 'single') return options
  const { Cluster } = await import('ioredis')
  return new Cluster([...address.nodes], { redisOptions: options, lazyConnect: true })
}

function withTls(options: RedisAddress['options'], tls: RedisTls | undefined): RedisAddress['options'] {
  if (tls === undefined) return options
  return { ...options, tls, ...(options.sentinels !== undefined && { sentinelTLS: tls }) }
}

/**
 * What the command line got wrong, in one line and without a stack. An option that a message begins with is given the
 * name that it has on the command line.
 */
export function asFault<T>(make: () => T, names: Readonly<Record<string, string>> = {}): T {
  try {
    return make()
  } catch (error) {
    const { message } = error as Error
    throw new CliFault(message.replace(/^"(\w+)" option/, (text, option: string) => names[option] ?? text))
  }
}

/** A login in the URL counts; without a password there is none. */
function withLogin(url: string): string {
  const { REDIS_USERNAME: username = '', REDIS_PASSWORD: password = '' } = process.env
  const [, scheme, login = '', rest] = /^([^/]*\/\/)(?:([^/?#]*)@)?(.*)$/s.exec(url)!
  if (password === '' || login.includes(':')) return url
  return `${scheme}${login || encodeURIComponent(username)}:${encodeURIComponent(password)}@${rest}`
}

function withSentinelLogin(url: string): string {
  if (!url.includes('+sentinel:')) return url
  const { SENTINEL_USERNAME: sentinelUsername = '', SENTINEL_PASSWORD: sentinelPassword = '' } = process.env
  const [address = '', query = ''] = url.split('?')
  const own = Object.fromEntries(new URLSearchParams(query))
  const added = Object.entries({ sentinelUsername, sentinelPassword }).filter(([, value]) => value !== '')
  return `${address}?${new URLSearchParams({ ...Object.fromEntries(added), ...own })}`
}

/** Told twice, one of two would win unseen. */
function once(value: string, before: string | undefined): string {
  if (before !== undefined) throw new CliFault('--redis: several addresses go into one URL, with commas between them')
  return value
}
