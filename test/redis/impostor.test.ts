import { afterEach, describe, expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/errors.js'
import { key } from '../contract/record-store.js'
import { startImpostor } from '../helpers/impostor.js'
import { Heard, Stores } from './support.js'

const KEY = key('1528361231', '101')

const stores = new Stores()

afterEach(() => stores.close())

describe('a server that is not what it should be', () => {
  const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
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
    ['a text', '+OK\r\n'],
    ['an empty list', '*0\r\n'],
    ['a number in place of the value', '*2\r\n:1\r\n:-1\r\n'],
    ['no time beside the value', `*2\r\n${bulk('{}')}$-1\r\n`],
  ])('is not believed to have no record when it answers a read with %s', async (_, exec) => {
    const impostor = await startImpostor({ exec })
    const store = stores.create({ port: impostor.port, host: '127.0.0.1' })
    await expect(store.get(KEY)).rejects.toThrow(StoreUnavailable)
    await stores.close()
    impostor.close()
  })

  it.each(['READONLY', 'NOREPLICAS'])('is not believed what it reads when it refuses a write with %s', async code => {
    const impostor = await startImpostor({ set: `-${code} no\r\n`, exec: `*2\r\n${bulk('{}')}:-1\r\n` })
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
