// One broker node as the other examples use it: aedes, protected by an authorizer over a store.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Aedes, type AedesOptions } from 'aedes'
import { type Authorizer, createAuthorizer, type RecordStore } from 'mqtt-warden'
import { protect } from 'mqtt-warden/aedes'

export interface BrokerNode {
  readonly id: string
  readonly port: number
  readonly authorizer: Authorizer
  close(): Promise<void>
}

/** Starts a node on a free port of the loopback. The store stays the caller's. */
export async function startNode(store: RecordStore, options: AedesOptions & { id: string }): Promise<BrokerNode> {
  const broker = await Aedes.createBroker(options)
  const authorizer = createAuthorizer({ store })
  const protection = protect(broker, authorizer)
  await authorizer.ready()
  const server = createServer(broker.handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    id: options.id,
    port: (server.address() as AddressInfo).port,
    authorizer,
    async close() {
      server.close()
      await protection.close()
      await new Promise<void>(resolve => broker.close(resolve))
      await authorizer.close()
    },
  }
}
