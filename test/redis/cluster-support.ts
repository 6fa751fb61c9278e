import { Cluster } from 'ioredis'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RecordKey } from '../../src/record/types.js'
import type { RedisTarget } from '../../src/redis/index.js'
import { slotOf } from '../../src/redis/slots.js'
import { key } from '../contract/record-store.js'
import type { ClusterMember } from '../helpers/redis-cluster.js'
import { textOf } from './support.js'

export const slotOfRecord = (each: RecordKey): number => slotOf(Buffer.from(encodeRecordKey(each)))

/** A key in each third of the slots: the parts of the three masters at the start. */
export const THIRDS: readonly RecordKey[] = [0, 1, 2].map(third => {
  for (let n = 0; ; n++) if (Math.floor(slotOfRecord(key(`c${n}`)) / 5_462) === third) return key(`c${n}`)
})

/** Writes a record as another tool would, on the member that owns it. */
export async function writeOn(member: ClusterMember, each: RecordKey, pattern: string): Promise<void> {
  await member.admin.set(encodeRecordKey(each), textOf(pattern))
}

/** Clients of one test file to hand in, ended together. */
export class Targets {
  readonly #clients: Cluster[] = []

  of(
    members: readonly ClusterMember[],
    options: NonNullable<ConstructorParameters<typeof Cluster>[1]> = {},
  ): RedisTarget {
    const nodes = members.map(({ server }) => ({ host: '127.0.0.1', port: server.port }))
    const client = new Cluster(nodes, { lazyConnect: true, ...options })
    this.#clients.push(client)
    return client
  }

  end(): void {
    for (const client of this.#clients.splice(0)) client.disconnect()
  }
}
