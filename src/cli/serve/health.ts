import type { Authorizer } from '../../authorizer/index.js'
import { RecordInvalid } from '../../errors.js'
import type { RecordStore } from '../../store/types.js'
import type { Page } from './routes.js'

/** A record that nobody has: reading it proves that records can be read. */
const PROBE = { mountpoint: '', clientId: 'health', username: 'mqtt-warden' }

type State = 'ok' | 'blind' | 'unreachable' | 'stopping'

/** Tells whether the process lives, and whether brokers should be sent to it. */
export class Health {
  readonly #authorizer: Authorizer
  readonly #store: RecordStore
  #probe: Promise<boolean> | undefined
  /** Set when the server stops: whoever balances load then sends no more. */
  isStopping = false

  constructor(authorizer: Authorizer, store: RecordStore) {
    this.#authorizer = authorizer
    this.#store = store
  }

  live(): Page {
    return page('ok')
  }

  async ready(): Promise<Page> {
    if (this.isStopping) return page('stopping')
    if (this.#authorizer.freshness().state !== 'live') return page('blind')
    // One read at a time, however many ask.
    this.#probe ??= this.#read().finally(() => {
      this.#probe = undefined
    })
    return page((await this.#probe) ? 'ok' : 'unreachable')
  }

  async #read(): Promise<boolean> {
    try {
      await this.#store.get(PROBE)
      return true
    } catch (error) {
      return error instanceof RecordInvalid
    }
  }
}

function page(state: State): Page {
  return { status: state === 'ok' ? 200 : 503, type: 'application/json', body: JSON.stringify({ status: state }) }
}
