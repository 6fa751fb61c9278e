/**
 * What VerneMQ makes of a webhook's answer: the rules of its plugin written down anew, so that answers can be judged
 * without a broker. `crash` is a session that is reset, `leak` an answer that grants more than it says.
 */
export type Reading = 'grant' | 'refuse' | 'crash' | 'leak' | 'noted' | { readonly granted: readonly string[] }

const MODIFIERS: Readonly<Record<string, readonly string[]>> = {
  auth_on_register: [],
  auth_on_register_m5: [],
  auth_on_publish: ['topic', 'payload', 'qos', 'retain', 'mountpoint', 'throttle'],
  auth_on_publish_m5: ['topic', 'payload', 'qos', 'retain', 'mountpoint', 'throttle', 'properties'],
  auth_on_subscribe_m5: ['topics'],
  on_unsubscribe_m5: ['topics'],
}

export function asVernemqReads(
  hook: string,
  asked: readonly string[],
  { status, body }: { readonly status: number; readonly body: string },
): Reading {
  if (status !== 200) return 'refuse'
  const answer: unknown = parse(body)
  if (answer === undefined) return 'refuse'
  if (!NEEDS_RESULT.has(hook)) return 'noted'
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return 'crash'
  const { result, modifiers, topics } = answer as Record<string, unknown>
  if (typeof result === 'object' && result !== null) return 'refuse'
  if (result === 'next') return 'refuse'
  if (result !== 'ok') return 'crash'
  if (hook === 'auth_on_subscribe' || hook === 'on_unsubscribe') {
    if (modifiers !== undefined) return 'leak'
    return topics === undefined ? 'grant' : readTopics(hook, asked, topics)
  }
  if (topics !== undefined) return 'leak'
  if (modifiers === undefined) return hook === 'on_auth_m5' ? 'crash' : 'grant'
  return readModifiers(hook, asked, modifiers)
}

/** Hooks for which `{}` is a crash. */
const NEEDS_RESULT: ReadonlySet<string> = new Set([
  ...Object.keys(MODIFIERS),
  ...['auth_on_subscribe', 'on_unsubscribe', 'on_deliver', 'on_deliver_m5', 'on_auth_m5'],
])

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function readModifiers(hook: string, asked: readonly string[], modifiers: unknown): Reading {
  if (typeof modifiers !== 'object' || modifiers === null || Object.keys(modifiers).length === 0) return 'crash'
  const known = MODIFIERS[hook] ?? []
  if (!Object.keys(modifiers).every(name => known.includes(name))) return 'crash'
  const { topics, properties } = modifiers as Record<string, unknown>
  if (properties !== undefined) {
    if (typeof properties !== 'object' || properties === null || Object.keys(properties).length === 0) return 'crash'
    for (const pair of ((properties as Record<string, unknown>).p_user_property ?? []) as object[]) {
      if (Object.keys(pair).join() !== 'key,val') return 'leak'
    }
  }
  return topics === undefined ? 'grant' : readTopics(hook, asked, topics)
}

function readTopics(hook: string, asked: readonly string[], topics: unknown): Reading {
  if (!Array.isArray(topics)) return 'crash'
  // An empty list grants all, and any other count makes a SUBACK that is malformed.
  if (topics.length !== asked.length) return 'leak'
  if (hook.startsWith('on_')) return 'grant'
  const granted: string[] = []
  for (const [index, item] of (topics as { topic: unknown; qos: unknown }[]).entries()) {
    if (typeof item.topic !== 'string') return 'crash'
    if (item.qos === 0 || item.qos === 1 || item.qos === 2) granted.push(asked[index]!)
    else if (item.qos !== 128) return 'leak'
  }
  return { granted }
}
