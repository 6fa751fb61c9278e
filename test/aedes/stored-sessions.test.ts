import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { isAlive, login, node, ownership, persistent, store } from './node-scene.js'
import { redisOptions, withRedisServer } from './persistences.js'
import { account, client, collect, key, rawClient, type Stage } from './setup.js'

withRedisServer()

describe('a stored session in Redis', () => {
  async function fallAsleep(one: Stage): Promise<void> {
    const socket = await rawClient(one.port, 'c1', 'own', persistent)
    const subscriptions = ['mail/a', 'mail/b'].map(topic => ({ topic, qos: 1 }))
    socket.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    await socket.next('suback')
    socket.send({ cmd: 'disconnect' })
    await eventually(() => one.broker.clients.c1 === undefined, 'the client is gone')
    const talker = await client(one.port, 'talker')
    for (const topic of ['mail/a', 'mail/b']) await talker.publishAsync(topic, 'private', { qos: 1 })
    await talker.endAsync()
  }

  it('is its owner’s after a restart of the node, and nobody else’s', async () => {
    const one = await node('one', { broker: await redisOptions() })
    await fallAsleep(one)
    await one.protection.close()
    const restarted = await node('one', { broker: await redisOptions() })
    expect(await login(restarted, 'fleet', persistent)).toMatchObject({ returnCode: 2 })
    const { returnCode, sessionPresent, socket } = await login(restarted, 'own', persistent)
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: true })
    expect(await socket.next('publish')).toMatchObject({ topic: 'mail/a' })
  })

  it('whose account was deleted while the node was down is handed to nobody', async () => {
    const one = await node('one', { broker: await redisOptions() })
    await fallAsleep(one)
    await one.protection.close()
    await store.delete(key('own', 'c1'))
    const restarted = await node('one', { broker: await redisOptions() })
    const { returnCode, sessionPresent, socket } = await login(restarted, 'fleet', persistent)
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: false })
    expect(await isAlive(socket)).toBe(true)
    expect(socket.received).toEqual([])
    expect(await collect(restarted.broker.persistence.outgoingStream({ id: 'c1' }))).toEqual([])
  })

  it.each(['fleet', 'rival'])('is free for %s once its owner is left with a * record', async newcomer => {
    const one = await node('one', { broker: await redisOptions() })
    await fallAsleep(one)
    await one.protection.close()
    await store.put(key('own'), account([], ['mail/#']))
    await store.put(key('rival', 'c1'), account([], ['mail/#']))
    await store.delete(key('own', 'c1'))
    const restarted = await node('one', { broker: await redisOptions() })
    const { returnCode, sessionPresent, socket } = await login(restarted, newcomer, persistent)
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: false })
    expect(await isAlive(socket)).toBe(true)
    expect(socket.received).toEqual([])
  })

  it('is checked at the next login, queue and all, when rights tightened while the node was down', async () => {
    const one = await node('one', { broker: await redisOptions() })
    await fallAsleep(one)
    await one.protection.close()
    await store.put(key('own', 'c1'), account([], ['mail/b']))
    const restarted = await node('two', { broker: await redisOptions() })
    const { sessionPresent, socket } = await login(restarted, 'own', persistent)
    expect(sessionPresent).toBe(true)
    expect(await socket.next('publish')).toMatchObject({ topic: 'mail/b' })
    expect(await isAlive(socket)).toBe(true)
    expect(socket.received).toEqual([])
    const left = await restarted.broker.persistence.subscriptionsByClient({ id: 'c1' })
    expect(left.map(({ topic }) => topic)).toEqual(['mail/b'])
  })

  it('is tidied by the node its client left, and left alone by it once the client is on another', async () => {
    const [one, two] = [
      await node('one', { broker: await redisOptions() }),
      await node('two', { broker: await redisOptions() }),
    ]
    await fallAsleep(one)
    await store.put(key('own', 'c1'), account([], ['mail/b']))
    const topics = async () =>
      (await two.broker.persistence.subscriptionsByClient({ id: 'c1' })).map(({ topic }) => topic).join()
    await eventually(async () => (await topics()) === 'mail/b', 'it is tidied')
    await rawClient(two.port, 'c1', 'own', persistent)
    const { outgoingStream } = one.broker.persistence
    let isTouched = false
    one.broker.persistence.outgoingStream = of => {
      isTouched ||= of.id === 'c1'
      return outgoingStream.call(one.broker.persistence, of)
    }
    await store.put(key('own', 'c1'), account([], ['mail/c']))
    await eventually(async () => (await topics()) === '', 'the other node drops the subscription')
    expect(isTouched).toBe(false)
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('goes when its record ends by itself', async () => {
    const one = await node('one', { broker: await redisOptions() })
    await fallAsleep(one)
    const soon = Math.floor(Date.now() / 1_000) + 1
    await store.put(key('own', 'c1'), { ...account([], ['mail/#']), expiresAt: soon })
    await eventually(async () => (await ownership()) === null, 'nobody owns it')
    expect(await one.broker.persistence.subscriptionsByClient({ id: 'c1' })).toEqual([])
    expect(await collect(one.broker.persistence.outgoingStream({ id: 'c1' }))).toEqual([])
  })
})
