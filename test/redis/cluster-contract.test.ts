import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis5'
import { describe } from 'vitest'
import { createRedisStore, type RedisTarget } from '../../src/redis/index.js'
import { describeLimiter } from '../contract/limiter.js'
import { describeRecordStore, type StoreSubject } from '../contract/record-store.js'
import { describeSharedState } from '../contract/shared-state.js'
import { type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'

let cluster: RedisCluster

describe.each([
  ['ioredis 6', (port: number): RedisTarget => new Cluster([{ host: '127.0.0.1', port }], { lazyConnect: true })],
  ['ioredis 5', (port: number): RedisTarget => new Cluster5([{ host: '127.0.0.1', port }], { lazyConnect: true })],
])('on a Cluster of %s', (name, create) => {
  const subject: StoreSubject = {
    async setUp() {
      cluster = await startRedisCluster()
    },
    create: () =>
      createRedisStore(create(cluster.members[1]!.server.port), {
        heartbeatMs: 50,
        reconnectMinMs: 5,
      }),
    clean: () => cluster.flush(),
    tearDown: () => cluster.stop(),
  }
  describeRecordStore(`a Redis store on a Cluster of ${name}`, subject)
  describeSharedState(`a Redis store on a Cluster of ${name}`, subject)
  describeLimiter(`a Redis store on a Cluster of ${name}`, subject)
})
