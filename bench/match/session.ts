import { createAuthorizer, type Session } from 'mqtt-warden'
import { acceptAll, createSource } from '../accounts.js'

/** A live session of a client that has a record with these patterns. */
export async function openSession(
  patterns: readonly string[],
  client: { readonly clientId: string; readonly username: string },
): Promise<Session> {
  const rules = patterns.map(pattern => ({ pattern }))
  const store = createSource(() => ({ passhash: '', publishAcl: rules, subscribeAcl: rules }))
  // The bench occupies the process for minutes, in which nothing is heard of the link.
  const day = 86_400_000
  const authorizer = createAuthorizer({ store, hasher: acceptAll, maxAgeMs: day, outageGraceMs: day })
  await authorizer.ready()
  const login = await authorizer.authenticate({ ...client, password: 'any' })
  if (!login.allow) throw new Error(`no session: ${login.reason}`)
  return login.session
}
