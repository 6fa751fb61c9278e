import type { Qos } from '../acl/types.js'
import { HookRequestInvalid } from '../errors.js'
import type { Hook, Kind } from './hooks.js'

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

/** Most filters one packet may name; MQTT has no bound of its own. */
const MAX_FILTERS = 10_000
const RETAIN_HANDLING: readonly unknown[] = ['send_retain', 'send_if_new_sub', 'dont_send']
/** How VerneMQ writes a refused filter in what it notes. */
const NOT_ALLOWED = 128

type Report = (path: string, problem: string) => never

/**
 * Checks that a body is what VerneMQ sends for a hook. Members beyond those are ignored: `forward_connection_opts` adds
 * some, and later versions may.
 *
 * @throws HookRequestInvalid (`ERR_HOOK_REQUEST_INVALID`) that names the place.
 */
export function checkBody(hook: Hook, body: unknown): void {
  const report: Report = (path, problem) => {
    throw new HookRequestInvalid(hook.name, path, problem)
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) report('', 'must be an object')
  for (const { name, kind } of hook.fields) {
    const value = Object.hasOwn(body as object, name) ? (body as Record<string, unknown>)[name] : undefined
    const problem = CHECKS[kind](value, name, report)
    if (problem !== undefined) report(name, problem)
  }
}

/** What is wrong with a value; a check of several values reports the place itself. */
type Check = (value: unknown, path: string, report: Report) => string | undefined

const isText: Check = value => (typeof value === 'string' ? undefined : 'must be a string')
const isFlag: Check = value => (typeof value === 'boolean' ? undefined : 'must be true or false')
const isQos: Check = value => (value === 0 || value === 1 || value === 2 ? undefined : 'must be 0, 1 or 2')

const CHECKS: Readonly<Record<Kind, Check>> = {
  text: isText,
  'nullable text': value => (value === null || typeof value === 'string' ? undefined : 'must be a string or null'),
  'optional text': value => (value === undefined || typeof value === 'string' ? undefined : 'must be a string'),
  flag: isFlag,
  qos: isQos,
  port: value =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535
      ? undefined
      : 'must be an integer from 0 to 65535',
  properties: value =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'must be an object',
  filters: (value, path, report) => each(value, path, (item, place) => isText(item, place, report), report),
  subscriptions: (value, path, report) => each(value, path, subscription(isQos, report), report),
  'noted subscriptions': (value, path, report) =>
    each(
      value,
      path,
      subscription((qos, ...rest) => (qos === NOT_ALLOWED ? undefined : isQos(qos, ...rest)), report),
      report,
    ),
}

function each(
  value: unknown,
  path: string,
  check: (item: unknown, place: string) => string | undefined,
  report: Report,
): string | undefined {
  if (!Array.isArray(value)) return 'must be an array'
  if (value.length > MAX_FILTERS) return `must have at most ${MAX_FILTERS} items`
  for (let index = 0; index < value.length; index++) {
    const place = `${path}[${index}]`
    const problem = check(value[index], place)
    if (problem !== undefined) report(place, problem)
  }
  return undefined
}

function subscription(checkQos: Check, report: Report): (item: unknown, place: string) => string | undefined {
  const member = (item: object, place: string, name: string, check: Check) => {
    const value = Object.hasOwn(item, name) ? (item as Record<string, unknown>)[name] : undefined
    const problem = check(value, `${place}.${name}`, report)
    if (problem !== undefined) report(`${place}.${name}`, problem)
  }
  return (item, place) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return 'must be an object'
    member(item, place, 'topic', isText)
    member(item, place, 'qos', checkQos)
    member(item, place, 'no_local', optional(isFlag))
    member(item, place, 'rap', optional(isFlag))
    member(item, place, 'retain_handling', optional(isRetainHandling))
    return undefined
  }
}

const isRetainHandling: Check = value =>
  RETAIN_HANDLING.includes(value) ? undefined : 'must be "send_retain", "send_if_new_sub" or "dont_send"'

function optional(check: Check): Check {
  return (value, ...rest) => (value === undefined ? undefined : check(value, ...rest))
}
