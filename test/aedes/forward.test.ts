import { createMemoryStore } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { account, client, delivered, inbox, key, rawClient, stage } from './setup.js'

const records = [
  [key('sensor'), account([], ['a/#', 'marker'])],
  [key('all'), account(['#'], ['#', '$SYS/#', 'marker'])],
] as const

function message(topic: string, qos: 0 | 1 = 0) {
  return { cmd: 'publish', topic, payload: 'x', qos, retain: false, dup: false } as const
}

describe('a delivery', () => {
  it.each([0, 1] as const)("of the server's own client.publish, QoS %i, is judged as any other", async qos => {
    const { port, broker, denied } = await stage({ records })
    const sensor = await client(port, 'sensor', { clientId: 's1' })
    const messages = inbox(sensor)
    for (const topic of ['a/1', 'secret', '$warden/refused', 'a/2']) {
      await new Promise<void>(resolve => broker.clients.s1!.publish(message(topic, qos), () => resolve()))
    }
    await eventually(() => messages.includes('a/2=x'), 'the last message arrives')
    expect(messages).toEqual(['a/1=x', 'a/2=x'])
    expect(denied).toMatchObject([{ action: 'receive', topic: 'secret' }])
  })

  it("of the broker's own news reaches who may hear it, and the server's subscribers", async () => {
    const { port, broker } = await stage({ records })
    const heard: string[] = []
    await new Promise<void>(resolve => {
      broker.subscribe(
        '$SYS/#',
        (packet, done) => {
          heard.push(packet.topic)
          done()
        },
        () => resolve(),
      )
    })
    const all = await client(port, 'all')
    const messages = inbox(all)
    await all.subscribeAsync(['#', '$SYS/#'])
    await client(port, 'sensor', { clientId: 's1' })
    const topic = `$SYS/${broker.id}/new/clients`
    await eventually(() => messages.includes(`${topic}=s1`), 'the news arrives')
    expect(heard).toContain(topic)
  })

  it('stops with the change of the rules, before the subscription is down', async () => {
    const { port, broker, store, authorizer } = await stage({ records })
    const sensor = await client(port, 'sensor', { clientId: 's1' })
    const messages = inbox(sensor)
    await sensor.subscribeAsync(['a/#', 'marker'])
    const changed = new Promise(resolve => authorizer.once('changed', resolve))
    const written = store.put(key('sensor'), account([], ['marker']))
    await changed
    broker.publish(message('a/1'), () => {})
    expect(await delivered(broker, messages)).toEqual([])
    await written
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['marker'])
  })

  it('beyond what a filter of VerneMQ semantics admits is not made', async () => {
    // There a/+ admits the filter a/#, since the two are compared as text.
    const store = createMemoryStore([[key('sensor'), account([], ['a/+', 'marker'])]], { semantics: 'vernemq' })
    const { port, broker } = await stage({ store })
    const sensor = await client(port, 'sensor')
    const messages = inbox(sensor)
    await sensor.subscribeAsync(['a/#', 'marker'])
    broker.publish(message('a/1'), () => {})
    broker.publish(message('a/1/2'), () => {})
    expect(await delivered(broker, messages)).toEqual(['a/1=x'])
  })

  it('to a client of no session is not made', async () => {
    const { broker, protection } = await stage({ records })
    const stranger = { id: 'stranger' } as never
    expect(broker.authorizeForward(stranger, message('a/1') as never)).toBeNull()
    await protection.close()
    expect(broker.authorizeForward(stranger, message('a/1') as never)).toBeNull()
  })

  it('of one message to overlapping subscriptions is judged once and made once', async () => {
    const { port, broker, denied } = await stage({ records })
    const socket = await rawClient(port, 's1', 'sensor')
    const subscriptions = ['a/#', 'a/+', 'a/1'].map(topic => ({ topic, qos: 0 }))
    socket.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    await socket.next('suback')
    broker.publish(message('a/1'), () => {})
    expect(await socket.next('publish')).toMatchObject({ topic: 'a/1' })
    socket.send({ cmd: 'pingreq' })
    await socket.next('pingresp')
    expect(socket.received).toEqual([])
    expect(denied).toEqual([])
  })
})
