/**
 * Records in Redis: reading, writing, and hearing of every change.
 *
 * @module
 */
export { createRedisStore, type RedisTarget } from './create.js'
export type { RedisCheck, RedisFinding } from './findings.js'
export type { Invalidation, RedisStoreOptions } from './options.js'
export type { RedisStore } from './store.js'
export type { RedisStoreStats } from './watch.js'
