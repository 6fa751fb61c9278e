import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { AedesOptions } from 'aedes'
import mqemitter from 'mqemitter'
import { createMemoryStore, describeDenial, describeLoop, type RecordStore } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { startNode } from '../node.js'
import type { NodeNews } from '../node-process.js'

/** Two nodes over one store. */
export interface Cluster {
  readonly store: RecordStore
  readonly ports: { readonly A: number; readonly B: number }
  close(): Promise<void>
}

/** Called with a node's name and one line of what its broker's log would say. */
export type Listener = (node: string, line: string) => void

/** Two nodes in this process: the store in memory, messages routed over one emitter. */
export async function startInMemory(listener: Listener): Promise<Cluster> {
  const store = createMemoryStore()
  const mq = mqemitter({ matchEmptyLevels: true }) as AedesOptions['mq']
  const start = async (id: string) => {
    const node = await startNode(store, { id, mq })
    node.authorizer.on('denied', event => listener(id, describeDenial(event)))
    node.authorizer.on('loop', event => listener(id, describeLoop(event)))
    node.authorizer.on('revoked', ({ principal, cause }) => listener(id, `${principal.clientId} is cut: ${cause}`))
    return node
  }
  const [a, b] = [await start('A'), await start('B')]
  return {
    store,
    ports: { A: a.port, B: b.port },
    async close() {
      await Promise.all([a.close(), b.close()])
      await store.close()
    },
  }
}

/** Two nodes as processes of their own, joined by the Redis at this URL, which holds the records too. */
export async function startOnRedis(url: string, listener: Listener): Promise<Cluster> {
  const store = createRedisStore(url)
  const start = async (id: string) => {
    const script = fileURLToPath(new URL('../node-process.ts', import.meta.url))
    const child = fork(script, [id], { env: { ...process.env, REDIS_URL: url }, execArgv: ['--import', 'tsx'] })
    const port = await new Promise<number>((resolve, reject) => {
      child.on('message', (news: NodeNews) => {
        if (news.type === 'listening') resolve(news.port)
        else listener(id, news.line)
      })
      child.once('exit', code => reject(new Error(`node ${id} ended with ${code}`)))
    })
    const stop = async () => {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    }
    return { port, stop }
  }
  const [a, b] = [await start('A'), await start('B')]
  return {
    store,
    ports: { A: a.port, B: b.port },
    async close() {
      await Promise.all([a.stop(), b.stop()])
      await store.close()
    },
  }
}
