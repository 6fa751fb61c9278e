import type { AclRecord, Authorizer, RecordStore } from 'mqtt-warden'
import { type Account, StoryClient } from './client.js'
import type { Cluster } from './cluster.js'
import type { Report } from './report.js'

/** The two published accounts: the records hold the hashes, the clients the passwords. */
const ONE = { clientId: '1528361231', username: '101', password: '38b3eff8baf56627478ec76a704e9b52' }
const TWO = { clientId: '1528361747', username: '102', password: 'ec8956637a99787bd197eacd77acce5e' }
const PASSHASHES: Readonly<Record<string, string>> = {
  101: '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6',
  102: '$2a$10$o2EnyzkqmHE532m3C.MREuyVNSKf0wIkHudKFjSk3OUFPlYLm8xBW',
}

interface Rights {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

const EVERYTHING: Rights = { publish: ['#'], subscribe: ['#'] }
const SAY: Rights = { publish: ['say'], subscribe: ['say'] }

/** Plays the scenes on a cluster. */
export class Scenes {
  readonly #cluster: Cluster
  readonly #authorizer: Authorizer
  readonly #report: Report
  readonly #denials: string[] = []
  #clients: StoryClient[] = []

  /** @param authorizer Asked for the reasons; the nodes have their own. */
  constructor(cluster: Cluster, authorizer: Authorizer, report: Report) {
    this.#cluster = cluster
    this.#authorizer = authorizer
    this.#report = report
  }

  /** To be told what the nodes' logs say. */
  hear(node: string, line: string): void {
    this.#denials.push(line)
    this.#report.because(`node ${node}`, line)
  }

  async play(): Promise<void> {
    const scenes = [this.#one, this.#two, this.#three, this.#four, this.#five, this.#six]
    for (const scene of scenes) {
      this.#denials.length = 0
      await scene.call(this)
      await Promise.all(this.#clients.map(client => client.end()))
      this.#clients = []
    }
  }

  async #one(): Promise<void> {
    this.#report.scene(1, 'the same account on both nodes')
    await this.#grant(ONE, EVERYTHING)
    const first = await this.#connect('client 1', 'A', ONE)
    const second = await this.#connect('again 1', 'B', ONE)
    await until(() => first.connects >= 3 && second.connects >= 3)
    this.#report.because(
      'why',
      'both logins are right, and a client id has one session: each newcomer evicts the other',
    )
    this.#report.check(first.closes >= 2 && second.closes >= 2, 'each evicts the other, for ever')
  }

  async #two(): Promise<void> {
    this.#report.scene(2, 'both may do everything')
    await this.#grant(ONE, EVERYTHING)
    await this.#grant(TWO, EVERYTHING)
    const [one, two] = await this.#both()
    const topic = `${TWO.clientId}/${TWO.username}/say`
    await one.subscribe(topic)
    two.publish(topic, 'hello from 2')
    await this.#explain(TWO, 'publish', topic)
    await until(() => one.messages.length > 0)
    this.#report.check(one.messages[0] === 'hello from 2', 'client 1 on node A receives what client 2 says on node B')
  }

