import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { HashPool } from '../../src/password/pool.js'

const timeoutMs = 15_000
const worker = (name: string): URL => new URL(`./workers/${name}.js`, import.meta.url)

const opened: HashPool[] = []
function open(options: Partial<ConstructorParameters<typeof HashPool>[0]>): HashPool {
  const pool = new HashPool({ threads: 1, queue: 10, worker: worker('scripted'), ...options })
  opened.push(pool)
  return pool
}
afterEach(() => Promise.all(opened.splice(0).map(pool => pool.close())))

const ask = (pool: HashPool, password: string, limit = timeoutMs): Promise<string> =>
  pool.run({ password, salt: 'answer' }, { timeoutMs: limit })

/** How far each thread of this process stands back, where the system has such a value for threads. */
function niceOfThreads(): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc/self/task').map(thread => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
  })
}

describe('HashPool', () => {
  it('has its threads, and no others, give way to the event loop', async () => {
    const before = niceOfThreads()
    await ask(open({}), '')
    const added = niceOfThreads().filter(nice => nice > Math.max(...before))
    expect(added.length).toBe(process.platform === 'linux' ? 1 : 0)
  })

  it('serves in order of arrival', async () => {
    const pool = open({})
    const order: number[] = []
    await Promise.all([0, 1, 2, 3].map(n => ask(pool, '').then(() => order.push(n))))
    expect(order).toEqual([0, 1, 2, 3])
  })

  it('keeps no password in a thread that has hashed it, as a dump of its memory shows', async () => {
    const pool = open({ worker: worker('searched') })
    const secret = randomBytes(12).toString('hex')
    const hash = await pool.run({ password: secret, salt: '$2a$04$.UVQgAlmBYmHL4T0EGEq9u' }, { timeoutMs })
    expect(hash).toHaveLength(60)
    const found = await ask(pool, `search ${Buffer.from(secret).toString('hex')}`)
    expect(JSON.parse(found)).toEqual({ control: true, secret: false })
  })

  it('fails everything, and says why, when its module throws while loading', async () => {
    const pool = open({ threads: 2, worker: worker('fails-to-load') })
    const calls = [1, 2, 3].map(() => ask(pool, ''))
    for (const call of calls) {
      await expect(call).rejects.toMatchObject({
        name: 'HashFailed',
        code: 'ERR_HASH_FAILED',
        message: 'hashing thread could not start',
        cause: { message: 'told to fail' },
      })
    }
    expect(pool.stats()).toEqual({ running: 0, queued: 0 })
  })

  it('fails anew with each call while its module is missing', async () => {
    expect(existsSync(worker('missing'))).toBe(false)
    const pool = open({ worker: worker('missing') })
    for (let call = 0; call < 2; call++) {
      await expect(ask(pool, '')).rejects.toMatchObject({
        code: 'ERR_HASH_FAILED',
        cause: { code: 'ERR_MODULE_NOT_FOUND' },
      })
    }
  })

  it('answers at the deadline when its module never finishes loading', async () => {
    const pool = open({ worker: worker('never-loads') })
    const calls = [1, 2].map(() => ask(pool, '', 50))
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'ERR_HASH_TIMEOUT' })
  })

  it('fails only the hash whose thread died, and goes on with another thread', async () => {
    const pool = open({})
    const calls = [ask(pool, 'exit'), ask(pool, ''), ask(pool, 'throw'), ask(pool, '')]
    await expect(calls[0]).rejects.toMatchObject({
      message: 'hashing thread failed',
      cause: { message: 'worker exited with code: 3' },
    })
    expect(await calls[1]).toBe('answer')
    await expect(calls[2]).rejects.toMatchObject({ code: 'ERR_HASH_FAILED', cause: { message: 'told to throw' } })
    expect(await calls[3]).toBe('answer')
  })

  it('computes nothing for those who left while waiting', async () => {
    const pool = open({})
    const first = ask(pool, 'sleep 50')
    const left = ask(pool, 'exit', 1)
    const last = ask(pool, '')
    await expect(left).rejects.toMatchObject({ code: 'ERR_HASH_TIMEOUT' })
    expect(await Promise.all([first, last])).toEqual(['answer', 'answer'])
  })

  it('replaces a thread that does not answer', async () => {
    const pool = open({ lostMs: 1 })
    await expect(ask(pool, 'hang', 200)).rejects.toMatchObject({ code: 'ERR_HASH_TIMEOUT' })
    expect(pool.stats()).toEqual({ running: 1, queued: 0 })
    expect(await ask(pool, '')).toBe('answer')
  })

  it('ends threads that have nothing to do, and starts new ones when there is', async () => {
    const pool = open({ idleMs: 10 })
    for (let round = 0; round < 2; round++) {
      const started = once(process, 'worker') as Promise<[Worker]>
      expect(await ask(pool, '')).toBe('answer')
      const [thread] = await started
      await once(thread, 'exit')
    }
  })

  it('ends threads that hang when it is closed', async () => {
    const pool = open({})
    const call = ask(pool, 'hang')
    const closed = pool.close()
    await expect(call).rejects.toMatchObject({ message: 'hasher was closed' })
    await closed
    await expect(ask(pool, '')).rejects.toMatchObject({ code: 'ERR_HASH_FAILED' })
  })
})
