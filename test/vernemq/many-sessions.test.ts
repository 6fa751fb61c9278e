import { expect, it, onTestFinished } from 'vitest'
import { createAuthorizer, createMemoryStore } from '../../src/index.js'
import { enforceOnVernemq, type VernemqAdmin, type VernemqSession } from '../../src/vernemq/index.js'
import { eventually } from '../helpers/eventually.js'
import { allows } from './scene.js'
import { keyOf, plainHasher } from './support.js'

const SESSIONS = 1_000

/** An administration that has very many sessions, lists them at once, and never finishes reauthorizing one. */
function openSlow() {
  const reauthorizing: string[] = []
  const cut: string[] = []
  const many: VernemqSession[] = Array.from({ length: SESSIONS }, (_, number) => keyOf(`c${number}`))
  const admin: VernemqAdmin = {
    nodes: ['http://127.0.0.1:1'],
    timeoutMs: 1_000,
    clearCache: async () => {},
    clusterSize: async () => 1,
    sessions: async of => (of === undefined ? many : [keyOf('guest', of.username)]),
    disconnect: async ({ clientId }) => void cut.push(clientId),
    reauthorize: ({ clientId }) => {
      reauthorizing.push(clientId)
      return new Promise(() => {})
    },
  }
  const store = createMemoryStore([
    [keyOf('*'), allows(['a'])],
    [keyOf('*', 'u2'), allows(['a'])],
    [keyOf('c3'), allows(['a'])],
  ])
  const authorizer = createAuthorizer({ store, hasher: plainHasher })
  onTestFinished(() => authorizer.close())
  const enforcement = enforceOnVernemq(authorizer, admin)
  onTestFinished(() => enforcement.close())
  return { store, authorizer, enforcement, reauthorizing, cut }
}

it('Sessions found at the start are verified a few at a time, and no change waits until all of them are', async () => {
  const { store, enforcement, reauthorizing, cut } = openSlow()
  await eventually(() => reauthorizing.length === 8, 'the first sessions are being verified')
  expect(enforcement.freshness().pending).toBe(SESSIONS)
  await store.delete(keyOf('c3'))
  expect(cut).toEqual(['c3'])
  await store.delete(keyOf('*', 'u2'))
  expect([cut, reauthorizing.length]).toEqual([['c3', 'guest'], 8])
})

it('Clients that come back to stored subscriptions keep no change waiting either', async () => {
  const { store, authorizer, enforcement, reauthorizing, cut } = openSlow()
  await eventually(() => reauthorizing.length === 8, 'the first sessions are being verified')
  for (let number = 0; number < 100; number++) {
    const found = await authorizer.access(keyOf(`d${number}`))
    if (found.allow) enforcement.loggedIn(found.access, true)
  }
  expect(enforcement.freshness().pending).toBe(SESSIONS + 100)
  await store.delete(keyOf('c3'))
  expect(cut).toEqual(['c3'])
})

it('A session whose rights cannot be found out is cut with those that the record decides for', async () => {
  const { store, authorizer, cut } = openSlow()
  authorizer.access = () => Promise.reject(new Error('no answer'))
  await store.delete(keyOf('*', 'u2'))
  expect(cut).toEqual(['guest'])
})