  async #three(): Promise<void> {
    this.#report.scene(3, 'client 2 may publish only hello, and publishes say')
    await this.#grant(ONE, EVERYTHING)
    await this.#grant(TWO, { publish: ['hello'], subscribe: ['#'] })
    const one = await this.#connect('client 1', 'A', ONE)
    await one.subscribe('#')
    const two = new StoryClient('client 2', this.#cluster.ports.B, TWO, this.#report)
    this.#clients.push(two)
    two.publishAtEveryConnect('say', 'refused')
    await until(() => two.connects >= 3 && two.closes >= 2)
    this.#report.check(
      two.closes >= 2,
      'MQTT 3.1.1 cannot say no: the connection is closed, client 2 comes back for ever',
    )
    this.#report.check(
      this.#denials.some(line => line.includes('"say"') && line.includes('nearest: "hello"')),
      'the log names client, action, topic, reason and the nearest rule',
    )
    this.#report.check(one.messages.length === 0, 'client 1 receives nothing')
  }

  async #four(): Promise<void> {
    this.#report.scene(4, 'client 1 may not subscribe say')
    await this.#grant(ONE, { publish: ['#'], subscribe: ['hello'] })
    await this.#grant(TWO, EVERYTHING)
    const [one, two] = await this.#both()
    const granted = await one.subscribe('say')
    two.publish('say', 'nobody hears')
    // A message that does arrive, sent after the other, tells that the other never will.
    await one.subscribe('hello')
    two.publish('hello', 'heard')
    await until(() => one.messages.includes('heard'))
    this.#report.check(granted === 128, 'its SUBSCRIBE is answered 0x80, and it stays connected')
    this.#report.check(!one.messages.includes('nobody hears') && one.closes === 0, 'it hears nothing of say')
    this.#report.check(
      this.#denials.some(line => line.includes('subscribe to "say"')),
      'the log says so at once',
    )
  }

  async #five(): Promise<void> {
    this.#report.scene(5, 'both may publish and subscribe say')
    const [one, two] = await this.#sayers()
    two.publish('say', 'hello from 2')
    await until(() => one.messages.length === 1 && two.messages.length === 1)
    one.publish('say', 'hello from 1')
    await until(() => one.messages.length === 2 && two.messages.length === 2)
    await this.#explain(ONE, 'publish', 'say')
    const expected = 'hello from 2,hello from 1'
    this.#report.check(`${one.messages}` === expected && `${two.messages}` === expected, 'both hear both')
  }

  async #six(): Promise<void> {
    this.#report.scene(6, 'the right to say is taken away while client 1 is connected')
    const [one, two] = await this.#sayers()
    let tick = 0
    const ticking = setInterval(() => two.publish('say', `tick ${tick++}`), 2)
    await until(() => one.messages.length >= 50)
    const writtenAt = performance.now()
    let lastAt = writtenAt
    let heard = one.messages.length
    const watching = setInterval(() => {
      if (one.messages.length > heard) lastAt = performance.now()
      heard = one.messages.length
    }, 1)
    await this.#grant(ONE, { publish: ['say'], subscribe: [] })
    const resolvedMs = performance.now() - writtenAt
    const sentByThen = tick
    await until(() => tick > sentByThen + 50)
    const afterwards = one.messages.length
    await until(() => tick > sentByThen + 100)
    clearInterval(ticking)
    clearInterval(watching)
    const last = lastAt > writtenAt ? `the last ${(lastAt - writtenAt).toFixed(1)} ms after` : 'none after'
    this.#report.event('client 1', `${one.messages.length} of ${tick} messages heard, ${last} the write began`)
    this.#report.event('writer', `the write was confirmed ${resolvedMs.toFixed(1)} ms after it began`)
    await this.#explain(ONE, 'subscribe', 'say')
    this.#report.check(
      one.messages.length === afterwards && one.messages.length < tick - 50,
      'the next message no longer arrives',
    )
    this.#report.check(one.closes === 0, 'client 1 was not disconnected: it lost just this subscription')
  }

  async #sayers(): Promise<[StoryClient, StoryClient]> {
    await this.#grant(ONE, SAY)
    await this.#grant(TWO, SAY)
    const clients = await this.#both()
    for (const client of clients) await client.subscribe('say')
    return clients
  }

  async #both(): Promise<[StoryClient, StoryClient]> {
    return [await this.#connect('client 1', 'A', ONE), await this.#connect('client 2', 'B', TWO)]
  }

  async #connect(name: string, node: 'A' | 'B', account: Account): Promise<StoryClient> {
    const client = new StoryClient(name, this.#cluster.ports[node], account, this.#report)
    this.#clients.push(client)
    await client.connected()
    return client
  }

  /** Writes the record of an account, which is all it takes to change what it may do. */
  async #grant({ clientId, username }: Account, { publish, subscribe }: Rights): Promise<void> {
    const record: AclRecord = {
      passhash: PASSHASHES[username]!,
      publishAcl: publish.map(pattern => ({ pattern })),
      subscribeAcl: subscribe.map(pattern => ({ pattern })),
    }
    await this.#cluster.store.put({ mountpoint: '', clientId, username }, record)
    this.#report.event(
      'record',
      `${username}: publish ${JSON.stringify(publish)}, subscribe ${JSON.stringify(subscribe)}`,
    )
  }

  async #explain({ clientId, username }: Account, action: 'publish' | 'subscribe', subject: string): Promise<void> {
    const principal = { mountpoint: '', clientId, username }
    const decision =
      action === 'publish'
        ? await this.#authorizer.authorizePublish(principal, subject)
        : await this.#authorizer.authorizeSubscribe(principal, subject)
    const verdict = decision.allow ? `allowed by "${decision.rule.pattern}"` : `refused: ${decision.reason}`
    this.#report.because('why', `${username} ${action} ${subject}: ${verdict}`)
  }
}

/** The keys the story writes. */
export const STORY_KEYS = [ONE, TWO].map(({ clientId, username }) => ({ mountpoint: '', clientId, username }))

/** What stood under the story's keys before, so that it can be put back. */
export async function rememberRecords(store: RecordStore): Promise<() => Promise<void>> {
  const before = await Promise.all(STORY_KEYS.map(key => store.get(key)))
  return async () => {
    for (const [index, key] of STORY_KEYS.entries()) {
      const record = before[index]
      if (record === undefined) await store.delete(key)
      else await store.put(key, record)
    }
  }
}

/** Resolves when the condition holds, or after ten seconds; whether it does is then for a check to tell. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition() && performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 5))
}
