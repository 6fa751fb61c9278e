import mqtt, { type MqttClient } from 'mqtt'
import type { Report } from './report.js'

export interface Account {
  readonly clientId: string
  readonly username: string
  readonly password: string
}

/** An MQTT.js client that tells what happens to it, as the one of the story did on its console. */
export class StoryClient {
  readonly name: string
  readonly messages: string[] = []
  connects = 0
  closes = 0
  readonly #client: MqttClient
  readonly #report: Report
  #onConnect: (() => void) | undefined

  constructor(name: string, port: number, account: Account, report: Report) {
    this.name = name
    this.#report = report
    this.#client = mqtt.connect({ host: '127.0.0.1', port, reconnectPeriod: 250, protocolVersion: 4, ...account })
    this.#client.on('connect', () => {
      this.connects++
      report.event(name, 'connect')
      this.#onConnect?.()
    })
    this.#client.on('close', () => {
      this.closes++
      report.event(name, 'close')
    })
    this.#client.on('message', (topic, payload) => {
      this.messages.push(payload.toString())
      if (!payload.toString().startsWith('tick')) report.event(name, `message ${topic} '${payload}'`)
    })
    this.#client.on('error', error => report.event(name, `error: ${error.message}`))
  }

  /** Resolves once connected. */
  async connected(): Promise<void> {
    if (!this.#client.connected) await new Promise<void>(resolve => this.#client.once('connect', () => resolve()))
  }

  /** Publishes the message at every connect, as a client does that does not know it was refused. */
  publishAtEveryConnect(topic: string, payload: string): void {
    this.#onConnect = () => this.publish(topic, payload)
  }

  publish(topic: string, payload: string): void {
    if (!payload.startsWith('tick')) this.#report.event(this.name, `> publish ${topic} '${payload}'`)
    // At QoS 0 the only sign of a refusal is that the connection is closed.
    this.#client.publish(topic, payload, { qos: 0 }, () => {})
  }

  /** Resolves with what the broker granted, which the client of the story did not look at. */
  async subscribe(filter: string): Promise<number> {
    const granted = await this.#client.subscribeAsync(filter, { qos: 0 }).then(
      grants => grants[0]?.qos ?? 128,
      () => 128,
    )
    this.#report.event(this.name, `> subscribe ${filter}, answered 0x${granted.toString(16).padStart(2, '0')}`)
    return granted
  }

  async end(): Promise<void> {
    this.#client.removeAllListeners('close')
    await this.#client.endAsync(true)
  }
}
