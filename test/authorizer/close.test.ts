import { spawn } from 'node:child_process'
import { AuthorizerClosed, createAuthorizer, createMemoryStore } from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { deferred } from '../helpers/deferred.js'
import {
  authorizerOf,
  connectOf,
  heard,
  idle,
  keyOf,
  logIn,
  plainHasher,
  reasonOf,
  recordOf,
  SteppedStore,
} from './support.js'

/** Runs a module that imports the built package, and resolves with how it ended. */
function run(source: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      cwd: new URL('../..', import.meta.url),
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
    child.on('error', reject)
    child.on('close', code => resolve({ code, stdout, stderr }))
  })
}

afterEach(() => {
  vi.useRealTimers()
})

describe('ready', () => {
  it('resolves when the watch is live, for all who wait, and at once from then on', async () => {
    const store = new SteppedStore()
    const authorizer = authorizerOf(store)
    const done = vi.fn()
    const waiting = [authorizer.ready().then(done), authorizer.ready().then(done)]
    await store.tell({ type: 'unknown' })
    await store.tell({ type: 'link', state: 'blind', at: Number.NEGATIVE_INFINITY })
    await idle()
    expect(done).not.toHaveBeenCalled()
    await store.tell({ type: 'link', state: 'live', at: 0 })
    await Promise.all(waiting)
    await store.tell({ type: 'link', state: 'blind', at: 0 })
    await authorizer.ready()
  })

  it('rejects with AuthorizerClosed when the authorizer is closed, before or meanwhile', async () => {
    const authorizer = authorizerOf(new SteppedStore())
    const waiting = authorizer.ready()
    const closing = authorizer.close()
    await expect(waiting).rejects.toThrow(AuthorizerClosed)
    await expect(waiting).rejects.toMatchObject({
      code: 'ERR_AUTHORIZER_CLOSED',
      message: 'the authorizer was closed',
    })
    await closing
    await expect(authorizer.ready()).rejects.toThrow(new AuthorizerClosed('the authorizer is closed'))
  })
})

describe('close', () => {
  it('ends every session without cutting its client, and refuses everything from then on', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf()]])
    const authorizer = authorizerOf(store)
    const sessions = [await logIn(authorizer, 'a'), await logIn(authorizer, 'b')]
    const revoked = heard(authorizer, 'revoked')
    await authorizer.close()
    const answers = [
      ...sessions.flatMap(session => [
        session.authorizePublish('a'),
        session.authorizeSubscribe('a'),
        session.authorizeReceive('a'),
      ]),
      await authorizer.authenticate(connectOf('a')),
      await authorizer.verify(connectOf('a')),
      await authorizer.access(keyOf('a')),
      await authorizer.access({ clientId: 'a' }),
      await authorizer.authorizePublish(keyOf('a'), 'a'),
      await authorizer.authorizeSubscribe(keyOf('a'), 'a'),
      await authorizer.authorizeReceive(keyOf('a'), 'a'),
    ]
    expect(answers.map(reasonOf)).toEqual(answers.map(() => 'closed'))
    expect(sessions.some(session => session.revoked.aborted)).toBe(false)
    expect(revoked).toEqual([])
    expect(authorizer.stats()).toMatchObject({ sessions: 0, records: 0, absent: 0, loading: 0, verifiedPasswords: 0 })
  })

  it('leaves the store open, and hears no more of it', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf()]])
    const authorizer = authorizerOf(store)
    const session = await logIn(authorizer, 'c')
    await authorizer.close()
    await store.delete(keyOf('c'))
    expect(await store.get(keyOf('c'))).toBeUndefined()
    expect(session.revoked.aborted).toBe(false)
    expect(session.revoked.aborted).toBe(false)
  })

  it('may be called again, and every call waits for the end', async () => {
    const ending = deferred()
    const hasher = Object.assign(plainHasher(), { close: vi.fn(() => ending.promise) })
    const authorizer = createAuthorizer({ store: createMemoryStore(), hasher })
    const done = vi.fn()
    const closing = [authorizer.close().then(done), authorizer.close().then(done)]
    await idle()
    expect(done).not.toHaveBeenCalled()
    ending.resolve()
    await Promise.all(closing)
    await authorizer.close()
    expect(hasher.close).toHaveBeenCalledTimes(1)
  })

  it.each(['the record is read', 'the password is judged', 'the refusal is held back'])(
    'answers a login with closed at once while %s',
    async stage => {
      // Time stands still: a busy machine must not let the moment of the refusal pass.
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      const clock = createClock()
      const store = new SteppedStore([[keyOf('c'), recordOf()]])
      const hasher = plainHasher()
      if (stage === 'the password is judged') hasher.verify = () => new Promise(() => {})
      const authorizer = createAuthorizer({ store, hasher, clock, refusalCapMs: 60_000, connectTimeoutMs: 60_000 })
      const errors = heard(authorizer, 'error')
      store.isStepped = stage === 'the record is read'
      const logins = [
        authorizer.authenticate(connectOf('c', { password: stage === 'the refusal is held back' ? 'x' : 'pw' })),
        authorizer.verify(connectOf('c', { password: stage === 'the refusal is held back' ? 'x' : 'pw' })),
      ]
      await idle()
      const begin = performance.now()
      await authorizer.close()
      expect((await Promise.all(logins)).map(reasonOf)).toEqual(['closed', 'closed'])
      expect(performance.now() - begin).toBeLessThan(5_000)
      await idle()
      expect(errors).toEqual([])
      expect([...authorizer.sessions()]).toEqual([])
    },
  )

  it('answers a decision under way with closed, and a session being refreshed too', async () => {
    const store = new SteppedStore([[keyOf('c'), recordOf()]])
    const authorizer = createAuthorizer({ store, hasher: plainHasher(), refusalCapMs: 0 })
    const errors = heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    store.isStepped = true
    const told = store.tell({ type: 'changed', key: keyOf('c') })
    const decision = authorizer.authorizePublish(keyOf('c'), 'a')
    await idle()
    await authorizer.close()
    expect(reasonOf(await decision)).toBe('closed')
    expect(reasonOf(session.authorizePublish('a'))).toBe('closed')
    await told
    expect(errors).toEqual([])
  })

  it('is what leaving a block of "await using" does', async () => {
    let session: Awaited<ReturnType<typeof logIn>>
    {
      await using authorizer = createAuthorizer({
        store: createMemoryStore([[keyOf('c'), recordOf()]]),
        hasher: plainHasher(),
      })
      session = await logIn(authorizer, 'c')
      expect(session.authorizePublish('a').allow).toBe(true)
    }
    expect(reasonOf(session.authorizePublish('a'))).toBe('closed')
  })

  it('ends the threads and the rest although the store fails to end its watch', async () => {
    const store = new SteppedStore([[keyOf('c'), recordOf()]])
    store.watch = () => () => {
      throw new Error('broken')
    }
    const hasher = Object.assign(plainHasher(), { close: vi.fn(async () => {}) })
    const authorizer = createAuthorizer({ store, hasher })
    const session = await logIn(authorizer, 'c')
    await expect(authorizer.close()).rejects.toThrow('broken')
    expect(hasher.close).toHaveBeenCalled()
    expect(reasonOf(session.authorizePublish('a'))).toBe('closed')
  })
})

