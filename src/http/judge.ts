import { denied } from '../acl/rule.js'
import type { Action, Decision, Denied, Qos, SubscribeRule } from '../acl/types.js'
import { joinDetail } from '../authorizer/access.js'
import type { Access, AccessGranted, AccessRefused, Authorizer } from '../authorizer/types.js'
import type { HttpSettings } from './options.js'

/** Who a call is about. */
export interface Caller {
  readonly mountpoint: string
  readonly clientId: string
  /** `''` where the client sent none: these brokers cannot tell an empty user name from a missing one. */
  readonly username: string
  readonly address?: string | undefined
}

/** What is asked about a caller. Facts that the broker does not tell are `undefined`. */
export type Question =
  | {
      readonly action: 'publish'
      readonly topic: string
      readonly qos?: Qos | undefined
      readonly retain?: boolean | undefined
    }
  | { readonly action: 'subscribe'; readonly filter: string; readonly qos?: Qos | undefined }
  | { readonly action: 'receive'; readonly topic: string }

/** What a broker has at most. */
export interface BrokerLimits {
  readonly maxQos: Qos
}

/** Reasons that have nothing to do with the client, and may be gone at the next try. */
const FAULTS: ReadonlySet<string> = new Set(['store_unavailable', 'busy', 'deadline', 'closed'])

/** Whether a refusal says that nothing could be decided, rather than that something is not allowed. */
export function isFault({ reason }: Denied): boolean {
  return FAULTS.has(reason)
}

/** Asks the authorizer on behalf of one broker, and makes every refusal visible under the name of the call. */
export class Judge {
  readonly #authorizer: Authorizer
  readonly #worst: { readonly qos: Qos; readonly retain: boolean }

  constructor(authorizer: Authorizer, { unknownFacts }: HttpSettings, { maxQos }: BrokerLimits = { maxQos: 2 }) {
    this.#authorizer = authorizer
    this.#worst = unknownFacts === 'refuse' ? { qos: maxQos, retain: true } : { qos: 0, retain: false }
  }

  /** Judges a login. A client with neither user name nor password is anonymous. */
  login(
    via: string,
    caller: Caller,
    password: string,
    signal: (() => AbortSignal) | undefined,
  ): Promise<AccessGranted | Denied> {
    const { mountpoint, clientId, username, address } = caller
    return this.#authorizer.verify({
      mountpoint,
      clientId,
      ...(username !== '' && { username }),
      ...((username !== '' || password !== '') && { password }),
      ...(address !== undefined && { address }),
      ...(signal !== undefined && { signal: signal() }),
      via,
    })
  }

  /** Looks up a caller whom the broker has logged in. */
  async find(via: string, caller: Caller): Promise<AccessGranted | Denied> {
    const found = await this.#access(caller)
    return found.allow ? found : this.refuse(via, caller, 'connect', undefined, found)
  }

  async decide(via: string, caller: Caller, question: Question): Promise<Decision> {
    const found = await this.#access(caller)
    return this.#decideBy(found, via, caller, question)
  }

  /** The first refusal among several questions about one packet, after a single look-up. */
  async firstRefusal(via: string, caller: Caller, questions: readonly Question[]): Promise<Denied | undefined> {
    const found = await this.#access(caller)
    for (const question of questions) {
      const decision = this.#decideBy(found, via, caller, question)
      if (!decision.allow) return decision
    }
    return undefined
  }

  #decideBy(found: AccessGranted | AccessRefused, via: string, caller: Caller, question: Question): Decision {
    const decision: Decision = found.allow ? this.#ask(found.access, question) : found
    if (decision.allow) return decision
    const detail = isUntold(question, decision) ? 'the broker does not tell the QoS and the retain flag' : undefined
    const refused = detail === undefined ? decision : { ...decision, detail }
    return this.refuse(via, caller, question.action, subjectOf(question), refused)
  }

  /** Makes a refusal visible, with the name of the call before what else is known. */
  refuse(via: string, caller: Caller, action: Action, subject: string | undefined, refused: AccessRefused): Denied {
    const { address, ...principal } = caller
    const { detail: about, ...decision } = refused
    return this.#authorizer.refuse({
      principal,
      action,
      ...(subject !== undefined && { subject }),
      decision,
      ...(address !== undefined && { address }),
      detail: joinDetail(via, about)!,
    })
  }

  async #access({ mountpoint, clientId, username, address }: Caller): Promise<AccessGranted | AccessRefused> {
    return this.#authorizer.access({
      mountpoint,
      clientId,
      ...(username !== '' && { username }),
      ...(address !== undefined && { address }),
    })
  }

  #ask({ compiled, principal }: Access, question: Question): Decision {
    switch (question.action) {
      case 'publish': {
        const { qos = this.#worst.qos, retain = this.#worst.retain } = question
        return unmodified(compiled.authorizePublish(principal, question.topic, { qos, retain }))
      }
      case 'subscribe':
        return unmodified(
          compiled.authorizeSubscribe(principal, question.filter, { qos: question.qos ?? this.#worst.qos }),
        )
      case 'receive':
        return compiled.authorizeReceive(principal, question.topic)
    }
  }
}

/** None of these brokers rewrites what it lets through. */
function unmodified(decision: Decision): Decision {
  if (!decision.allow || (decision.rule as SubscribeRule).modifiers === undefined) return decision
  return { ...denied('modifiers_unsupported'), nearest: decision.rule }
}

function subjectOf(question: Question): string {
  return question.action === 'subscribe' ? question.filter : question.topic
}

/** Whether a limit was missed of which the broker told nothing. */
function isUntold(question: Question, { missed }: Denied): boolean {
  if (question.action === 'receive') return false
  if (missed === 'max_qos') return question.qos === undefined
  return missed === 'retain' && question.action === 'publish' && question.retain === undefined
}
