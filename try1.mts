import { createRedisStore } from './dist/redis.js'
import { createAuthorizer, hashPassword } from './dist/index.js'
import { startRedisServer } from './test/helpers/redis-server.js'
import { Redis } from 'ioredis'
const server = await startRedisServer(['--enable-debug-command','yes'])
const admin = new Redis(server.port)
const store = createRedisStore(server.url, { commandTimeoutMs: 1000, heartbeatMs: 200, nodeName: 'me' })
const authorizer = createAuthorizer({ store, refusalCapMs: 0, outageGraceMs: 3000, staleWindowMs: 1000 })
authorizer.on('error', e => console.log('  ERR', e.place, String((e.error as Error).message).slice(0, 200)))
await authorizer.ready()
const passhash = await hashPassword('p', { cost: 4 })
const rec = (n = 1) => ({ passhash, publishAcl: Array.from({ length: n }, (_, i) => ({ pattern: `a/${i}` })), subscribeAcl: [] })
const t = async (name: string, f: () => Promise<unknown>) => {
  const b = performance.now()
  try { const r = await f(); console.log(name, '->', JSON.stringify(r)?.slice(0, 260), `${Math.round(performance.now() - b)}ms`) }
  catch (e) { console.log(name, '-> THROW', (e as Error).constructor.name, (e as Error).message.slice(0, 220), `${Math.round(performance.now() - b)}ms`) }
}
const login = (clientId: string, username: string, password = 'p') => authorizer.authenticate({ clientId, username, password, address: '1.1.1.1' }).then(r => { if (r.allow) { r.session.close(); return 'ALLOW ' + JSON.stringify(r.session.recordKey) } return r })
for (const id of ['+', '#', '*', '"', '\u0000', 'x'.repeat(65535), 'x'.repeat(65536), 'x'.repeat(70000), '__proto__', '\ud800', 'constructor', '[""]', '\u2028', '']) {
  for (const who of ['client', 'user'] as const) {
    const key = { mountpoint: '', clientId: who === 'client' ? id : 'c', username: who === 'user' ? id : 'u' }
    await t(`put ${who} ${JSON.stringify(id).slice(0, 20)} ${id.length}`, async () => (await store.put(key, rec(), { receipt: { timeoutMs: 2000 } })).receipt?.confirmed)
    await t(`login`, () => login(key.clientId, key.username))
    await t(`delete`, async () => (await store.delete(key, { receipt: { timeoutMs: 2000 } })).receipt)
  }
}
console.log('--- mountpoint'); 
await t('put mp', () => store.put({ mountpoint: 5 as never, clientId: 'a', username: 'b' }, rec()))
await t('put undefined', () => store.put(undefined as never, rec()))
await t('put rec null', () => store.put({ mountpoint: '', clientId: 'a', username: 'b' }, null as never))
await t('put 10000 rules', async () => (await store.put({ mountpoint: '', clientId: 'c', username: 'u' }, rec(10000), { receipt: { timeoutMs: 5000 } })).receipt)
await t('login', () => login('c', 'u'))
await t('put 100000 rules', async () => (await store.put({ mountpoint: '', clientId: 'c', username: 'u' }, rec(100000), { receipt: { timeoutMs: 5000 } })).receipt)
console.log('--- raw values')
const k = '["","c","u"]'
for (const v of ['', '{', 'null', '[]', '"x"', '5', '{}', '{"passhash":5}', `{"passhash":"${passhash}"}`, `{"passhash":"${passhash}","publish_acl":{}}`, `{"passhash":"${passhash}","publish_acl":[null]}`, `{"passhash":"${passhash}","publish_acl":[{"pattern":5}]}`, `{"passhash":"${passhash}","publish_acl":[{"pattern":"a#"}]}`,`{"passhash":"${passhash}","__proto__":{"x":1},"publish_acl":[]}`, '[' .repeat(100000), '{"passhash":' + '"x'.repeat(5) , 'x'.repeat(1_100_000), `{"passhash":"${passhash}","expires_at":"x"}`, `{"passhash":"${passhash}","expires_at":1}`]) {
  await admin.set(k, v)
  await t(`value ${v.slice(0, 40)}`, () => login('c', 'u'))
}
await admin.set(k, Buffer.from([0xff, 0xfe]))
await t('invalid utf8', () => login('c', 'u'))
console.log('--- wrong types')
for (const make of [() => admin.hset(k, 'a', 'b'), () => admin.rpush(k, 'x'), () => admin.sadd(k, 'x'), () => admin.zadd(k, 1, 'x'), () => admin.xadd(k, '*', 'a', 'b')]) {
  await admin.del(k); await make()
  await t('login', () => login('c', 'u'))
  await t('get', () => store.get({ mountpoint: '', clientId: 'c', username: 'u' }))
  await t('put ifMatch null', () => store.put({ mountpoint: '', clientId: 'c', username: 'u' }, rec(), { ifMatch: null }))
  await t('put ifMatch d', () => store.put({ mountpoint: '', clientId: 'c', username: 'u' }, rec(), { ifMatch: 'a'.repeat(64) }))
  await t('delete ifMatch', () => store.delete({ mountpoint: '', clientId: 'c', username: 'u' }, { ifMatch: 'a'.repeat(64) }))
  await t('put', async () => (await store.put({ mountpoint: '', clientId: 'c', username: 'u' }, rec(), { receipt: { timeoutMs: 1000 } })))
  await admin.del(k); await make()
  await t('delete', async () => (await store.delete({ mountpoint: '', clientId: 'c', username: 'u' }, { receipt: { timeoutMs: 1000 } })))
}
await authorizer.close(); await store.close(); admin.disconnect(); await server.stop()
console.log('done')
