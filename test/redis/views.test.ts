import { describe, expect, it } from 'vitest'
import type { Command } from '../../src/redis/client.js'
import type { Reply } from '../../src/redis/connection.js'
import { CommandFailure } from '../../src/redis/failure.js'
import type { Lane } from '../../src/redis/lane.js'
import { ClusterViews } from '../../src/redis/views.js'
import { type Deferred, deferred } from '../helpers/deferred.js'

/** The Cluster as a node sees it: who has the first slot, who the last, and who else there is. */
interface Seen {
  readonly owners: readonly [string, string]
  readonly replicas?: readonly string[]
  readonly epoch?: number | undefined
}

/** Nodes that answer when the test has them answer. Each is named by its port. */
class Scene {
  readonly asked: { readonly place: string; readonly names: string[]; readonly answer: Deferred<readonly Reply[]> }[] =
    []
  readonly views: ClusterViews
  /** How often all that were asked had answered, or failed to. */
  settled = 0

  constructor(...seeds: string[]) {
    const laneAt = (place: string): Lane => {
      const requestAll = (commands: readonly Command[]): Promise<readonly Reply[]> => {
        const answer = deferred<readonly Reply[]>()
        this.asked.push({ place, names: commands.map(command => command.slice(0, 2).join(' ')), answer })
        return answer.promise
      }
      return { acquire: async () => ({ requestAll }) } as unknown as Lane
    }
    this.views = new ClusterViews({ seeds: seeds.map(at), options: {}, timeoutMs: 1_000, laneAt })
  }

  /** Who owns the first and the last slot by the view that counts. */
  get owners(): (string | undefined)[] {
    return [0, 16_383].map(slot => this.views.topology?.masters.find(master => master.owns(slot))?.place)
  }

  async refresh(): Promise<unknown> {
    return this.views.refresh(() => this.settled++).catch((error: unknown) => error)
  }

  async ask(port: string): Promise<unknown> {
    return this.views.ask(at(port), 1_000)
  }

