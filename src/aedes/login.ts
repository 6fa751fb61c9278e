import { AsyncResource } from 'node:async_hooks'
import { denied } from '../acl/rule.js'
import type { DenyReason } from '../acl/types.js'
import type { ConnectRequest, Session } from '../authorizer/types.js'
import { type Batched, Batches } from './batches.js'
import type { BrokerClient, Callback, Connect, Hooks, Message } from './broker.js'
import { consult } from './consult.js'
import type { Context } from './context.js'
import type { Enforcer } from './enforce.js'
import type { MaybePromise } from './maybe-promise.js'
import type { Member } from './members.js'
import { factsOf } from './message.js'
import { refusal } from './refusal.js'
import { dropFilters } from './stored.js'
import { isUncovered, judgePublish } from './verdict.js'
import { stampWill } from './will.js'

/** Keeps the CONNECT packet for `authenticate`, and makes an answer that aedes would ignore an error. */
export function preConnectHook(context: Context): Hooks['preConnect'] {
  return (client, packet, callback) => {
    if (context.asked.has(packet)) return callback(null, true)
    context.members.expect(client, packet)
    const guest = context.guests.preConnect
    if (guest === undefined) return callback(null, true)
    context.asked.add(packet)
    consult({
      ask: done => guest.call(context.broker, client, packet, done),
      // With `false` and no error the socket would stay open for good.
      done: ({ error, value }) => {
        if (error === undefined && value === true) callback(null, true)
        else {
          context.members.expected(client)
          callback(toError(error, 'preConnect'))
        }
      },
      fault: error => context.fault(error, 'preConnect'),
      deadlineMs: context.settings.deadlineMs,
    })
  }
}

/** Logs clients in. Answers once, at the deadline at the latest. */
export function authenticateHook(context: Context, enforcer: Enforcer): Hooks['authenticate'] {
  const batches = new Batches<Attempt>()
  return (client, username, password, callback) => {
    if (context.asked.has(client)) return callback(null, true)
    batches.add(new Attempt(context, enforcer, { client, username, password }, callback))
  }
}

/** What a client presents itself with. */
interface Credentials {
  readonly client: BrokerClient
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
}

/**
 * One CONNECT. Judged within one turn where all it takes is known: nothing is then set up for the time it might take.
 */
class Attempt extends AsyncResource implements Batched {
  readonly #context: Context
  readonly #enforcer: Enforcer
  readonly #credentials: Credentials
  readonly #callback: Callback<boolean>
  /** Without it the client came before `protect`, or around it. */
  readonly #connect: Connect | undefined
  #isAnswered = false
  #controller: AbortController | undefined
  /** Of an attempt that has to wait. */
  #stopWaiting: (() => void) | undefined

  constructor(context: Context, enforcer: Enforcer, credentials: Credentials, callback: Callback<boolean>) {
    super('MqttWardenLogin')
    this.#context = context
    this.#enforcer = enforcer
    this.#credentials = credentials
    this.#callback = callback
    this.#connect = context.members.expected(credentials.client)
  }

  run(): void {
    // It may have gone while it waited for its batch.
    const refused = this.#credentials.client.closed ? refusal('closed') : this.#logIn()
    if (refused instanceof Promise) void this.#answerLater(refused)
    else this.#answer(refused)
  }

