import { denied } from '../acl/rule.js'
import type { ConnectRequest } from '../authorizer/types.js'
import type { BrokerClient, Hooks, Message } from './broker.js'
import { consult } from './consult.js'
import type { Context } from './context.js'
import type { Enforcer } from './enforce.js'
import type { Member } from './members.js'
import { factsOf } from './message.js'
import { refusal } from './refusal.js'
import { dropFilters } from './stored.js'
import { isUncovered, judgePublish } from './verdict.js'
import { stampWill } from './will.js'

/** One CONNECT. */
interface Attempt {
  readonly client: BrokerClient
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  readonly will: Message | undefined
  readonly enforcer: Enforcer
  /** Aborted when the client hung up, or was answered already because time was up. */
  readonly signal: AbortSignal
}

/** Keeps the CONNECT packet for `authenticate`, and makes an answer that aedes would ignore an error. */
export function preConnectHook(context: Context): Hooks['preConnect'] {
  return (client, packet, callback) => {
    if (context.asked.has(packet)) return callback(null, true)
    context.connects.set(client, packet)
    const guest = context.guests.preConnect
    if (guest === undefined) return callback(null, true)
    context.asked.add(packet)
    consult({
      ask: done => guest.call(context.broker, client, packet, done),
      // With `false` and no error the socket would stay open for good.
      done: ({ error, value }) => {
        if (error === undefined && value === true) callback(null, true)
        else callback(toError(error, 'preConnect'))
      },
      fault: error => context.fault(error, 'preConnect'),
      deadlineMs: context.settings.deadlineMs,
    })
  }
}

/** Logs clients in. Answers once, at the deadline at the latest. */
export function authenticateHook(context: Context, enforcer: Enforcer): Hooks['authenticate'] {
  return (client, username, password, callback) => {
    if (context.asked.has(client)) return callback(null, true)
    const { deadlineMs } = context.settings
    const controller = new AbortController()
    const answer = (refused: Error | undefined): void => {
      if (controller.signal.aborted) return
      controller.abort()
      clearTimeout(timer)
      client.conn.off('close', hangUp)
      callback(refused ?? null, refused === undefined)
      // aedes forgets a client whose login ends after the broker was closed, with its socket open.
      if (context.broker.closed) client.close()
    }
    const timer = setTimeout(() => {
      reportDeadline(context, client, username)
      answer(refusal('deadline'))
    }, deadlineMs).unref()
    const hangUp = (): void => answer(refusal('closed'))
    client.conn.once('close', hangUp)
    const will = context.connects.get(client)?.will
    const { signal } = controller
    void logIn(context, { client, username, password, will, signal, enforcer }).then(answer)
  }
}

/**
 * The authorizer reports its own deadline; this one is of a hook, an owner or a persistence that keeps a login waiting.
 */
function reportDeadline({ authorizer, settings }: Context, { id: clientId }: BrokerClient, username = ''): void {
  const { mountpoint } = settings
  const principal = { mountpoint: typeof mountpoint === 'string' ? mountpoint : '', clientId, username }
  const detail = `the broker's part took more than ${settings.deadlineMs} ms`
  authorizer.refuse({ principal, action: 'connect', decision: denied('deadline'), detail })
}

/** Never rejects. Resolves with why the client is refused; then nothing is left of the attempt. */
async function logIn(context: Context, attempt: Attempt): Promise<Error | undefined> {
  const { authorizer, connects, members } = context
  const { client } = attempt
  let member: Member | undefined
  let refused: Error | undefined
  try {
    // Without its CONNECT the client came before `protect`, or around it.
    if (context.isClosed || !connects.delete(client)) return refusal('closed')
    const login = await authorizer.authenticate(requestOf(context, attempt))
    if (!login.allow) return refusal(login.reason)
    member = members.add(client, login.session)
    refused = (await admit(context, member, attempt)) ?? endedMeanwhile(context, member, attempt)
  } catch (error) {
    context.fault(error, 'authenticate')
    refused = refusal('store_unavailable')
  }
  if (refused !== undefined && member !== undefined) members.end(member)
  return refused
}

/** What the broker adds to the judgement of the authorizer, before it loads anything that is stored. */
async function admit(context: Context, member: Member, attempt: Attempt): Promise<Error | undefined> {
  const { client, session } = member
  const { will } = attempt
  attempt.enforcer.follow(member)
  if (will !== undefined) {
    const decision = judgePublish(context, session, will)
    if (!decision.allow) return refusal(decision.reason)
    stampWill(will, session)
  }
  const reason = await context.claims.claim(member, () => endedMeanwhile(context, member, attempt) === undefined)
  if (reason !== undefined) return refusal(reason)
  if (!client.clean) await dropStored(context, member)
  return askGuest(context, attempt)
}

/** Removes stored subscriptions the rules have ceased to cover, before aedes loads them. */
function dropStored(context: Context, { client, session }: Member): Promise<readonly string[]> {
  const { gate, persistence } = context
  return gate.exclusively(client.id, () =>
    dropFilters(persistence, client.id, subscription => isUncovered(context, session, subscription)),
  )
}

function endedMeanwhile({ broker, isClosed }: Context, { session }: Member, attempt: Attempt): Error | undefined {
  if (session.revokeCause !== undefined) return refusal('revoked')
  const isGone = attempt.signal.aborted || attempt.client.closed || broker.closed || isClosed
  return isGone ? refusal('closed') : undefined
}

function requestOf(context: Context, { client, username, password, will, signal }: Attempt): ConnectRequest {
  const { mountpoint } = context.settings
  const place = typeof mountpoint === 'function' ? mountpoint(client) : mountpoint
  if (typeof place !== 'string') throw new TypeError('"mountpoint" option must return a string')
  const address = client.connDetails?.ipAddress ?? client.req?.socket?.remoteAddress ?? client.conn.remoteAddress
  return {
    mountpoint: place,
    clientId: client.id,
    signal,
    provisional: true,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(address !== undefined && { address }),
    ...(will !== undefined && { will: { topic: will.topic, ...factsOf(will) } }),
  }
}

/** Asks the hook found in our place. Its error goes to aedes as it is, with the return code it carries. */
function askGuest(context: Context, { client, username, password }: Attempt): Promise<Error | undefined> {
  const guest = context.guests.authenticate
  if (guest === undefined) return Promise.resolve(undefined)
  context.asked.add(client)
  return new Promise(resolve => {
    consult({
      ask: done => guest.call(context.broker, client, username, password, done),
      done: ({ error, value }) => {
        context.asked.delete(client)
        resolve(error === undefined && value ? undefined : toError(error, 'authenticate'))
      },
      fault: error => context.fault(error, 'authenticate'),
      deadlineMs: context.settings.deadlineMs,
    })
  })
}

function toError(error: unknown, hook: string): Error {
  if (error === undefined) return new Error(`refused by ${hook}`)
  return error instanceof Error ? error : new Error(String(error))
}
