import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { AedesOptions } from 'aedes'
import mqemitter from 'mqemitter'
import { createMemoryStore, type SharedState } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { account, key, onlyTexts, rawClient, type Stage, stage } from './setup.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const records = [[key('fleet'), account(['#'], ['#'])]] as const

/** What of the clients that log in from now on is still held. */
function follow({ broker, authorizer }: Stage): { isHeld(): boolean; readonly count: number } {
  const held: WeakRef<object>[] = []
  broker.on('client', client => {
    held.push(new WeakRef(client))
    for (const session of authorizer.sessions()) {
      if (session.principal.clientId === client.id) held.push(new WeakRef(session))
    }
  })
  return {
    isHeld() {
      collect()
      return held.some(ref => ref.deref() !== undefined)
    },
    get count() {
      return held.length
    },
  }
}

describe.each([
  { title: 'values of any kind', share: (shared: SharedState) => shared },
  { title: 'texts', share: onlyTexts },
])('a client that is gone is not held on to, over a state that shares $title', ({ share }) => {
  it.each([true, false])('with a clean session or a stored one (clean: %s)', async clean => {
    const store = createMemoryStore(records)
    const ground = await stage({ store, options: { owners: share(store.shared!) } })
    const followed = follow(ground)
    for (let round = 0; round < 2; round++) {
      const clients = await Promise.all(
        Array.from({ length: 10 }, (_, at) => rawClient(ground.port, `c${at}`, 'fleet', { clean })),
      )
      for (const each of clients) {
        each.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 1 }] })
        await each.next('suback')
        each.socket.destroy()
      }
      await eventually(() => ground.authorizer.stats().sessions === 0, 'the sessions are closed')
    }
    expect(followed.count).toBe(40)
    await eventually(() => !followed.isHeld(), 'nothing is held')
  })

  it('when another node has taken its client id over', async () => {
    const store = createMemoryStore(records)
    const mq = mqemitter({ matchEmptyLevels: true }) as NonNullable<AedesOptions['mq']>
    const node = (id: string) => stage({ store, broker: { id, mq }, options: { owners: share(store.shared!) } })
    const [one, two] = [await node('one'), await node('two')]
    const followed = follow(one)
    const first = await rawClient(one.port, 'c1', 'fleet')
    const second = await rawClient(two.port, 'c1', 'fleet')
    await first.closed()
    await eventually(() => !followed.isHeld(), 'nothing is held')
    expect(followed.count).toBe(2)
    second.send({ cmd: 'pingreq' })
    await second.next('pingresp')
  })
})
