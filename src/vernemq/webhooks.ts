import { denied } from '../acl/rule.js'
import type { Action, Decision, Denied, PublishRule, SubscribeRule } from '../acl/types.js'
import { joinDetail } from '../authorizer/access.js'
import type { Access, AccessGranted, AccessRefused, Authorizer } from '../authorizer/types.js'
import type { EndpointRequest, EndpointResponse } from '../endpoint/index.js'
import { HookRequestInvalid } from '../errors.js'
import {
  checkBody,
  type PublishBody,
  type RegisterBody,
  type SubscribeBody,
  type SubscriptionBody,
  type UnsubscribeBody,
  type UserBody,
} from './body.js'
import { HOOKS, type Hook } from './hooks.js'
import type { WebhookSettings } from './options.js'
import { PayloadLimits, payloadSize } from './payload.js'
import {
  asAsked,
  cachedFor,
  GRANTED,
  type GrantedTopic,
  grantedPublish,
  grantedTopics,
  NOTED,
  notAllowed,
  refused,
  rewritten,
  unsubscribedFrom,
} from './reply.js'

type Answer = EndpointResponse | Promise<EndpointResponse>

/** What a client may do, or why nothing. */
type Found = AccessGranted | AccessRefused

/** Who waits for an answer. */
type Caller = Pick<EndpointRequest, 'signal'>

