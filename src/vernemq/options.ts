import { ENDPOINT_OPTION_NAMES, type EndpointOptions } from '../endpoint/index.js'
import { booleanOption, checkNames, integerOption } from '../options.js'
import type { VernemqEnforcement } from './types.js'

/** Options of `createWebhookHandler`. Those of the endpoint (limits, who may ask) concern the faces, not `handle`. */
export interface WebhookOptions extends Omit<EndpointOptions, 'fail'> {
  /**
   * Whether the endpoint exchanges payloads in base64; must be what VerneMQ's own `base64encode` of the endpoint is.
   *
   * @default true
   */
  readonly base64encode?: boolean
  /**
   * What happens to a SUBSCRIBE of MQTT 5 of which only some filters are allowed. `never` refuses the whole packet,
   * which is safe on every version. `v2.2` refuses single filters: only for clusters of VerneMQ 2.2.0 and later, since
   * 2.1 resets the session. MQTT 3.x is always answered filter by filter.
   *
   * @default 'never'
   */
  readonly perTopicDenial?: 'never' | 'v2.2'
  /**
   * How long VerneMQ may repeat a grant by itself, in seconds, 1 to 86,400; `0` asks every time. Needs `enforcement`,
   * which clears VerneMQ's caches when a right ends; left out while it cannot. Never longer than the record has to
   * live, and never for a topic with a rule of `max_payload_size`, since VerneMQ repeats a grant for any payload.
   *
   * @default 0
   */
  readonly cacheSeconds?: number
  /** What `enforceOnVernemq` returned: told of what is granted, and asked before anything is cached. */
  readonly enforcement?: VernemqEnforcement
}

/** Options with every default filled in. */
export interface WebhookSettings {
  readonly base64encode: boolean
  readonly perTopicDenial: 'never' | 'v2.2'
  readonly cacheSeconds: number
  readonly enforcement: VernemqEnforcement | undefined
}

const NAMES: ReadonlySet<string> = new Set([
  ...ENDPOINT_OPTION_NAMES.filter(name => name !== 'fail'),
  ...['base64encode', 'perTopicDenial', 'cacheSeconds', 'enforcement'],
])

/**
 * Checks options and fills in defaults.
 *
 * @throws TypeError that names the option.
 */
export function resolveWebhookOptions(options: WebhookOptions): WebhookSettings {
  checkNames(options, NAMES, 'createWebhookHandler')
  const base64encode = booleanOption(options, 'base64encode', true)
  const { perTopicDenial = 'never', enforcement } = options
  if (perTopicDenial !== 'never' && perTopicDenial !== 'v2.2') {
    throw new TypeError('"perTopicDenial" option must be "never" or "v2.2"')
  }
  if (enforcement !== undefined && typeof enforcement?.mayCache !== 'function') {
    throw new TypeError('"enforcement" option must be what enforceOnVernemq returned')
  }
  const cacheSeconds = integerOption(options, 'cacheSeconds', { fallback: 0, min: 0, max: 86_400 })
  if (cacheSeconds > 0 && enforcement === undefined) {
    throw new TypeError(
      '"cacheSeconds" option needs the "enforcement" option: nothing else clears the caches of VerneMQ',
    )
  }
  return { base64encode, perTopicDenial, cacheSeconds, enforcement }
}
