// A whole authorizer without Redis: log in, decide, change a right, see it count at once. Needs nothing running.
import { createAuthorizer, createMemoryStore, describeDenial, hashPassword } from 'mqtt-warden'

const key = { mountpoint: '', clientId: 'thermo-7', username: 'plant' }
const record = {
  passhash: await hashPassword('correct horse', { cost: 8 }),
  publishAcl: [{ pattern: 'plant/%c/temp' }],
  subscribeAcl: [{ pattern: 'plant/%c/set' }],
}
await using store = createMemoryStore([[key, record]])
await using authorizer = createAuthorizer({ store })
authorizer.on('denied', event => console.log(describeDenial(event)))

const login = await authorizer.authenticate({ clientId: 'thermo-7', username: 'plant', password: 'correct horse' })
if (!login.allow) throw new Error(login.reason)
const { session } = login
console.log(session.authorizePublish('plant/thermo-7/temp').allow) // true
console.log(session.authorizePublish('plant/thermo-8/temp').allow) // false, and one line says why

// The session is connected all the while. Once `put` has resolved, it decides by the new record.
await store.put(key, { ...record, publishAcl: [] })
console.log(session.authorizePublish('plant/thermo-7/temp').allow) // false

// Without its record it is cut: the adapter of a broker closes the connection here.
await store.delete(key)
console.log(session.revoked.aborted, session.revoked.reason) // true deleted
