import { createRedisStore } from './dist/redis.js'
import { createAuthorizer, hashPassword } from './dist/index.js'
import { startRedisServer } from './test/helpers/redis-server.js'
import { Redis } from 'ioredis'
const passhash = await hashPassword('p', { cost: 4 })
const rec = (n = 1) => ({ passhash, publishAcl: Array.from({ length: n }, (_, i) => ({ pattern: `a/${i}` })), subscribeAcl: [] })
const t = async (name: string, f: () => Promise<unknown>) => {
  const b = performance.now()
  try { const r = await f(); console.log(name, '->', JSON.stringify(r)?.slice(0, 420), `${Math.round(performance.now() - b)}ms`) }
  catch (e) { console.log(name, '-> THROW', (e as Error).constructor.name, (e as Error).message.slice(0, 300), `${Math.round(performance.now() - b)}ms`) }
}
const key = { mountpoint: '', clientId: 'c', username: 'u' }
const pause = (ms: number) => new Promise(r => setTimeout(r, ms))
async function scene(name: string, options: string[], f: (x: { admin: Redis; store: any; authorizer: any; server: any; login: () => Promise<unknown> }) => Promise<void>, url = (p: number) => `redis://127.0.0.1:${p}`) {
  console.log('=====', name)
  const server = await startRedisServer(options)
  const admin = new Redis(server.port)
  const store = createRedisStore(url(server.port), { commandTimeoutMs: 1000, heartbeatMs: 200, heartbeatTimeoutMs: 500, nodeName: 'me' })
  const authorizer = createAuthorizer({ store, refusalCapMs: 0, outageGraceMs: 3000, staleWindowMs: 1000 })
  authorizer.on('error', e => console.log('  ERR', e.place, String((e.error as Error).message).slice(0, 260)))
  authorizer.on('link', e => console.log('  LINK', e.state))
  authorizer.on('revoked', e => console.log('  REVOKED', e.cause))
  await Promise.race([authorizer.ready(), pause(2000)])
  const login = () => authorizer.authenticate({ clientId: 'c', username: 'u', password: 'p', address: '1.1.1.1' }).then((r: any) => { if (r.allow) { return 'ALLOW' } return r })
  try { await f({ admin, store, authorizer, server, login }) } catch (e) { console.log('SCENE THROW', e) }
  await authorizer.close(); await store.close(); admin.disconnect(); await server.stop()
}
await scene('OOM', [], async ({ admin, store, login, authorizer }) => {
  await store.put(key, rec())
  await t('login', login)
  await admin.config('SET', 'maxmemory-policy', 'noeviction'); await admin.config('SET', 'maxmemory', '1')
  await pause(1500)
  await t('get', () => store.get(key))
  await t('login', login)
  await t('put', () => store.put(key, rec(2), { receipt: { timeoutMs: 1000 } }))
  await t('delete', () => store.delete(key, { receipt: { timeoutMs: 1000 } }))
  console.log(authorizer.freshness())
  await t('check', async () => (await store.check()).map((f: any) => f.message ?? f))
  await admin.config('SET', 'maxmemory', '0')
  await pause(1500)
  console.log(authorizer.freshness().state)
  await t('login after', login)
})
await scene('MISCONF', ['--save', '1 1', '--stop-writes-on-bgsave-error', 'yes'], async ({ admin, store, login, authorizer }) => {
  await store.put(key, rec()); await t('login', login)
  await admin.config('SET', 'dir', '/proc').catch(e => console.log(e.message))
  await admin.config('SET', 'rdbcompression', 'no')
  await admin.call('BGSAVE').catch(e => console.log('bgsave', e.message))
  await pause(2500)
  await t('put', () => store.put(key, rec(2), { receipt: { timeoutMs: 1000 } }))
  await t('delete', () => store.delete(key, { receipt: { timeoutMs: 1000 } }))
  await t('login', login); console.log(authorizer.freshness().state)
})
await scene('read-only replica', [], async ({ admin, store, login, authorizer }) => {
  await store.put(key, rec()); await t('login', login)
  await admin.call('REPLICAOF', '127.0.0.1', '1')
  await pause(1500)
  await t('get', () => store.get(key))
  await t('put', () => store.put(key, rec(2), { receipt: { timeoutMs: 1000 } }))
  await t('delete', () => store.delete(key, { receipt: { timeoutMs: 1000 } }))
  await t('login', login); console.log(authorizer.freshness().state, authorizer.freshness().ageMs)
  await admin.call('REPLICAOF', 'NO', 'ONE')
  await pause(1500)
  await t('login', login); console.log(authorizer.freshness().state)
})
await scene('ACL none', [], async ({ admin, store, login }) => {
  await admin.set('["","c","u"]', JSON.stringify({ passhash, publish_acl: [] }))
  await t('get', () => store.get(key)); await t('login', login)
  await t('put', () => store.put(key, rec(2), { receipt: { timeoutMs: 1000 } }))
}, p => `redis://nobody:nopw@127.0.0.1:${p}`)
process.exit(0)
