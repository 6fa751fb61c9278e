import { createAuthorizer, createMemoryStore, hashPassword } from 'mqtt-warden'
import { expect, it } from 'vitest'
import { Metrics } from '../../src/cli/serve/metrics.js'
import { eventually } from '../helpers/eventually.js'

it('counts throttled logins, shared hashes and renewed ones for Prometheus', async () => {
  const key = { mountpoint: '', clientId: 'pump-1', username: 'plant' }
  const record = { passhash: await hashPassword('right', { cost: 4 }), publishAcl: [], subscribeAcl: [] }
  const authorizer = createAuthorizer({
    store: createMemoryStore([[key, record]]),
    throttle: { perPair: { points: 1 } },
    rehash: { cost: 5 },
  })
  const metrics = new Metrics()
  metrics.follow(authorizer)
  const values = async () => {
    const text = await metrics.text()
    return ['logins_throttled', 'hashes_shared', 'rehashed'].map(name =>
      Number(new RegExp(`^mqtt_warden_${name}_total (\\d+)$`, 'm').exec(text)?.[1]),
    )
  }
  try {
    expect(await values()).toEqual([0, 0, 0])
    const connect = (password: string, address: string) => authorizer.authenticate({ ...key, password, address })
    await Promise.all(['a', 'b', 'c'].map(address => connect('right', address)))
    await eventually(async () => (await values())[2] === 1, 'the hash is renewed')
    for (const guess of ['one', 'two', 'three', 'four', 'five']) await connect(guess, 'elsewhere')
    expect(await values()).toEqual([4, 2, 1])
  } finally {
    await authorizer.close()
  }
})
