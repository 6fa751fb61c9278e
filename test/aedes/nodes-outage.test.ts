import { OutcomeUnknown, type SharedState, StoreUnavailable } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { isAlive, login, node, ownership, persistent, store } from './node-scene.js'
import { rawClient } from './setup.js'

/** Shared state that can be cut off. */
function cuttable(shared: SharedState): SharedState & { isDown: boolean } {
  const check = () => {
    if (state.isDown) throw new StoreUnavailable('down')
  }
  const state = {
    isDown: false,
    async get(name: string) {
      check()
      return shared.get(name)
    },
    async swap(...given: Parameters<SharedState['swap']>) {
      check()
      return shared.swap(...given)
    },
  }
  return state
}

describe('while the shared state cannot be reached', () => {
  const quick = { nodeLeaseMs: 1_000 }

  it('only an account that is known here to own the client id gets in, and is confirmed afterwards', async () => {
    const owners = cuttable(store.shared!)
    const one = await node('one', { options: { owners, ...quick } })
    const before = await rawClient(one.port, 'c1', 'fleet')
    owners.isDown = true
    const two = await node('two', { options: { owners, ...quick } })
    for (const username of ['fleet', 'other', 'own'])
      expect(await login(two, username)).toMatchObject({ returnCode: 3 })
    expect(await login(one, 'own')).toMatchObject({ returnCode: 3 })
    const { returnCode, socket } = await login(one, 'fleet')
    expect(returnCode).toBe(0)
    await before.closed()
    socket.send({ cmd: 'disconnect' })
    await socket.closed()
    owners.isDown = false
    await eventually(async () => (await ownership()) === null, 'the other nodes hear that it is free')
  })

  it('a record of the client id that is refused for it has cut nobody, and evicts when it is back', async () => {
    const owners = cuttable(store.shared!)
    const one = await node('one', { options: { owners, ...quick } })
    const told: string[] = []
    for (const event of ['revoked', 'takeover'] as const) one.authorizer.on(event, () => told.push(event))
    const holder = await rawClient(one.port, 'c1', 'fleet')
    owners.isDown = true
    expect(await login(one, 'own')).toMatchObject({ returnCode: 3 })
    expect(await isAlive(holder)).toBe(true)
    expect(told).toEqual([])
    expect([...one.authorizer.sessions()].map(({ principal }) => principal.username)).toEqual(['fleet'])
    owners.isDown = false
    expect(await login(one, 'own')).toMatchObject({ returnCode: 0 })
    await holder.closed()
    expect(told).toEqual(['takeover', 'revoked'])
  })

  it('changes elsewhere are found out afterwards: who owns the client id no longer is cut', async () => {
    const owners = cuttable(store.shared!)
    const one = await node('one', { options: { owners, ...quick } })
    const socket = await rawClient(one.port, 'c1', 'fleet')
    owners.isDown = true
    const again = await login(one, 'fleet')
    expect(again.returnCode).toBe(0)
    await socket.closed()
    const taken = { owner: { mountpoint: '', username: 'own', kind: 'exact' }, isForeign: false, isStored: true }
    const text = (await store.shared!.get('owner:c1'))!
    await store.shared!.swap('owner:c1', text, JSON.stringify({ ...taken, holders: {} }))
    owners.isDown = false
    await again.socket.closed()
    expect(one.denied.at(-1)).toMatchObject({
      principal: { username: 'fleet' },
      decision: { reason: 'client_id_taken' },
    })
  })

  it('a lease that ran out is taken again, and what the node holds with it', async () => {
    const owners = cuttable(store.shared!)
    const one = await node('one', { options: { owners, ...quick } })
    await rawClient(one.port, 'c1', 'fleet')
    const [id] = Object.keys((await ownership()).holders)
    await store.shared!.swap(`node:${id}`, await store.shared!.get(`node:${id}`), undefined)
    await store.shared!.swap('owner:c1', await store.shared!.get('owner:c1'), undefined)
    await eventually(async () => Object.keys((await ownership())?.holders ?? {})[0] === id, 'it is held again')
  })
})

describe('shared state that was flushed', () => {
  it('does not hand what a connected client has stored to whoever evicts it', async () => {
    const one = await node('one')
    const holder = await rawClient(one.port, 'c1', 'fleet', persistent)
    holder.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'mail/#', qos: 1 }] })
    await holder.next('suback')
    await store.shared!.swap('owner:c1', await store.shared!.get('owner:c1'), undefined)
    expect(await login(one, 'own', persistent)).toMatchObject({ returnCode: 0, sessionPresent: false })
    expect(await one.broker.persistence.subscriptionsByClient({ id: 'c1' })).toEqual([])
    await holder.closed()
  })
})

describe('the lease of a node', () => {
  it('is prolonged where the answer to the first try was lost', async () => {
    const shared = store.shared!
    const ttls: (number | undefined)[] = []
    let isLost = true
    const owners: SharedState = {
      get: name => shared.get(name),
      async swap(name, expected, value, options) {
        const swapped = await shared.swap(name, expected, value, options)
        if (name.startsWith('node:') && swapped.swapped) ttls.push(options?.ttlMs)
        if (name.startsWith('node:') && isLost) {
          isLost = false
          throw new OutcomeUnknown('lost')
        }
        return swapped
      },
    }
    const one = await node('one', { options: { owners, nodeLeaseMs: 600_000 } })
    for (const username of ['fleet', 'fleet']) expect(await login(one, username)).toMatchObject({ returnCode: 0 })
    expect(ttls).toEqual([600_000, 600_000])
  })
})