/** Answers the hooks of one authorizer. */
export class Webhooks {
  readonly #authorizer: Authorizer
  readonly #settings: WebhookSettings
  readonly #limits: PayloadLimits = new PayloadLimits()
  /** What the modifiers of a publish rule become, per version of MQTT. */
  readonly #rewrites: Record<'v3' | 'v5', WeakMap<PublishRule, EndpointResponse>> = {
    v3: new WeakMap(),
    v5: new WeakMap(),
  }

  constructor(authorizer: Authorizer, settings: WebhookSettings) {
    this.#authorizer = authorizer
    this.#settings = settings
  }

  /**
   * Answers at once where what decides is held.
   *
   * @throws HookRequestInvalid for what is no request of VerneMQ's.
   */
  answer(name: string, body: unknown, caller: Caller | undefined): Answer {
    const hook = HOOKS.get(name)
    if (hook === undefined) throw new HookRequestInvalid(name, '', 'is no hook of VerneMQ')
    checkBody(hook, body)
    switch (hook.role) {
      case 'register':
        return this.#register(hook, body as RegisterBody, caller)
      case 'publish':
        return this.#decide(body as PublishBody, found => this.#publish(found, hook, body as PublishBody))
      case 'subscribe':
        return this.#decide(body as SubscribeBody, found => this.#subscribe(found, hook, body as SubscribeBody))
      case 'unsubscribe':
        return this.#decide(body as UnsubscribeBody, found => this.#unsubscribe(found, hook, body as UnsubscribeBody))
      case 'deliver':
        // Delivery cannot be refused here. Without a result the session is reset.
        return GRANTED
      case 'auth': {
        // A plain grant would reset the session.
        const refusal = { ...denied('bad_credentials'), detail: 'enhanced authentication is not offered' }
        return refused(this.#refuse(hook, body as UserBody, 'connect', undefined, refusal))
      }
      case 'note':
        return NOTED
    }
  }

  async #register(hook: Hook, body: RegisterBody, caller: Caller | undefined): Promise<EndpointResponse> {
    const { mountpoint, client_id: clientId, username, password, peer_addr: address } = body
    if (password?.includes('\ufffd')) {
      const detail = `${hook.name}: password holds U+FFFD, which VerneMQ writes for bytes that are not UTF-8`
      const principal = { mountpoint, clientId, username: username ?? '' }
      const decision = denied('bad_credentials')
      return refused(this.#authorizer.refuse({ principal, action: 'connect', decision, address, detail }))
    }
    const outcome = await this.#authorizer.verify({
      mountpoint,
      clientId,
      ...(username !== null && { username }),
      ...(password !== null && { password }),
      address,
      via: hook.name,
      ...(caller !== undefined && { signal: caller.signal }),
    })
    if (!outcome.allow) return refused(outcome)
    const isPersistent = !(body.clean_session ?? body.clean_start)
    this.#settings.enforcement?.loggedIn(outcome.access, isPersistent)
    return this.#cached(GRANTED, outcome.access)
  }

  /** Decides by what the client may do: at once, unless a record has to be read. */
  #decide({ mountpoint, client_id: clientId, username }: UserBody, by: (found: Found) => EndpointResponse): Answer {
    const found = this.#authorizer.access(
      username === null ? { mountpoint, clientId } : { mountpoint, clientId, username },
    )
    return found instanceof Promise ? found.then(by) : by(found)
  }

  #publish(found: Found, hook: Hook, body: PublishBody): EndpointResponse {
    const { topic, qos, retain } = body
    if (!found.allow) return refused(this.#refuse(hook, body, 'publish', topic, found))
    const { access } = found
    const { base64encode } = this.#settings
    const size = this.#limits.has(access.compiled) ? payloadSize(hook.name, body.payload, base64encode) : 0
    const decision = access.compiled.authorizePublish(access.principal, topic, {
      qos,
      retain,
      ...(size !== undefined && { payloadSize: size }),
    })
    if (!decision.allow) return refused(this.#refuse(hook, body, 'publish', topic, decision))
    const response = this.#granted(decision.rule as PublishRule, hook.isV5)
    const seconds = this.#repeatFor(access)
    const mayRepeat = seconds > 0 && !this.#limits.concern(access.compiled, access.principal, topic)
    return mayRepeat ? cachedFor(response, seconds) : response
  }

  #subscribe(found: Found, hook: Hook, body: SubscribeBody): EndpointResponse {
    if (!found.allow) {
      for (const { topic } of body.topics) this.#refuse(hook, body, 'subscribe', topic, found)
      return refused(found)
    }
    const { access } = found
    const topics: GrantedTopic[] = []
    let refusal: Denied | undefined
    let granted = 0
    let isChanged = false
    for (const asked of body.topics) {
      const outcome = this.#judge(hook, asked, access)
      if ('reason' in outcome) {
        this.#refuse(hook, body, 'subscribe', asked.topic, outcome)
        refusal ??= outcome
        topics.push(notAllowed(asked))
      } else {
        granted++
        if (outcome.isChanged) isChanged = true
        topics.push(outcome.topic)
      }
    }
    if (refusal !== undefined && (granted === 0 || !this.#mayDenyTopics(hook))) return refused(refusal)
    const response = refusal === undefined && !isChanged ? GRANTED : grantedTopics(topics, hook.isV5)
    return this.#cached(response, access)
  }

  /** What becomes of one filter: as asked, as a rule rewrites it, or refused. */
  #judge(
    hook: Hook,
    asked: SubscriptionBody,
    { compiled, principal }: Access,
  ): { readonly topic: GrantedTopic; readonly isChanged: boolean } | Denied {
    const decision = compiled.authorizeSubscribe(principal, asked.topic, { qos: asked.qos })
    if (!decision.allow) return decision
    const target = soleTarget(decision)
    if (target === undefined) return { topic: asAsked(asked, hook.isV5), isChanged: false }
    if (target === 'unsupported') return denied('modifiers_unsupported')
    if (target.qos === 128) return { ...denied('no_matching_rule'), nearest: decision.rule }
    return { topic: rewritten(asked, target, hook.isV5), isChanged: true }
  }

  /** Whether the versions of VerneMQ in use refuse single filters without leaking them. */
  #mayDenyTopics({ isV5 }: Hook): boolean {
    return !isV5 || this.#settings.perTopicDenial === 'v2.2'
  }

  /** Rewrites as the SUBSCRIBE was rewritten; unsubscribing is never refused. */
  #unsubscribe(found: Found, hook: Hook, body: UnsubscribeBody): EndpointResponse {
    if (!found.allow) return GRANTED
    const { compiled, principal } = found.access
    const topics = body.topics.map(topic => {
      const decision = compiled.authorizeSubscribe(principal, topic)
      const target = decision.allow ? soleTarget(decision) : undefined
      return typeof target === 'object' && target.qos !== 128 ? target.filter : topic
    })
    const isChanged = topics.some((topic, index) => topic !== body.topics[index])
    return isChanged ? unsubscribedFrom(topics, hook.isV5) : GRANTED
  }

  /** Makes a refusal visible, with the hook's name before what else is known. */
  #refuse(
    { name }: Hook,
    { mountpoint, client_id: clientId, username }: UserBody,
    action: Action,
    subject: string | undefined,
    decision: AccessRefused,
  ): Denied {
    const principal = { mountpoint, clientId, username: username ?? '' }
    const detail = joinDetail(name, decision.detail)!
    const what = { principal, action, decision, detail }
    return this.#authorizer.refuse(subject === undefined ? what : { ...what, subject })
  }

  #granted(rule: PublishRule, isV5: boolean): EndpointResponse {
    if (rule.modifiers === undefined) return GRANTED
    const rewrites = this.#rewrites[isV5 ? 'v5' : 'v3']
    let response = rewrites.get(rule)
    if (response === undefined) {
      response = grantedPublish(rule.modifiers, isV5, this.#settings.base64encode)
      rewrites.set(rule, response)
    }
    return response
  }

  /** Notes a grant, and lets VerneMQ repeat it by itself where it may. */
  #cached(response: EndpointResponse, access: Access): EndpointResponse {
    const seconds = this.#repeatFor(access)
    return seconds > 0 ? cachedFor(response, seconds) : response
  }

  /**
   * Notes a grant. Answers for how many seconds VerneMQ may repeat it by itself: not at all unless its caches can be
   * cleared, and no longer than the record lives.
   */
  #repeatFor(access: Access): number {
    const { enforcement, cacheSeconds } = this.#settings
    if (enforcement === undefined) return 0
    enforcement.observe(access)
    if (cacheSeconds === 0 || !enforcement.mayCache(cacheSeconds)) return 0
    return Math.floor(Math.min(cacheSeconds, access.leftMs / 1_000))
  }
}

/**
 * The filter a rule puts in place of the requested one, if it does. VerneMQ wants one answer per requested filter, so a
 * rule with another number of targets cannot be applied.
 */
function soleTarget(decision: Decision & { allow: true }) {
  const { modifiers } = decision.rule as SubscribeRule
  if (modifiers === undefined) return undefined
  return modifiers.length === 1 ? modifiers[0]! : 'unsupported'
}
