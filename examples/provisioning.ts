// Writes, reads, changes and removes records, as a provisioning service would. Uses the Redis at REDIS_URL if that is set
// (it writes two keys of its own there and removes them), otherwise memory.
import { createMemoryStore, encodeRecordKey, hashPassword, RecordConflict, RecordInvalid } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'

const url = process.env.REDIS_URL
await using store = url === undefined ? createMemoryStore() : createRedisStore(url)

const device = { mountpoint: '', clientId: 'example-thermo-7', username: 'example-plant' }
const record = {
  passhash: await hashPassword('correct horse', { cost: 8 }),
  publishAcl: [{ pattern: 'plant/%c/#', maxQos: 1 as const }],
  subscribeAcl: [],
}
const written = await store.put(device, record)
console.log(`wrote ${encodeRecordKey(device)}`)

// One record for all client ids of a username: the client id is then whatever the client says it is.
const fleet = { ...device, clientId: '*' }
await store.put(fleet, { ...record, publishAcl: [{ pattern: 'plant/any/#' }] })

// A change names what it replaces, so that two provisioners cannot overwrite each other unseen.
const changed = await store.put(device, { ...record, publishAcl: [] }, { ifMatch: written.digest })
try {
  await store.put(device, record, { ifMatch: written.digest })
} catch (error) {
  if (!(error instanceof RecordConflict)) throw error
  console.log('somebody else was faster: read the record again, then decide')
}

// A mistake is refused before anything is written, and says where it is.
try {
  await store.put(device, { ...record, publishAcl: [{ pattern: 'plant/#/temp' }] })
} catch (error) {
  if (!(error instanceof RecordInvalid)) throw error
  console.log(error.message) // publishAcl[0].pattern: '#' must be the last level
}

// Removing the exact record would let the device in under the record of its fleet again: remove that first.
await store.delete(fleet)
await store.delete(device, { ifMatch: changed.digest })
for await (const key of store.scan()) {
  if (key.username === device.username) throw new Error(`${encodeRecordKey(key)} is still there`)
}
console.log('removed')
