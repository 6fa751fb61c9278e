import { Child } from '../faults/child.js'
import { pause } from '../faults/fault.js'
import { adminOf, linesTo, NODES } from '../faults/lines.js'
import { eventually } from '../helpers/eventually.js'
import { startRedisServer } from '../helpers/redis-server.js'
import { Chance } from './chance.js'
import { type Burden, CLIENTS, type SoakCalls } from './protocol.js'
import { Records } from './records.js'
import { type Site, TROUBLES } from './trouble.js'

/** Time between two changes of records, two readings of the nodes, and two weighings of their memory. */
const CHANGE_MS = 30
const READ_MS = 250
const WEIGH_MS = 5_000

export interface SoakOptions {
  readonly ms: number
  /** Decides what happens and when; the processes' own timing is not in its hands. */
  readonly seed: number
  readonly log?: (line: string) => void
}

/** What a soak has seen. */
export interface SoakResult {
  readonly troubles: number
  readonly writes: number
  readonly logins: number
  /** Longest time that a right survived its end, and the bound of it, in milliseconds. */
  readonly longestMs: number
  readonly boundMs: number
  /** Heap in use and open handles of each node, in the order of time. */
  readonly burdens: readonly (readonly Burden[])[]
  /** Everything that should not have been. */
  readonly wrong: readonly string[]
}

/** Runs three nodes on one Redis through trouble after trouble, and looks for whatever should not be. */
export async function soak({ ms, seed, log = () => {} }: SoakOptions): Promise<SoakResult> {
  const server = await startRedisServer()
  const admin = adminOf(server)
  const chance = new Chance(seed)
  const lines = await linesTo(server)
  const script = new URL('./children/node.ts', import.meta.url)
  const nodes = Array.from({ length: NODES }, () => new Child<SoakCalls>(script, ['--expose-gc']))
  const site: Site = { server, admin, lines, nodes, chance, records: new Records(admin, chance) }
  try {
    return await new Soak(site, log).run(ms)
  } finally {
    await Promise.all(nodes.map(node => node.kill()))
    admin.disconnect()
    await Promise.all([...lines.flatMap(({ data, link }) => [data.close(), link.close()]), server.stop()])
  }
}

class Soak {
  readonly #site: Site
  readonly #log: (line: string) => void
  readonly #wrong: Set<string> = new Set()
  readonly #burdens: Burden[][]
  /** Calls under way: a node that stands still is not asked again. */
  readonly #asked: Set<string> = new Set()
  #troubles = 0
  #boundMs = 0
  #isOver = false
  /** Nothing else is done to records while they are lost and written anew. */
  #isLost = false

  constructor(site: Site, log: (line: string) => void) {
    this.#site = site
    this.#log = log
    this.#burdens = site.nodes.map(() => [])
  }

  async run(ms: number): Promise<SoakResult> {
    const { nodes, lines, records } = this.#site
    await records.writeAll()
    await Promise.all(
      nodes.map((node, at) => node.call('open', { data: lines[at]!.data.port, link: lines[at]!.link.port })),
    )
    const end = performance.now() + ms
    const work = [this.#every(CHANGE_MS, () => this.#change()), this.#every(READ_MS, () => this.#read())]
    work.push(this.#every(WEIGH_MS, () => this.#weigh()))
    while (performance.now() < end) await this.#trouble()
    this.#isOver = true
    await Promise.all(work)
    const logins = await this.#settle()
    await this.#weigh()
    return {
      troubles: this.#troubles,
      writes: records.writes,
      logins,
      longestMs: records.longestMs,
      boundMs: this.#boundMs,
      burdens: this.#burdens,
      wrong: [...this.#wrong],
    }
  }

  async #every(ms: number, act: () => Promise<unknown>): Promise<void> {
    while (!this.#isOver) {
      await act()
      await pause(ms)
    }
  }

  async #trouble(): Promise<void> {
    const { chance } = this.#site
    await pause(chance.below(800))
    const name = chance.pick(Object.keys(TROUBLES))
    const lastMs = chance.below(chance.pick([200, 1_000, 2_500]))
    this.#log(`${(performance.now() / 1_000).toFixed(1)} s: ${name} for ${lastMs} ms`)
    this.#troubles++
    const isLoss = name === 'flush' || name === 'killServer'
    this.#isLost = isLoss
    if (isLoss) await eventually(() => !this.#asked.has('change'), 'the change under way is done', 20_000)
    const endIt = await TROUBLES[name]!(this.#site)
    await pause(lastMs)
    await endIt()
    this.#isLost = false
  }

  async #change(): Promise<void> {
    if (this.#isLost) return
    await this.#once('change', () => this.#site.records.change())
  }

  async #read(): Promise<void> {
    for (const at of this.#site.nodes.keys()) void this.#once(`notes ${at}`, () => this.#notes(at))
    this.#site.records.forget()
  }

  async #notes(at: number): Promise<{ isLive: boolean; held: readonly number[]; logins: number }> {
    const { nodes, records } = this.#site
    const { grants, lookUps, held, freshness, logins, crashes } = await nodes[at]!.call('notes')
    this.#boundMs = freshness.boundMs
    const wrong = [
      ...records.judge(grants, freshness.boundMs, true),
      ...records.judge(lookUps, freshness.boundMs, false),
      ...crashes,
    ]
    for (const each of wrong) {
      this.#wrong.add(`node ${at + 1}: ${each}`)
      this.#log(`${(performance.now() / 1_000).toFixed(1)} s: node ${at + 1}: ${each}`)
    }
    return { isLive: freshness.state === 'live', held, logins }
  }

  async #weigh(): Promise<void> {
    const weigh = async (at: number): Promise<void> => {
      this.#burdens[at]!.push(await this.#site.nodes[at]!.call('burden'))
    }
    const weighed = [...this.#site.nodes.keys()].map(at => this.#once(`burden ${at}`, () => weigh(at)))
    if (this.#isOver) await Promise.all(weighed)
  }

  /** Waits until every client of every node may do what its record says. Gives back the number of logins. */
  async #settle(): Promise<number> {
    const { records, nodes } = this.#site
    await records.writeAll()
    const present = new Set(records.present)
    let logins = 0
    await eventually(
      async () => {
        const notes = await Promise.all([...nodes.keys()].map(at => this.#notes(at)))
        logins = notes.reduce((sum, note) => sum + note.logins, 0)
        return notes.every(
          ({ isLive, held }) => isLive && held.length === CLIENTS.length && held.every(v => present.has(v)),
        )
      },
      'all is well in the end',
      30_000,
    )
    return logins
  }

  async #once(name: string, act: () => Promise<unknown>): Promise<void> {
    if (this.#asked.has(name)) return
    this.#asked.add(name)
    try {
      await act()
    } catch (error) {
      this.#wrong.add(`${name}: ${String(error)}`)
    } finally {
      this.#asked.delete(name)
    }
  }
}
