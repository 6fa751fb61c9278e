import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'

/**
 * An MQTT.js client that writes down what it sends, receives and emits, in the words of the recorded scenarios:
 * `>` sent, `<` received, otherwise an event or a callback.
 */
export class RecordedClient {
  readonly client: MqttClient
  readonly events: string[] = []
  readonly #waiting: Set<() => void> = new Set()

  constructor(port: number, options: IClientOptions) {
    this.client = mqtt.connect({ host: '127.0.0.1', port, protocolVersion: 4, reconnectPeriod: 200, ...options })
    this.client.on('packetsend', packet => {
      if (packet.cmd === 'connect') this.#add('>connect')
      if (packet.cmd === 'subscribe') {
        const [first] = packet.subscriptions
        this.#add(`>subscribe ${packet.subscriptions.map(({ topic }) => topic)} qos=${first!.qos}`)
      }
      if (packet.cmd === 'publish') {
        this.#add(`>publish ${packet.topic} '${packet.payload}' qos=${packet.qos} dup=${Number(packet.dup)}`)
      }
    })
    this.client.on('packetreceive', packet => {
      if (packet.cmd === 'connack') this.#add(`<connack rc=${packet.returnCode} sp=${Number(packet.sessionPresent)}`)
      if (packet.cmd === 'suback') {
        this.#add(`<suback ${packet.granted.map(code => `0x${Number(code).toString(16).padStart(2, '0')}`)}`)
      }
      if (packet.cmd === 'puback') this.#add('<puback')
    })
    this.client.on('connect', ({ returnCode, sessionPresent }) =>
      this.#add(`connect rc=${returnCode} sp=${Number(sessionPresent)}`),
    )
    this.client.on('message', (topic, payload, { qos, retain }) =>
      this.#add(`message ${topic} '${payload}' qos=${qos} retain=${Number(retain)}`),
    )
    this.client.on('error', error => this.#add(`error ${(error as { code?: number }).code ?? ''} ${error.message}`))
    for (const name of ['offline', 'close', 'reconnect'] as const) this.client.on(name, () => this.#add(name))
  }

  subscribe(filters: string[], qos: 0 | 1): void {
    this.client.subscribe(filters, { qos }, error => {
      this.#add(`subscribe-callback ${error === null ? 'ok' : `error: ${error.message}`}`)
    })
  }

  publish(topic: string, payload: string, qos: 0 | 1): void {
    this.client.publish(topic, payload, { qos }, error => {
      this.#add(`publish-callback qos=${qos} ${error ? `error: ${error}` : 'ok'}`)
    })
  }

  /** Resolves once an event that begins so has been seen the given number of times. */
  async seen(beginning: string, times = 1): Promise<void> {
    const isSeen = () => this.events.filter(event => event.startsWith(beginning)).length >= times
    if (isSeen()) return
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not seen: ${beginning}; seen: ${this.events.join(' | ')}`)),
        20_000,
      )
      const look = () => {
        if (!isSeen()) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  async end(): Promise<void> {
    this.client.removeAllListeners()
    this.client.on('error', () => {})
    await this.client.endAsync(true)
  }

  #add(event: string): void {
    this.events.push(event)
    for (const look of [...this.#waiting]) look()
  }
}
