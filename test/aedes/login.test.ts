import { once } from 'node:events'
import { reasons } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'
import {
  account,
  client,
  closeBroker,
  connectPacket,
  key,
  PASSWORD,
  raw,
  rawClient,
  slowStore,
  stage,
} from './setup.js'

const records = [[key('sensor'), account(['t'], ['t'])]] as const

describe('a login', () => {
  it('is granted by the record', async () => {
    const { port, authorizer } = await stage({ records })
    const sensor = await client(port, 'sensor', { clientId: 's1' })
    expect(sensor.connected).toBe(true)
    expect([...authorizer.sessions()].map(({ principal, address }) => ({ principal, address }))).toEqual([
      { principal: { mountpoint: '', clientId: 's1', username: 'sensor' }, address: '127.0.0.1' },
    ])
  })

  it.each([
    { title: 'a wrong password', connect: connectPacket('s1', 'sensor', { password: Buffer.from('wrong') }), code: 4 },
    { title: 'an unknown user', connect: connectPacket('s1', 'nobody'), code: 4 },
    {
      title: 'a password that is not UTF-8',
      connect: connectPacket('s1', 'sensor', { password: Buffer.from([0xff]) }),
      code: 4,
    },
    { title: 'no user name', connect: connectPacket('s1'), code: 4 },
    { title: 'the client id *', connect: connectPacket('*', 'sensor'), code: 2 },
    { title: 'a record whose hash is none', connect: connectPacket('s1', 'broken'), code: 5 },
    { title: 'an expired record', connect: connectPacket('s1', 'expired'), code: 5 },
    {
      title: 'a will no rule allows',
      connect: connectPacket('s1', 'sensor', { will: { topic: 'x', payload: '' } }),
      code: 5,
    },
  ])('is refused for $title with return code $code', async ({ connect, code }) => {
    const { port, broker, authorizer } = await stage({
      records: [
        ...records,
        [key('broken'), { ...account(), passhash: 'plain' }],
        [key('expired'), { ...account(), expiresAt: 1 }],
      ],
    })
    const failed = once(broker, 'clientError')
    const socket = await raw(port)
    socket.send(connect)
    expect(await socket.next('connack')).toMatchObject({ returnCode: code, sessionPresent: false })
    await socket.closed()
    const [, error] = await failed
    expect(Object.values(reasons).map(({ text }) => `refused: ${text}`)).toContain(error.message)
    expect(authorizer.stats().sessions).toBe(0)
  })

  it('of an anonymous client follows the rules for anonymous clients', async () => {
    const { port, authorizer } = await stage({ authorizer: { anonymous: account(['open']) } })
    const socket = await raw(port)
    socket.send(connectPacket('s1'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 0 })
    expect([...authorizer.sessions()][0]?.recordKey).toBeUndefined()
    socket.send({ cmd: 'publish', topic: 'closed', payload: '', qos: 0 })
    await socket.closed()
  })

  it('that fails does not disturb the client that holds the id', async () => {
    const { port } = await stage({ records })
    const holder = await rawClient(port, 's1', 'sensor')
    const intruder = await raw(port)
    intruder.send(connectPacket('s1', 'sensor', { password: Buffer.from('wrong') }))
    await intruder.next('connack')
    await intruder.closed()
    holder.send({ cmd: 'pingreq' })
    await holder.next('pingresp')
  })

  it('lets packets sent along with the CONNECT wait for it', async () => {
    const { port } = await stage({ records })
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'), { cmd: 'publish', topic: 't', payload: '', qos: 1, messageId: 3 })
    expect(await socket.next('connack')).toMatchObject({ returnCode: 0 })
    expect(await socket.next('puback')).toMatchObject({ messageId: 3 })
  })

  it('of the same account takes the client id over', async () => {
    const { port, authorizer } = await stage({ records })
    const first = await rawClient(port, 's1', 'sensor')
    const takeover = new Promise(resolve => authorizer.once('takeover', resolve))
    const second = await rawClient(port, 's1', 'sensor')
    await first.closed()
    await takeover
    second.send({ cmd: 'pingreq' })
    await second.next('pingresp')
    expect(authorizer.stats().sessions).toBe(1)
  })
})

describe('the mountpoint', () => {
  it.each([
    { title: 'one for the broker', mountpoint: 'north' },
    { title: 'a function of the client', mountpoint: (of: { id: string }) => (of.id === 's1' ? 'north' : 'south') },
  ])('is $title', async ({ mountpoint }) => {
    const { port, authorizer } = await stage({
      records: [[key('sensor', '*', 'north'), account()]],
      options: { mountpoint },
    })
    await client(port, 'sensor', { clientId: 's1' })
    expect([...authorizer.sessions()][0]?.principal.mountpoint).toBe('north')
  })
})

describe('a broker that closes', () => {
  it('during a login refuses it and closes its connection', async () => {
    const gate = deferred()
    const { port, broker, authorizer } = await stage({ store: slowStore(records, gate.promise) })
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'))
    await eventually(() => authorizer.stats().loading > 0, 'the record is being read')
    await closeBroker(broker)
    gate.resolve()
    await socket.closed()
    expect(authorizer.stats().sessions).toBe(0)
  })

  it('ends the sessions and takes the protection with it', async () => {
    const { port, broker, authorizer } = await stage({ records })
    const socket = await rawClient(port, 's1', 'sensor')
    await closeBroker(broker)
    await socket.closed()
    await eventually(() => authorizer.stats().sessions === 0, 'the session is closed')
    for (const event of ['client', 'clientDisconnect', 'closed']) {
      expect(broker.listenerCount(event)).toBe(event === 'client' ? 1 : 0)
    }
  })
})

it('takes the password as the bytes that were sent', async () => {
  const { port } = await stage({ records })
  const socket = await raw(port)
  socket.send(connectPacket('s1', 'sensor', { password: Buffer.from(PASSWORD, 'utf8') }))
  expect(await socket.next('connack')).toMatchObject({ returnCode: 0 })
})
