import { type Command, InvalidArgumentError, Option } from 'commander'
import { Cluster } from 'ioredis'
import type { Semantics } from '../acl/types.js'
import { createRedisStore, type Invalidation, type RedisStore } from '../redis/index.js'
import { CliFault } from './io.js'

/** Which Redis is meant, and how its records are read. */
export interface StoreArguments {
  readonly redis?: string
  readonly cluster: boolean
  readonly keyPrefix?: string
  readonly semantics: Semantics
  readonly invalidation: Invalidation
}

/** Adds the options that say which Redis is meant. */
export function addStoreOptions(command: Command): Command {
  return command
    .addOption(new Option('--redis <url>', 'Redis with the records').env('REDIS_URL'))
    .option('--cluster', 'the URL is a node of a Redis Cluster', false)
    .option('--key-prefix <text>', 'what stands before the keys in that Redis')
    .addOption(
      new Option('--semantics <mode>', 'read rules by the letter of MQTT, or as VerneMQ does')
        .choices(['strict', 'vernemq'])
        .default('strict'),
    )
    .addOption(
      new Option('--invalidation <mode>', 'how the nodes hear of changes')
        .choices(['tracking', 'channel', 'none'])
        .default('tracking'),
    )
}

/** Opens the store that is meant; connects to nothing yet. */
export function openStore({ redis, cluster, keyPrefix, invalidation, semantics }: StoreArguments): RedisStore {
  if (redis === undefined) throw new CliFault('no Redis: give --redis <url> or set REDIS_URL')
  try {
    const target = cluster ? new Cluster([redis], { lazyConnect: true }) : redis
    return createRedisStore(target, { invalidation, semantics, ...(keyPrefix !== undefined && { keyPrefix }) })
  } catch (error) {
    throw new CliFault((error as Error).message)
  }
}

/** Reads an argument that is an integer. */
export function integer(min: number, max: number): (text: string) => number {
  return text => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`must be an integer from ${min} to ${max}`)
    }
    return value
  }
}

/** Gathers an option that is given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}
