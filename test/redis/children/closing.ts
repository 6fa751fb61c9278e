import { createRedisStore } from '../../../src/redis/index.js'

/**
 * Brings stores into every state in turn and closes them there, then ends. The process must exit by itself, and say
 * nothing: it names the states that leave something open. Arguments: a URL, and the port of a line that is frozen.
 */
const [url, frozenPort] = process.argv.slice(2) as [string, string]
const frozen = `redis://127.0.0.1:${frozenPort}`
const key = { mountpoint: '', clientId: 'closing', username: 'u' }
const record = { passhash: '$2a$04$x', publishAcl: [], subscribeAcl: [] }
const options = { heartbeatMs: 50, commandTimeoutMs: 60_000, heartbeatTimeoutMs: 60_000, connectTimeoutMs: 60_000 }

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise(setImmediate)
}
const isConnected = (): boolean => {
  const open = process.getActiveResourcesInfo()
  return open.includes('TCPSocketWrap') && !open.includes('TCPConnectWrap')
}
const ignore = (call: Promise<unknown>): void => void call.catch(() => {})

const states: Record<string, () => Promise<void>> = {
  unused: () => createRedisStore(url, options).close(),
  'after a read': async () => {
    const store = createRedisStore(url, options)
    await store.get(key)
    await store.close()
  },
  'while live': async () => {
    const store = createRedisStore(url, options)
    await new Promise<void>(resolve => {
      store.watch(event => {
        if (event.type === 'link') resolve()
      })
    })
    await store.close()
  },
  'while the link is being set up': async () => {
    for (let turns = 0; turns < 20; turns++) {
      const store = createRedisStore(url, options)
      store.watch(() => {})
      for (let n = 0; n < turns; n++) await new Promise(setImmediate)
      await store.close()
    }
  },
  'while calls are under way': async () => {
    const store = createRedisStore(url, options)
    for (let n = 0; n < 20; n++) {
      ignore(store.get(key))
      ignore(store.put(key, record))
      ignore(store.put(key, record, { ifMatch: null }))
      ignore(store.scan()[Symbol.asyncIterator]().next())
    }
    await until(isConnected)
    await store.close()
  },
  'while connecting to nobody': async () => {
    const store = createRedisStore('redis://127.0.0.1:1', options)
    let isTold = false
    store.watch(event => {
      isTold ||= event.type === 'error'
    })
    ignore(store.get(key))
    await until(() => isTold)
    await store.close()
  },
  'while a frozen line is being opened': async () => {
    const store = createRedisStore(frozen, options)
    store.watch(() => {})
    ignore(store.get(key))
    await until(isConnected)
    await store.close()
  },
  'after the watch has ended': async () => {
    const store = createRedisStore(url, options)
    await new Promise<void>(resolve => {
      const stop = store.watch(event => {
        if (event.type !== 'link') return
        stop()
        resolve()
      })
    })
    await store.close()
  },
}

/** Pipes are those to the parent, and files are read by what loads this one; stores open neither. */
const openNow = (): string[] =>
  process
    .getActiveResourcesInfo()
    .filter(kind => !/Pipe|TTY|FSReq|CloseReq/.test(kind))
    .sort()
/** What is open a few turns of the event loop later: sockets that were destroyed are gone then. */
const openSoon = async (): Promise<string> => {
  for (let n = 0; n < 5; n++) await new Promise(setImmediate)
  return openNow().join()
}
const openBefore = await openSoon()
for (const [state, enter] of Object.entries(states)) {
  await enter()
  const left = await openSoon()
  if (left !== openBefore) process.stdout.write(`${state}: ${left}\n`)
}
