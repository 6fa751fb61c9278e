import type { RedisOptions } from 'ioredis'
import { createIdentity } from '../store/identity.js'
import { createNodeName } from './beat.js'
import { ClusterNodes } from './cluster.js'
import { createKeySpace } from './keys.js'
import { type RedisStoreOptions, resolveOptions } from './options.js'
import { createServer } from './server.js'
import { SingleNode } from './single.js'
import { RedisRecordStore, type RedisStore } from './store.js'
import { readTarget, templatePrefix } from './template.js'

/**
 * Says which Redis is meant: a URL, options of ioredis (Sentinel's included), or an ioredis client or Cluster, of
 * version 5 or 6, that serves as a template.
 *
 * URLs, each with `rediss` in place of `redis` for TLS: `redis://user:password@host:6379/db` for one server;
 * `redis+sentinel://user:password@host:26379,host2:26379/master/db` for the master of that name, with
 * `?sentinelUsername=…&sentinelPassword=…` where the sentinels want a login;
 * `redis+cluster://user:password@host:6379,host2` for a Cluster, by some of its nodes. User name, password and the
 * master's name are percent-encoded.
 */
export type RedisTarget =
  | string
  | RedisOptions
  | { readonly options: object; readonly isCluster?: boolean; duplicate(...args: never[]): unknown }

/**
 * Makes a store over the records that VerneMQ's Redis authentication reads.
 *
 * It opens connections of its own: one for data on first use, one for tracking on the first `watch`; on a Cluster, both
 * for each master. A client that is handed in is only copied: it is neither used nor closed. No command is queued for a
 * connection that may come, and none is sent twice.
 *
 * **Watch.** The store has Redis report every change of a record key (`CLIENT TRACKING` in broadcast mode), so that a
 * plain `SET` by any tool is heard like its own writers, expiry and eviction included. Not heard is `SWAPDB`. Beats
 * prove that nothing was missed: small keys under `ownPrefix` that come back as invalidations and expire within
 * seconds.
 *
 * **Writes.** `put` keeps an expiry that the key has in Redis. A write that is not answered in time fails with
 * `OutcomeUnknown`, and its connection is reset, so that it cannot arrive later; on TLS the operating system may still
 * deliver it. With `ifMatch` a second try is safe in any case.
 *
 * **Sentinel.** The store asks all sentinels that the target lists, and follows the master that more than half of them
 * name, checked with every beat: a master that a split has cut off goes on answering, and is left all the same. List
 * all sentinels; where most cannot be asked, nothing is read. **Cluster.** Masters only, each with a link of its own. Of
 * the views that its nodes have of it none counts that is of an older epoch than one before; without the right to ask
 * for the epoch, a master that was replaced in a partition may be believed for a moment, and links fail and return.
 *
 * **Rights** (Redis ACL). To read and watch: `%R~<keyPrefix>\["*` (with the backslash: a lone `[` opens a character
 * class; before Redis 7, `~` in place of `%R~`) and `&<keyPrefix><ownPrefix>#`, with `+ping +getrange +pttl +scan
 * +client|id +client|tracking +subscribe`. For beats, either `~<keyPrefix><ownPrefix>beat:*` with `+set`, or
 * `+client|list`. To write: `~<keyPrefix>\["*` with `+set +del +exists`, and `+eval +get` for `ifMatch` with a digest. For
 * the shared state: `~<keyPrefix><ownPrefix>shared:*` with `+get +set +del +eval`; without them an aedes broker knows
 * only by itself whose a client id is, and says so. To take part in receipts:
 * `~<keyPrefix><ownPrefix>nodes` with `+time +zadd +zrem +zremrangebyscore +pexpire`, and `~<keyPrefix><ownPrefix>ask:*
 * ~<keyPrefix><ownPrefix>row:*` with `+getrange +set`; to ask for one, `+zrangebyscore` besides, and `+wait` for
 * `minReplicas`. With `invalidation: 'channel'`, `+ssubscribe +spublish` and `+subscribe +publish` in place of tracking
 * and beats. A Cluster needs `+cluster|slots +asking`, and wants `+cluster|info`; a master that sentinels name
 * needs `+info`. Any other wants it, to show that it is still the master when it takes no beats: because it is full,
 * cannot save, or the user may not write them. Such a user without `+info` believes a server that was made a replica
 * for as long as it is one, however far behind. The sentinels themselves: `+ping +sentinel|get-master-addr-by-name`,
 * and for `check` `+sentinel|master +sentinel|ckquorum`. Redis 6.2 or later, or Valkey.
 *
 * **Counters** of failed logins need `~<keyPrefix><ownPrefix>throttle:*` with `+get +set +pttl +incrby +expire +eval
 * +multi +exec`. Without these rights each process counts for itself, and an `error` event says so.
 *
 * **Receipts.** A process with an authorizer announces itself in a list under `ownPrefix`, and answers writers who ask
 * for a receipt. It stays in the list for as long after its last sign of life as it may go on deciding by what it knew;
 * a process that is closed in order leaves at once.
 *
 * **Shared state** (`store.shared`) is kept under `ownPrefix` too, and is as durable as the server's own data.
 *
 * Exported from `mqtt-warden/redis`.
 *
 * @example
 * ```ts
 * const store = createRedisStore('redis://localhost:6379')
 * const authorizer = createAuthorizer({ store })
 * ```
 *
 * @throws TypeError for a target or an option that cannot be meant. Nothing is connected yet, so nothing else is.
 */
export function createRedisStore(target: RedisTarget, options: RedisStoreOptions = {}): RedisStore {
  const template = readTarget(target)
  const settings = resolveOptions(options, templatePrefix(template))
  const identity = createIdentity(options.nodeName)
  if (template.kind === 'cluster' && settings.keyPrefix.includes('{')) {
    throw new TypeError('"keyPrefix" option must not hold "{" on a Cluster')
  }
  const keys = createKeySpace(settings, createNodeName())
  const nodes =
    template.kind === 'single'
      ? new SingleNode(createServer(template.client, settings), settings, keys)
      : new ClusterNodes(template.cluster, settings, keys)
  return new RedisRecordStore({ settings, keys, nodes, identity })
}
