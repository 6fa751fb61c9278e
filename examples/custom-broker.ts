// A broker of one's own on mqtt-packet, in custom-broker/: clients of MQTT 3.1.1 and 5 are allowed, refused and cut as
// their records say. Needs nothing running.
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { createAuthorizer, createMemoryStore, describeDenial, hashPassword } from 'mqtt-warden'
import { Broker } from './custom-broker/broker.js'

const passhash = await hashPassword('correct horse', { cost: 8 })
const keyOf = (clientId: string) => ({ mountpoint: '', clientId, username: 'plant' })
const sensor = { passhash, publishAcl: [{ pattern: 'plant/%c/#', maxQos: 1 as const }], subscribeAcl: [] }
const screen = { passhash, publishAcl: [], subscribeAcl: [{ pattern: 'plant/#' }] }

await using store = createMemoryStore([
  [keyOf('sensor'), sensor],
  [keyOf('screen'), screen],
])
await using authorizer = createAuthorizer({ store })
authorizer.on('denied', event => console.log(`  (log) ${describeDenial(event)}`))
const broker = new Broker(authorizer)
const port = await broker.listen()

function connect(clientId: string, options: IClientOptions): Promise<MqttClient> {
  const account = { clientId, username: 'plant', password: 'correct horse' }
  return mqtt.connectAsync({ host: '127.0.0.1', port, reconnectPeriod: 0, ...account, ...options })
}

// An MQTT 3.1.1 client with a will publishes a retained message.
const will = { topic: 'plant/sensor/state', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
const publisher = await connect('sensor', { protocolVersion: 4, will })
await publisher.publishAsync('plant/sensor/temp', '21.5', { qos: 1, retain: true })

// An MQTT 5 client subscribes, and gets it. Each filter has its own answer.
const viewer = await connect('screen', { protocolVersion: 5 })
const messages: string[] = []
viewer.on('message', (topic, payload) => {
  messages.push(`${topic}: ${payload}`)
  console.log(`screen received ${topic}: ${payload}`)
})
viewer.on('packetreceive', packet => {
  if (packet.cmd === 'suback') console.log('screen was granted', packet.granted)
})
await viewer.subscribeAsync('plant/#', { qos: 1 })
await viewer.subscribeAsync('office/#').catch(() => {})
await received('plant/sensor/temp: 21.5')

// MQTT 5 tells a client why it may not publish; MQTT 3.1.1 can only hang up. The will is published then.
const refusal = await viewer.publishAsync('plant/screen', 'hello', { qos: 1 }).catch((error: { code: number }) => error)
console.log('screen may not publish: PUBACK', (refusal as { code: number }).code)
publisher.publish('office/door', 'open')
await new Promise<void>(resolve => publisher.once('close', resolve))
console.log('sensor was disconnected')
await received('plant/sensor/state: gone')

// A right is taken away from a connected client, and then its account.
const again = await connect('sensor', { protocolVersion: 5 })
await store.put(keyOf('screen'), { ...screen, subscribeAcl: [{ pattern: 'plant/sensor/state' }] })
await again.publishAsync('plant/sensor/temp', '22.0, which nobody receives', { qos: 1 })
const goodbye = new Promise<number | undefined>(resolve => {
  viewer.once('disconnect', packet => resolve(packet.reasonCode))
})
await store.delete(keyOf('screen'))
console.log('screen was disconnected: code', await goodbye)
if (messages.length !== 2) throw new Error(`expected two messages, not ${messages}`)

await again.endAsync()
await broker.close()
console.log('done')

async function received(message: string): Promise<void> {
  while (!messages.includes(message)) await new Promise<void>(resolve => viewer.once('message', () => resolve()))
}
