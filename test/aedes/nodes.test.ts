import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { isAlive, login, node, ownership, persistent, store } from './node-scene.js'
import { redisOptions, withRedisServer } from './persistences.js'
import { connectPacket, raw, rawClient, type StageOptions } from './setup.js'

withRedisServer()

describe('a client id that is held on another node of the same process', () => {
  const near = (id: string, given: StageOptions = {}) => node(id, { ...given, options: { owners: store.shared! } })
  const owned = () => store.shared!.local!.get('owner', 'c1')

  it('is refused to another account, and is free as soon as its client is gone', async () => {
    const [one, two] = [await near('one'), await near('two')]
    const holder = await rawClient(one.port, 'c1', 'fleet')
    expect(await login(two, 'other')).toMatchObject({ returnCode: 2 })
    expect(await isAlive(holder)).toBe(true)
    holder.send({ cmd: 'disconnect' })
    await eventually(() => owned() === undefined, 'it is free')
    expect(await login(two, 'other')).toMatchObject({ returnCode: 0 })
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('goes with its own account to the other node, and is taken by a record of the client id', async () => {
    const [one, two] = [await near('one'), await near('two')]
    const first = await rawClient(one.port, 'c1', 'fleet')
    const second = await login(two, 'fleet')
    expect(second).toMatchObject({ returnCode: 0 })
    await first.closed()
    expect(await login(one, 'own')).toMatchObject({ returnCode: 0 })
    await second.socket.closed()
    expect(owned()).toMatchObject({ owner: { username: 'own', kind: 'exact' }, isForeign: false })
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('has one winner when two accounts ask two nodes at once', async () => {
    const nodes = [await near('one'), await near('two')]
    // Known passwords are judged at once.
    for (const username of ['fleet', 'other']) {
      const { socket } = await login(nodes[0]!, username, { clientId: username })
      const again = await login(nodes[1]!, username, { clientId: username })
      for (const { send } of [socket, again.socket]) send({ cmd: 'disconnect' })
    }
    const outcomes = await Promise.all(['fleet', 'other'].map((username, at) => login(nodes[at]!, username)))
    expect(outcomes.map(({ returnCode }) => returnCode).sort()).toEqual([0, 2])
  })
})

describe('a client id that is held on another node', () => {
  it('is refused to another account before its client is disturbed', async () => {
    const [one, two] = [await node('one'), await node('two')]
    const holder = await rawClient(one.port, 'c1', 'fleet')
    expect(await login(two, 'other')).toMatchObject({ returnCode: 2 })
    expect(two.denied).toMatchObject([{ action: 'connect', decision: { reason: 'client_id_taken' } }])
    expect(await isAlive(holder)).toBe(true)
    holder.send({ cmd: 'disconnect' })
    await eventually(async () => (await ownership()) === null, 'it is free')
    expect(await login(two, 'other')).toMatchObject({ returnCode: 0 })
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('goes with its own account to the other node', async () => {
    const [one, two] = [await node('one'), await node('two')]
    const holder = await rawClient(one.port, 'c1', 'fleet')
    expect(await login(two, 'fleet')).toMatchObject({ returnCode: 0 })
    await holder.closed()
    await eventually(async () => Object.keys((await ownership()).holders).length === 1, 'one node holds it')
    expect(await login(one, 'other')).toMatchObject({ returnCode: 2 })
  })

  it('is taken from a * record by a record of the client id, once its client is gone and what it stored is wiped', async () => {
    const [one, two] = [
      await node('one', { broker: await redisOptions() }),
      await node('two', { broker: await redisOptions() }),
    ]
    const holder = await rawClient(one.port, 'c1', 'fleet', persistent)
    holder.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'mail/#', qos: 1 }] })
    await holder.next('suback')
    const { returnCode, sessionPresent } = await login(two, 'own', persistent)
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: false })
    await holder.closed()
    expect(await two.broker.persistence.subscriptionsByClient({ id: 'c1' })).toEqual([])
    expect(await ownership()).toMatchObject({ owner: { username: 'own', kind: 'exact' }, isForeign: false })
    expect(await login(one, 'fleet')).toMatchObject({ returnCode: 2 })
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('has one winner when two accounts ask two nodes at once', async () => {
    const nodes = [await node('one'), await node('two')]
    const codes = await Promise.all(
      ['fleet', 'other', 'fleet', 'other'].map(async (username, at) => {
        const socket = await raw(nodes[at % 2]!.port)
        socket.send(connectPacket('c1', username))
        // One that its own account overtakes before it is in is closed without an answer.
        await eventually(() => socket.received.length > 0 || socket.socket.closed, 'it is decided')
        return (socket.received[0] as { returnCode?: number } | undefined)?.returnCode
      }),
    )
    expect(codes[0] === 0 || codes[2] === 0).not.toBe(codes[1] === 0 || codes[3] === 0)
  })

  it('stays with its first client where the authorizer keeps the first', async () => {
    const first = { takeover: 'first' } as const
    const [one, two] = [await node('one', { authorizer: first }), await node('two', { authorizer: first })]
    const holder = await rawClient(one.port, 'c1', 'fleet')
    expect(await login(two, 'fleet')).toMatchObject({ returnCode: 2 })
    expect(await isAlive(holder)).toBe(true)
    holder.send({ cmd: 'disconnect' })
    await eventually(async () => (await ownership()) === null, 'it is free')
    expect(await login(two, 'fleet')).toMatchObject({ returnCode: 0 })
  })
})

describe('a node that is gone', () => {
  const entry = { owner: { mountpoint: '', username: 'fleet', kind: 'wildcard' }, isForeign: false }

  it('holds a client id for as long as its lease', async () => {
    const held = JSON.stringify({ ...entry, isStored: false, holders: { ghost: '' } })
    await store.shared!.swap('owner:c1', undefined, held)
    await store.shared!.swap('node:ghost', undefined, 'alive')
    const one = await node('one')
    expect(await login(one, 'other')).toMatchObject({ returnCode: 2 })
    await store.shared!.swap('node:ghost', 'alive', undefined)
    expect(await login(one, 'other')).toMatchObject({ returnCode: 0 })
  })

  it('keeps nobody waiting for the session that it was tidying or wiping', async () => {
    const held = JSON.stringify({ ...entry, isStored: true, keeper: 'ghost', holders: {} })
    await store.shared!.swap('owner:c1', undefined, held)
    await store.shared!.swap('node:ghost', undefined, 'alive')
    const one = await node('one')
    const waiting = login(one, 'fleet', persistent)
    await eventually(() => one.authorizer.stats().sessions === 1, 'the password is proven')
    await store.shared!.swap('node:ghost', 'alive', undefined)
    expect(await waiting).toMatchObject({ returnCode: 0 })
  })

  it('leaves what it did not finish wiping to the next login', async () => {
    const one = await node('one')
    await one.broker.persistence.addSubscriptions({ id: 'c1' }, [{ topic: 'mail/#', qos: 1 }])
    const held = JSON.stringify({ ...entry, isStored: true, isForeign: true, keeper: 'ghost', holders: {} })
    await store.shared!.swap('owner:c1', undefined, held)
    expect(await login(one, 'fleet', persistent)).toMatchObject({ returnCode: 0, sessionPresent: false })
    expect(await one.broker.persistence.subscriptionsByClient({ id: 'c1' })).toEqual([])
    expect(await ownership()).toMatchObject({ isForeign: false, isStored: true })
  })
})
