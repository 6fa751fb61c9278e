import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { PASSWORD, type RunningBroker, startBroker } from './running.js'

let broker: RunningBroker
const running: ChildProcess[] = []

beforeAll(async () => {
  broker = await startBroker()
})
afterEach(() => {
  for (const child of running.splice(0)) child.kill()
})
afterAll(() => broker.stop())

const protocols = { 3: 'mqttv31', 4: 'mqttv311', 5: 'mqttv5' } as const
type Version = keyof typeof protocols

const account = (version: Version, clientId: string, password = PASSWORD) => [
  ...['-V', protocols[version], '-h', '127.0.0.1', '-p', `${broker.port}`],
  ...['-i', clientId, '-u', 'plant', '-P', password],
]

interface Outcome {
  readonly code: number
  /** What was printed, errors included. */
  readonly output: string
}

/** Runs a mosquitto client to its end. */
function run(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise(resolve => {
    execFile(command, args, { timeout: 15_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, output: stdout + stderr })
    })
  })
}

/** Starts a mosquitto_sub that prints topic, payload and retain flag; resolves once it is subscribed. */
async function subscriber(args: readonly string[]): Promise<{ readonly lines: () => string[]; kill(): void }> {
  // Into a pipe it would keep what it says to itself.
  const child = spawn('stdbuf', ['-oL', 'mosquitto_sub', '-d', '-F', '%t %p %r', ...args])
  running.push(child)
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  await eventually(() => output.includes('Subscribed (mid'), 'mosquitto_sub was subscribed')
  return {
    lines: () => output.split('\n').filter(line => line !== '' && !/^(Client|Subscribed)/.test(line)),
    kill: () => child.kill('SIGKILL'),
  }
}

describe.each([3, 4, 5] as const)('the example broker, with mosquitto clients of MQTT %i', version => {
  const publishAcl = [{ pattern: 'm/#', maxQos: 1 as const }]
  const subscribeAcl = [{ pattern: 'm/#' }]

  beforeAll(async () => {
    await broker.allow('pub', { publishAcl })
    await broker.allow('sub', { subscribeAcl })
  })

  it('carries messages and retained ones', async () => {
    const topic = `m/${version}`
    const kept = await run('mosquitto_pub', [
      ...account(version, 'pub'),
      '-t',
      `${topic}/kept`,
      '-m',
      'old',
      '-q',
      '1',
      '-r',
    ])
    expect(kept).toEqual({ code: 0, output: '' })
    const reader = await subscriber([...account(version, 'sub'), '-t', `${topic}/#`, '-q', '1'])
    for (const qos of ['0', '1']) {
      const sent = await run('mosquitto_pub', [...account(version, 'pub'), '-t', `${topic}/live`, '-m', qos, '-q', qos])
      expect(sent).toEqual({ code: 0, output: '' })
    }
    await eventually(() => reader.lines().length === 3, 'three messages were received')
    expect(reader.lines()).toEqual([`${topic}/kept old 1`, `${topic}/live 0 0`, `${topic}/live 1 0`])
  })

  it('refuses a wrong password', async () => {
    const { code, output } = await run('mosquitto_pub', [...account(version, 'pub', 'wrong'), '-t', 'm/x', '-m', 'x'])
    expect(code).not.toBe(0)
    expect(output.toLowerCase()).toContain('bad user name or password')
  })

  it('refuses a will that may not be published', async () => {
    const will = ['--will-topic', 'other', '--will-payload', 'x']
    const { code, output } = await run('mosquitto_pub', [...account(version, 'pub'), ...will, '-t', 'm/x', '-m', 'x'])
    expect(code).not.toBe(0)
    expect(output.toLowerCase()).toContain('not authori')
  })

  it('refuses a subscription', async () => {
    const { output } = await run('mosquitto_sub', [...account(version, 'sub'), '-t', '#', '-W', '5'])
    expect(output).toContain('All subscription requests were denied')
  })

  it('refuses a publish as the version can', async () => {
    const before = broker.denials.length
    const { code, output } = await run('mosquitto_pub', [
      ...account(version, 'pub'),
      '-t',
      'other',
      '-m',
      'x',
      '-q',
      '1',
    ])
    expect(broker.denials[before]).toMatchObject({ action: 'publish', topic: 'other' })
    if (version === 3) expect({ code, output }).toEqual({ code: 0, output: '' })
    if (version === 4) expect(output).toContain('The connection was lost')
    if (version === 5) expect(output).toContain('Publish 1 failed: Not authorized')
  })

  it('publishes the will of a client that is killed', async () => {
    const reader = await subscriber([...account(version, 'sub'), '-t', `m/${version}/will`])
    await broker.allow('dying', { publishAcl, subscribeAcl })
    const will = ['--will-topic', `m/${version}/will`, '--will-payload', 'gone', '--will-qos', '1']
    const dying = await subscriber([...account(version, 'dying'), ...will, '-t', 'm/none'])
    dying.kill()
    await eventually(() => reader.lines().includes(`m/${version}/will gone 0`), 'the will was received')
  })

  it('cuts a client whose record goes', async () => {
    await broker.allow('doomed', { subscribeAcl })
    const args = [...account(version, 'doomed'), '-t', 'm/none', '-d']
    const ended = run('stdbuf', ['-oL', 'mosquitto_sub', ...args])
    const isSubscribed = () =>
      [...broker.authorizer.sessions()].some(({ principal }) => principal.clientId === 'doomed')
    await eventually(isSubscribed, 'the client was connected')
    await broker.forget('doomed')
    const { output } = await ended
    // Of an older version it comes back by itself, and is refused then.
    expect(output.toLowerCase()).toContain(version === 5 ? 'received disconnect (135)' : 'bad user name or password')
  })
})
