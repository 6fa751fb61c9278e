import type { Qos } from '../acl/types.js'
import { HookRequestInvalid } from '../errors.js'
import type { Hook } from './hooks.js'

/** Who a hook is about. A user name that the CONNECT did not have is `null`. */
export interface UserBody {
  readonly mountpoint: string
  readonly client_id: string
  readonly username: string | null
}

export interface RegisterBody extends UserBody {
  readonly peer_addr: string
  readonly password: string | null
  /** MQTT 3.x. */
  readonly clean_session?: boolean
  /** MQTT 5. */
  readonly clean_start?: boolean
}

export interface PublishBody extends UserBody {
  readonly qos: Qos
  readonly topic: string
  /** Left out by an endpoint with `no_payload`. */
  readonly payload?: string
  readonly retain: boolean
}

/** One filter of a SUBSCRIBE. The last three exist in MQTT 5 only, and not when subscriptions are reauthorized. */
export interface SubscriptionBody {
  readonly topic: string
  readonly qos: Qos
  readonly no_local?: boolean
  readonly rap?: boolean
  readonly retain_handling?: 'send_retain' | 'send_if_new_sub' | 'dont_send'
}

export interface SubscribeBody extends UserBody {
  readonly topics: readonly SubscriptionBody[]
}

export interface UnsubscribeBody extends UserBody {
  readonly topics: readonly string[]
}

/**
 * Checks that a body is what VerneMQ sends for a hook.
 *
 * @throws HookRequestInvalid (`ERR_HOOK_REQUEST_INVALID`) that names the place.
 */
export function checkBody(hook: Hook, body: unknown): void {
  const problem = hook.check(body)
  if (problem !== undefined) throw new HookRequestInvalid(hook.name, problem.at.slice(1), problem.text)
}