describe('a process with an authorizer', () => {
  it('ends by itself, closed or not, sessions or none', async () => {
    const { code, stdout, stderr } = await run(`
      import { createAuthorizer, createMemoryStore, hashPassword } from 'mqtt-warden'
      const passhash = await hashPassword('pw', { cost: 4 })
      const key = { mountpoint: '', clientId: 'c', username: 'u' }
      const store = createMemoryStore([[key, { passhash, publishAcl: [], subscribeAcl: [] }]])
      const outcomes = []
      for (const isClosed of [false, true]) {
        const authorizer = createAuthorizer({ store })
        await authorizer.ready()
        outcomes.push((await authorizer.authenticate({ clientId: 'c', username: 'u', password: 'pw' })).allow)
        outcomes.push((await authorizer.authenticate({ clientId: 'c', username: 'u', password: 'x' })).allow)
        if (isClosed) await authorizer.close()
      }
      const begin = performance.now()
      process.on('exit', () => console.log(JSON.stringify({ outcomes, waitedMs: performance.now() - begin })))
    `)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { outcomes, waitedMs } = JSON.parse(stdout)
    expect(outcomes).toEqual([true, false, true, false])
    expect(waitedMs).toBeLessThan(4_000)
  })

  it('is not kept alive by what was under way when it was closed', async () => {
    const { code, stdout, stderr } = await run(`
      import { createAuthorizer, createMemoryStore } from 'mqtt-warden'
      const store = createMemoryStore()
      store.getStored = () => new Promise(() => {})
      const authorizer = createAuthorizer({ store, readTimeoutMs: 60_000, connectTimeoutMs: 300_000 })
      const login = authorizer.authenticate({ clientId: 'c', username: 'u', password: 'pw' })
      const decision = authorizer.authorizePublish({ mountpoint: '', clientId: 'd', username: 'u' }, 'a')
      await new Promise(resolve => setImmediate(resolve))
      await authorizer.close()
      const reasons = [(await login).reason, (await decision).reason]
      const begin = performance.now()
      process.on('exit', () => console.log(JSON.stringify({ reasons, waitedMs: performance.now() - begin })))
    `)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { reasons, waitedMs } = JSON.parse(stdout)
    expect(reasons).toEqual(['closed', 'closed'])
    expect(waitedMs).toBeLessThan(4_000)
  })
})
