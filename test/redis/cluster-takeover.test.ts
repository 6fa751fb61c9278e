import { describe, it } from 'vitest'
import { type ClusterMember, startRedisCluster } from '../helpers/redis-cluster.js'
import { Targets } from './cluster-support.js'
import { Heard, Stores } from './support.js'

const targets = new Targets()
const stores = new Stores()

describe('a Redis store on a Cluster whose only master dies', () => {
  it('asks the nodes to begin with who has taken over', async () => {
    const small = await startRedisCluster({ masters: 1 })
    const [master] = small.members as [ClusterMember]
    const replica = await small.join(master)
    const heard = new Heard(stores.create(targets.of(small.members)))
    await heard.live()
    await master.server.kill()
    await replica.admin.cluster('FAILOVER', 'TAKEOVER')
    await heard.blind()
    await heard.live()
    await stores.close()
    targets.end()
    await small.stop()
  })
})
