import { describe, expect, it } from 'vitest'
import { Demand } from '../../src/password/demand.js'
import { HashQueue } from '../../src/password/queue.js'
import type { HashOrigin } from '../../src/password/types.js'

/** Steps of a second. Time is stepped here, too: nothing depends on the machine. */
const STEPS = 100
const DEADLINE = 10 * STEPS
const HASHES_PER_SECOND = 10
/** Rightful clients, one every fifth of a second. */
const CLIENTS = 25

/** A queue whose only thread finishes when it is told to, and whose clients leave at their deadline. */
class Simulation {
  readonly #queue = new HashQueue(1, 1_000)
  readonly #deadlines = new Map<number, AbortController[]>()
  #now = 0
  #finish: (() => void) | undefined
  /** Hashes begun, by who asked for them, in that order. */
  readonly begun: string[] = []

  /** Asks for a hash; resolves with the seconds until it was computed, or with `undefined` where it was not. */
  async ask(name: string, origin: HashOrigin): Promise<number | undefined> {
    const since = this.#now
    const client = new AbortController()
    const leaving = this.#deadlines.get(since + DEADLINE) ?? []
    this.#deadlines.set(since + DEADLINE, [...leaving, client])
    const begin = () => {
      this.begun.push(name)
      return new Promise<void>(resolve => {
        this.#finish = resolve
      })
    }
    try {
      await this.#queue.run(begin, { timeoutMs: 3_600_000, signal: client.signal, origin })
      return (this.#now - since) / STEPS
    } catch {
      return undefined
    }
  }

  async step(): Promise<void> {
    this.#now++
    for (const client of this.#deadlines.get(this.#now) ?? []) client.abort()
    this.#deadlines.delete(this.#now)
    if (this.#now % (STEPS / HASHES_PER_SECOND) === 0) await this.finish()
  }

  async finish(): Promise<void> {
    this.#finish?.()
    await new Promise(resolve => setImmediate(resolve))
  }

  close(): void {
    this.#queue.close(new Error('over') as never)
  }
}

/**
 * A thousand guesses a second from so many addresses at so many accounts, and meanwhile rightful clients that have never
 * logged in before, each once. How many seconds they wait.
 */
async function underAttack(addresses: number, accounts: number, rightful: (n: number) => HashOrigin) {
  const simulation = new Simulation()
  const waits: Promise<number | undefined>[] = []
  let guesses = 0
  let settled = 0
  for (let step = 0; settled < CLIENTS; step++) {
    for (let n = 0; n < 10; n++, guesses++) {
      // So that every account is guessed at from many addresses.
      const account = `u${(guesses + Math.floor(guesses / addresses)) % accounts}`
      void simulation.ask('guess', { address: `a${guesses % addresses}`, account })
    }
    if (step % 20 === 0 && waits.length < CLIENTS) {
      const wait = simulation.ask('rightful', rightful(step / 20))
      void wait.then(() => settled++)
      waits.push(wait)
    }
    await simulation.step()
  }
  simulation.close()
  const seconds = (await Promise.all(waits)).map(wait => wait ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b)
  return { count: seconds.length, p50: seconds[Math.floor(CLIENTS / 2)]!, longest: seconds.at(-1)! }
}

describe('the queue of hashes under a thousand guesses a second, with ten hashes a second', () => {
  const own = (n: number) => ({ address: `home ${n}`, account: `owner ${n}` })

  it.each([
    [1, 1],
    [1, 1_000],
    [20, 100],
    [100, 1],
    [100, 1_000],
  ])('serves who never logged in before soon: %d addresses guess at %d accounts', async (addresses, accounts) => {
    const { count, p50, longest } = await underAttack(addresses, accounts, own)
    expect(count).toBe(CLIENTS)
    expect(p50).toBeLessThanOrEqual(0.5)
    expect(longest).toBeLessThanOrEqual(1)
  })

  it('does so, though later, where each guess comes from a new address', async () => {
    const { longest } = await underAttack(1_000_000, 100, own)
    expect(longest).toBeLessThan(5)
  })

  it.each([1, 100])('does so, though later, where all share the address of a proxy: %d accounts', async accounts => {
    const { longest } = await underAttack(1, accounts, n => ({ address: 'a0', account: `owner ${n}` }))
    expect(longest).toBeLessThan(5)
  })

  it('does so, though later, for the owners of the very accounts that are guessed at', async () => {
    const { longest } = await underAttack(100, 1_000, n => ({ address: `home ${n}`, account: `u${n}` }))
    expect(longest).toBeLessThan(5)
  })

  it('lets nobody wait for ever, whatever others come', async () => {
    const simulation = new Simulation()
    const noisy = Array.from({ length: 20 }, (_, n) => ({ address: `a${n}`, account: `u${n}` }))
    for (let round = 0; round < 10; round++) for (const origin of noisy) void simulation.ask(origin.address, origin)
    for (let turn = 0; turn < 8 * noisy.length; turn++) {
      for (const n of [0, 1]) void simulation.ask('newcomer', own(2 * turn + n))
      await simulation.finish()
    }
    simulation.close()
    for (const { address } of noisy) expect(simulation.begun).toContain(address)
    expect(simulation.begun.filter(name => name === 'newcomer').length).toBeGreaterThan(100)
  })
})

describe('Demand', () => {
  it('remembers who has asked within the last ten thousand, and nobody beyond the last twenty thousand', () => {
    const demand = new Demand()
    const others = (count: number) => {
      for (let n = 0; n < count; n++) demand.count(`other ${n}`)
    }
    expect([demand.count('a'), demand.count('a'), demand.count('b')]).toEqual([1, 2, 1])
    others(9_999)
    expect(demand.count('a')).toBe(3)
    others(19_999)
    expect(demand.count('a')).toBe(1)
  })
})