  async #answerLater(refused: Promise<Error | undefined>): Promise<void> {
    this.#wait()
    this.#answer(await refused.catch((error: unknown) => this.#failed(error)))
  }

  #wait(): void {
    const { client, username } = this.#credentials
    const timer = setTimeout(() => {
      reportDeadline(this.#context, client, username)
      this.#giveUp('deadline')
    }, this.#context.settings.deadlineMs).unref()
    const hangUp = () => this.#giveUp('closed')
    client.conn.once('close', hangUp)
    this.#stopWaiting = () => {
      clearTimeout(timer)
      client.conn.off('close', hangUp)
    }
  }

  #giveUp(reason: DenyReason): void {
    this.#answer(refusal(reason))
    this.#controller?.abort()
  }

  #answer(refused: Error | undefined): void {
    if (this.#isAnswered) return
    this.#isAnswered = true
    const { broker } = this.#context
    const { client } = this.#credentials
    this.#stopWaiting?.()
    this.#callback(refused ?? null, refused === undefined)
    // aedes forgets a client whose login ends after the broker was closed, with its socket open.
    if (broker.closed) client.close()
  }

  /** Answers why the client is refused; then nothing is left of the attempt. */
  #logIn(): MaybePromise<Error | undefined> {
    const { authorizer, isClosed } = this.#context
    if (isClosed || this.#connect === undefined) return refusal('closed')
    try {
      const request = requestOf(this.#context, this.#credentials, this.#connect.will)
      const known = authorizer.authenticateNow(request)
      return known === undefined ? this.#ask(request) : this.#admit(known.session)
    } catch (error) {
      return this.#failed(error)
    }
  }

  async #ask(request: ConnectRequest): Promise<Error | undefined> {
    try {
      const turn = this.#context.turns.take()
      if (turn !== undefined) await turn
      if (this.#isAnswered) return refusal('closed')
      this.#controller = new AbortController()
      const { signal } = this.#controller
      const login = await this.#context.authorizer.authenticate({ ...request, signal })
      return login.allow ? await this.#admit(login.session) : refusal(login.reason)
    } catch (error) {
      return this.#failed(error)
    }
  }

  #failed(error: unknown): Error {
    this.#context.fault(error, 'authenticate')
    return refusal('store_unavailable')
  }

  #admit(session: Session): MaybePromise<Error | undefined> {
    const member = this.#context.members.add(this.#credentials.client, session)
    let refused: MaybePromise<Error | undefined>
    try {
      refused = this.#join(member)
    } catch (error) {
      refused = this.#failed(error)
    }
    return refused instanceof Promise ? this.#admitLater(member, refused) : this.#admitted(member, refused)
  }

  async #admitLater(member: Member, joined: Promise<Error | undefined>): Promise<Error | undefined> {
    this.#context.members.follow(member)
    return this.#admitted(member, await joined.catch((error: unknown) => this.#failed(error)))
  }

  #admitted(member: Member, refused: Error | undefined): Error | undefined {
    const reason = refused ?? this.#endedMeanwhile(member)
    if (reason !== undefined) this.#context.members.end(member)
    return reason
  }

  /** What the broker adds to the judgement of the authorizer, before it loads anything that is stored. */
  #join(member: Member): MaybePromise<Error | undefined> {
    const { session } = member
    const will = this.#connect?.will
    this.#enforcer.follow(member)
    if (will !== undefined) {
      const decision = judgePublish(this.#context, session, will)
      if (!decision.allow) return refusal(decision.reason)
      stampWill(will, session)
    }
    const reason = this.#context.claims.claim({ member, isWanted: () => this.#endedMeanwhile(member) === undefined })
    return reason instanceof Promise ? this.#joinLater(member, reason) : this.#joined(member, reason)
  }

  async #joinLater(member: Member, reason: Promise<DenyReason | undefined>): Promise<Error | undefined> {
    return this.#joined(member, await reason)
  }

  #joined(member: Member, reason: DenyReason | undefined): MaybePromise<Error | undefined> {
    if (reason !== undefined) return refusal(reason)
    if (!member.client.clean) return this.#restore(member)
    return askGuest(this.#context, this.#credentials)
  }

  /** A client that has something stored is let in when nothing is left of it that the rules do not cover. */
  async #restore(member: Member): Promise<Error | undefined> {
    await dropStored(this.#context, member)
    return askGuest(this.#context, this.#credentials)
  }

  #endedMeanwhile({ session }: Member): Error | undefined {
    const { broker, isClosed } = this.#context
    if (session.revokeCause !== undefined) return refusal('revoked')
    const isGone = this.#isAnswered || this.#credentials.client.closed || broker.closed || isClosed
    return isGone ? refusal('closed') : undefined
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

/** Removes stored subscriptions the rules have ceased to cover, before aedes loads them. */
function dropStored(context: Context, { client, session }: Member): Promise<readonly string[]> {
  const { gate, persistence } = context
  return gate.exclusively(client.id, () =>
    dropFilters(persistence, client.id, subscription => isUncovered(context, session, subscription)),
  )
}

function requestOf(
  { settings: { mountpoint } }: Context,
  { client, username, password }: Credentials,
  will: Message | undefined,
): ConnectRequest {
  const place = typeof mountpoint === 'function' ? mountpoint(client) : mountpoint
  if (typeof place !== 'string') throw new TypeError('"mountpoint" option must return a string')
  return {
    mountpoint: place,
    clientId: client.id,
    username,
    password,
    address: () => addressOf(client),
    will: will && { topic: will.topic, ...factsOf(will) },
    provisional: true,
  }
}

function addressOf({ connDetails, req, conn }: BrokerClient): string | undefined {
  return connDetails?.ipAddress ?? req?.socket?.remoteAddress ?? conn.remoteAddress
}

/** Asks the hook found in our place. Its error goes to aedes as it is, with the return code it carries. */
function askGuest(context: Context, { client, username, password }: Credentials): MaybePromise<Error | undefined> {
  const guest = context.guests.authenticate
  if (guest === undefined) return undefined
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
