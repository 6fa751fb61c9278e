import {
  type ChangeEffects,
  createMemoryStore,
  type StoreEvent,
  type StoreListener,
  type WatchOptions,
} from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { deferred } from '../helpers/deferred.js'
import { authorizerOf, drain, heard, idle, keyOf, logIn, recordOf, SteppedStore } from './support.js'

const RECEIPT = { receipt: { timeoutMs: 1_000 } }
const NOTHING = { sessionsCut: 0, subscriptionsDropped: 0, messagesDropped: 0 }

/** A stepped store that also says what its watchers made of an event. */
class AskingStore extends SteppedStore {
  listener: StoreListener | undefined
  options: WatchOptions | undefined

  override watch(listener: StoreListener, options?: WatchOptions): () => void {
    this.listener = listener
    this.options = options
    return super.watch(listener)
  }

  async ask(event: StoreEvent): Promise<ChangeEffects | undefined> {
    return (await this.listener?.(event)) ?? undefined
  }
}

describe('the receipt of a write', () => {
  it('tells how many sessions were cut', async () => {
    const store = createMemoryStore([
      [keyOf('a'), recordOf()],
      [keyOf('*'), recordOf()],
    ])
    const authorizer = authorizerOf(store)
    for (const id of ['a', 'b', 'c']) await logIn(authorizer, id)
    const { receipt, digest } = await store.delete(keyOf('*'), RECEIPT)
    const [node] = await store.nodes!()
    expect(receipt).toEqual({
      confirmed: true,
      rows: [
        {
          node: node!.id,
          digest,
          sessionsCut: 2,
          subscriptionsDropped: 0,
          messagesDropped: 0,
          ms: expect.any(Number),
        },
      ],
      silent: [],
      silentNodes: [],
    })
  })

  it('tells what the listeners of sessions did about it', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf()]])
    const authorizer = authorizerOf(store)
    const gate = deferred()
    const [first, second] = [await logIn(authorizer, 'a'), await logIn(authorizer, 'b')]
    first.onChange(async () => {
      await gate.promise
      return { subscriptionsDropped: 2 }
    })
    first.onChange(() => ({ subscriptionsDropped: 1, sessionsCut: 1 }))
    second.onChange(() => {})
    second.onChange(() => ({ subscriptionsDropped: Number.NaN, sessionsCut: -1 }))
    const written = store.put(keyOf('*'), recordOf(['less']), RECEIPT)
    await idle()
    gate.resolve()
    expect((await written).receipt?.rows).toMatchObject([{ sessionsCut: 1, subscriptionsDropped: 3 }])
  })

  it('tells what the listeners of sessions that were cut did about it', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf()]])
    const authorizer = authorizerOf(store)
    const errors = heard(authorizer, 'error')
    const sessions = [await logIn(authorizer, 'a'), await logIn(authorizer, 'b'), await logIn(authorizer, 'c')]
    const cut: unknown[] = []
    sessions[0]!.onRevoked((cause, session) => {
      cut.push([cause, session])
      return { later: Promise.resolve({ subscriptionsDropped: 2, messagesDropped: 5 }) }
    })
    sessions[1]!.onRevoked(async () => ({ subscriptionsDropped: 1 }))
    sessions[2]!.onRevoked(async () => {
      throw new Error('broken')
    })
    const { receipt } = await store.delete(keyOf('*'), RECEIPT)
    expect(receipt).toMatchObject({
      confirmed: false,
      rows: [{ sessionsCut: 3, subscriptionsDropped: 3, messagesDropped: 5, failed: 'broken' }],
    })
    expect(cut).toEqual([['deleted', sessions[0]]])
    expect(errors).toMatchObject([{ place: 'listener of onRevoked' }])
  })

  it('does not confirm what a listener failed to carry out', async () => {
    const store = createMemoryStore([[keyOf('a'), recordOf()]])
    const authorizer = authorizerOf(store)
    const errors = heard(authorizer, 'error')
    const session = await logIn(authorizer, 'a')
    session.onChange(() => {
      throw new Error('broken')
    })
    const { receipt } = await store.put(keyOf('a'), recordOf(['less']), RECEIPT)
    expect(receipt).toMatchObject({ confirmed: false, rows: [{ failed: 'broken' }] })
    expect(errors).toHaveLength(1)
  })

  it('says that nobody confirmed, where nobody decides', async () => {
    const store = createMemoryStore()
    store.watch(() => {})
    const { receipt } = await store.put(keyOf('a'), recordOf(), RECEIPT)
    expect(receipt).toEqual({ confirmed: false, rows: [], silent: [], silentNodes: [] })
    expect(await store.nodes?.()).toEqual([])
  })
})

describe('what an authorizer says about a change', () => {
  it('is for how long it may go on deciding without news', () => {
    const store = new AskingStore()
    authorizerOf(store, { outageGraceMs: 30_000 })
    expect(store.options?.decidesForMs).toBe(30_000)
  })

  it('counts for one of two changes at once what both bring about', async () => {
    const store = new AskingStore([[keyOf('a'), recordOf()]])
    await logIn(authorizerOf(store), 'a')
    store.set(keyOf('a'), undefined)
    store.isStepped = true
    const effects = [store.ask({ type: 'changed', key: keyOf('a') }), store.ask({ type: 'changed', key: keyOf('a') })]
    await drain(store)
    const counts = (await Promise.all(effects)).map(each => each?.sessionsCut)
    expect(counts.toSorted()).toEqual([0, 1])
  })

  it('is a failure while the record cannot be read', async () => {
    const store = new AskingStore([[keyOf('a'), recordOf()]])
    const authorizer = authorizerOf(store)
    heard(authorizer, 'error')
    await logIn(authorizer, 'a')
    store.isStepped = true
    const effects = store.ask({ type: 'changed', key: keyOf('a') })
    await idle()
    store.pending[0]!.fail(new Error('away'))
    expect(await effects).toEqual({ ...NOTHING, failed: 'the store failed to read' })
  })

  it('is nothing where no session depends on the record', async () => {
    const store = new AskingStore([[keyOf('a'), recordOf()]])
    await logIn(authorizerOf(store), 'a')
    const effects = await store.ask({ type: 'changed', key: keyOf('b') })
    expect(effects).toEqual(NOTHING)
  })
})