  /** Has a node answer what it was asked longest ago. */
  async answer(port: string, seen: Seen | CommandFailure): Promise<void> {
    await turn()
    const index = this.asked.findIndex(({ place }) => place === at(port))
    const [asked] = this.asked.splice(index, 1)
    if (seen instanceof CommandFailure) asked!.answer.reject(seen)
    else asked!.answer.resolve(repliesOf(seen).slice(-asked!.names.length))
    await turn()
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

const at = (port: string): string => `127.0.0.1:${port}`

function repliesOf({ owners, replicas = [], epoch }: Seen): readonly Reply[] {
  const node = (port: string): Reply => [Buffer.from('127.0.0.1'), Number(port), Buffer.from(`id-${port}`)]
  const info = `cluster_state:ok\r\ncluster_current_epoch:${epoch}\r\ncluster_my_epoch:1\r\n`
  return [
    epoch === undefined ? new CommandFailure('refused', 'no') : Buffer.from(info),
    [
      [0, 8_000, node(owners[0]), ...replicas.map(node)],
      [8_001, 16_383, node(owners[1])],
    ],
  ]
}

const GONE = new CommandFailure('lost', 'gone')
/** Before a failover of the first master, and after it. */
const OLD: Seen = { owners: ['1', '2'], replicas: ['3'], epoch: 5 }
const NEW: Seen = { owners: ['3', '2'], epoch: 6 }
const AFTER = [at('3'), at('2')]

describe('the view of a Cluster', () => {
  it('is that of the first to answer', async () => {
    const scene = new Scene('1', '2')
    const done = scene.refresh()
    await scene.answer('2', NEW)
    await done
    await scene.answer('1', OLD)
    expect(scene.owners).toEqual(AFTER)
  })

  it('is never an older one, whoever answers first', async () => {
    const scene = new Scene('1', '2')
    void scene.refresh()
    await scene.answer('2', NEW)
    await scene.answer('1', OLD)
    const done = scene.refresh()
    await scene.answer('1', OLD)
    expect(scene.owners).toEqual(AFTER)
    await scene.answer('3', NEW)
    expect(await done).toBe(scene.views.topology)
    expect(scene.owners).toEqual(AFTER)
  })

  it('does not become an older one when a single node is asked, and an earlier answer comes late', async () => {
    const scene = new Scene('1', '2')
    const [late, early] = [scene.ask('1'), scene.ask('2')]
    await scene.answer('2', NEW)
    await early
    await scene.answer('1', OLD)
    expect(await late).toMatchObject({ epoch: 5 })
    expect(scene.owners).toEqual(AFTER)
  })

  it('stays when none but an old one can be had', async () => {
    const scene = new Scene('1', '2')
    void scene.refresh()
    await scene.answer('2', NEW)
    await scene.answer('1', OLD)
    const failure = scene.refresh()
    await scene.answer('1', OLD)
    await scene.answer('3', GONE)
    await scene.answer('2', GONE)
    expect(await failure).toBeInstanceOf(CommandFailure)
    expect(scene.owners).toEqual(AFTER)
  })

  it('becomes the newest of older ones when most of the masters that are known tell of one', async () => {
    const scene = new Scene('1', '2')
    void scene.refresh()
    await scene.answer('2', NEW)
    await scene.answer('1', OLD)
    void scene.refresh()
    await scene.answer('3', { ...OLD, epoch: 2 })
    await scene.answer('2', { owners: ['2', '3'], epoch: 3 })
    await scene.answer('1', { ...OLD, epoch: 4 })
    expect(scene.owners).toEqual([at('2'), at('3')])
  })

  it('does not become older because half of the masters that are known tell of an old one', async () => {
    const scene = new Scene('1', '2')
    void scene.refresh()
    await scene.answer('2', NEW)
    await scene.answer('1', OLD)
    const failure = scene.refresh()
    await scene.answer('2', { owners: ['2', '3'], epoch: 3 })
    await scene.answer('1', OLD)
    await scene.answer('3', GONE)
    expect(await failure).toBeInstanceOf(CommandFailure)
    expect(scene.owners).toEqual(AFTER)
  })

  it('does not become older where a newer one was told while all were asked', async () => {
    const scene = new Scene('1', '2')
    void scene.refresh()
    await scene.answer('2', NEW)
    await scene.answer('1', OLD)
    const failure = scene.refresh()
    await scene.answer('3', OLD)
    await scene.answer('2', OLD)
    void scene.ask('4')
    await scene.answer('4', { owners: ['4', '2'], epoch: 7 })
    await scene.answer('1', OLD)
    expect(await failure).toBeInstanceOf(CommandFailure)
    expect(scene.owners).toEqual([at('4'), at('2')])
  })

  it('is asked for once by all who ask at the same time, who are done before the last has answered', async () => {
    const scene = new Scene('1', '2')
    const both = [scene.refresh(), scene.refresh()]
    await turn()
    expect(scene.asked.map(({ place }) => place)).toEqual([at('1'), at('2')])
    await scene.answer('2', NEW)
    await Promise.all(both)
    expect(scene.settled).toBe(0)
    await scene.answer('1', GONE)
    expect(scene.settled).toBe(1)
  })

  it('is replaced by that of another Cluster, whatever the epochs', async () => {
    const scene = new Scene('1', '2')
    void scene.refresh()
    await scene.answer('2', NEW)
    await scene.answer('1', GONE)
    void scene.refresh()
    await scene.answer('1', { owners: ['7', '8'], epoch: 1 })
    expect(scene.owners).toEqual([at('7'), at('8')])
  })

  it('is the last that was told where epochs are not, and they are asked for again only with all nodes', async () => {
    const scene = new Scene('2')
    void scene.refresh()
    await turn()
    expect(scene.asked[0]?.names).toEqual(['cluster info', 'cluster slots'])
    await scene.answer('2', { ...NEW, epoch: undefined })
    void scene.ask('1')
    await scene.answer('1', { ...OLD, epoch: undefined })
    expect(scene.owners).toEqual([at('1'), at('2')])
    void scene.ask('2')
    await turn()
    expect(scene.asked[0]?.names).toEqual(['cluster slots'])
    await scene.answer('2', { ...NEW, epoch: undefined })
    expect(scene.owners).toEqual(AFTER)
    void scene.refresh()
    await turn()
    expect(scene.asked.map(({ names }) => names[0])).toEqual(['cluster info', 'cluster info'])
    for (const port of ['3', '2']) await scene.answer(port, NEW)
  })
})
