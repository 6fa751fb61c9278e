import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/errors.js'
import { encodeRecordKey } from '../../src/record/index.js'
import { key } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { startImpostor } from '../helpers/impostor.js'
import { startRedisServer } from '../helpers/redis-server.js'
import { Heard, Stores, textOf } from './support.js'

const KEY = key('1528361231', '101')

const stores = new Stores()

afterEach(() => stores.close())

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`

describe('a server that is not what it should be', () => {
  const SUBSCRIBED = `*3\r\n${bulk('subscribe')}${bulk('mqtt-warden:#')}:1\r\n`
  const READER = { 'client id': ':7\r\n', subscribe: SUBSCRIBED, set: '-NOPERM no\r\n' }

  it.each([
    ['knows no CLIENT TRACKING', { 'client id': ':7\r\n', 'client tracking': '-ERR unknown\r\n' }],
    ['answers everything alike', {}],
    ['answers with something that is no reply', { 'client id': 'HTTP/1.1 400 Bad Request\r\n' }],
    ['does not list the connection', { ...READER, 'client list': '$-1\r\n' }],
    ['lists another connection', { ...READER, 'client list': bulk('id=8 flags=PtB redir=8') }],
    ['does not track any more', { ...READER, 'client list': bulk('id=7 flags=P redir=-1') }],
    ['tracks, but not all keys', { ...READER, 'client list': bulk('id=7 flags=Pt redir=7') }],
    ['has lost where to send', { ...READER, 'client list': bulk('id=7 flags=PtBR redir=7') }],
    ['sends elsewhere', { ...READER, 'client list': bulk('id=7 flags=PtB redir=9') }],
  ])('leaves the link blind when it %s', async (_, answers) => {
    const impostor = await startImpostor(answers)
    const store = stores.create({ port: impostor.port, host: '127.0.0.1' })
    const heard = new Heard(store)
    await heard.until('the reason is told', () => heard.count('error') > 0)
    expect(store.stats()).toMatchObject({ state: 'blind', beats: 0 })
    await expect(store.get(KEY)).rejects.toThrow(StoreUnavailable)
    await stores.close()
    impostor.close()
  })

  it.each([
    ['a number in place of the value', { getrange: ':1\r\n', pttl: ':-2\r\n' }],
    ['nothing in place of the value', { getrange: '$-1\r\n', pttl: ':-2\r\n' }],
    ['a list in place of the value', { getrange: '*0\r\n', pttl: ':-2\r\n' }],
    ['a text in place of the time that is left', { getrange: bulk('{}'), pttl: bulk('-2') }],
    ['nothing in place of the time that is left', { getrange: bulk('{}'), pttl: '$-1\r\n' }],
  ])('is not believed to have no record when it answers a read with %s', async (_, answers) => {
    const impostor = await startImpostor(answers)
    const store = stores.create({ port: impostor.port, host: '127.0.0.1' })
    await expect(store.get(KEY)).rejects.toThrow(StoreUnavailable)
    await stores.close()
    impostor.close()
  })

  it.each(['READONLY', 'NOREPLICAS'])('is not believed what it reads when it refuses a write with %s', async code => {
    const impostor = await startImpostor({ set: `-${code} no\r\n`, getrange: bulk('{}'), pttl: ':-1\r\n' })
    const store = stores.create({ port: impostor.port, host: '127.0.0.1' })
    await expect(store.get(KEY)).rejects.toThrow(StoreUnavailable)
    await stores.close()
    impostor.close()
  })

  it('is believed when it shows that it tracks, as the cases above would be', async () => {
    const impostor = await startImpostor({ ...READER, 'client list': bulk('id=7 flags=PtB redir=7') })
    await new Heard(stores.create({ port: impostor.port, host: '127.0.0.1' })).live()
    await stores.close()
    impostor.close()
  })
})

describe('a server that sentinels name before it is the master', () => {
  it('is not believed what it reads until it says that it is, by those as well who may write nothing', async () => {
    const named = await startRedisServer()
    const admin = new Redis(named.port)
    await admin.set(encodeRecordKey(KEY), textOf('old'))
    await admin.call('ACL', 'SETUSER', 'reader', 'on', '>pw', '~\\["*', '+ping', '+info', '+getrange', '+pttl')
    await admin.replicaof('127.0.0.1', '1')
    const address = `*2\r\n${bulk('127.0.0.1')}${bulk(String(named.port))}`
    const sentinel = await startImpostor({ 'sentinel get-master-addr-by-name': address })
    const sentinels = [{ port: sentinel.port, host: '127.0.0.1' }]
    const store = stores.create({ sentinels, name: 'records', username: 'reader', password: 'pw' })
    await expect(store.get(KEY)).rejects.toThrow(`redis is not available: 127.0.0.1:${named.port} is not a master yet`)
    await admin.replicaof('NO', 'ONE')
    const read = () => store.get(KEY).catch(() => undefined)
    await eventually(async () => (await read())?.publishAcl[0]?.pattern === 'old', 'it is believed')
    await stores.close()
    sentinel.close()
    admin.disconnect()
    await named.stop()
  })
})
