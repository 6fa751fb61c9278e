import { timingSafeEqual } from 'node:crypto'
import type { EndpointSettings } from './options.js'
import type { EndpointFailure } from './types.js'

/** What a face knows of a request before its body. */
export interface Approach {
  /** Path without the query. */
  readonly path: string
  readonly authorization: string | undefined
  /** Whether the connection showed a client certificate that the server accepts. */
  readonly hasCertificate: boolean
}

/** Longest text that can be compared, in bytes: basic auth of a name and password of 255 bytes each, in base64. */
const MAX_BYTES = 1_024

/** One secret, compared in a time that depends on neither what is given nor its length. */
class Secret {
  readonly #expected: Buffer = Buffer.alloc(MAX_BYTES)
  readonly #given: Buffer = Buffer.alloc(MAX_BYTES)
  readonly #length: number

  constructor(text: string) {
    this.#length = this.#expected.write(text)
  }

  equals(given: string): boolean {
    const length = this.#given.fill(0).write(given)
    return timingSafeEqual(this.#expected, this.#given) && length === this.#length && given.length <= MAX_BYTES
  }
}

const NOT_FOUND: EndpointFailure = { status: 404, problem: 'no such path' }
const UNAUTHORIZED: EndpointFailure = { status: 401, problem: 'basic authentication is wrong or missing' }
const NO_CERTIFICATE: EndpointFailure = { status: 403, problem: 'a client certificate is needed' }

/** Decides who may ask. */
export class Gate {
  readonly #pathSecrets: readonly Secret[]
  readonly #basic: Secret | undefined
  readonly #clientCertificate: boolean

  constructor({ pathSecrets, basic, clientCertificate }: EndpointSettings) {
    this.#pathSecrets = pathSecrets.map(secret => new Secret(secret))
    this.#basic = basic && new Secret(Buffer.from(`${basic.username}:${basic.password}`).toString('base64'))
    this.#clientCertificate = clientCertificate
  }

  /** The path that is left for the adapter, or why the request goes no further. */
  pass({ path, authorization, hasCertificate }: Approach): string | EndpointFailure {
    if (this.#clientCertificate && !hasCertificate) return NO_CERTIFICATE
    if (this.#basic !== undefined && !this.#isBasic(this.#basic, authorization)) return UNAUTHORIZED
    if (this.#pathSecrets.length === 0) return path
    const end = path.indexOf('/', 1)
    const segment = path.slice(1, end === -1 ? undefined : end)
    let known = false
    // All are compared, whichever fits.
    for (const secret of this.#pathSecrets) if (secret.equals(segment)) known = true
    if (!known) return NOT_FOUND
    return end === -1 ? '/' : path.slice(end)
  }

  #isBasic(secret: Secret, authorization: string | undefined): boolean {
    const match = /^basic +([^ ]*) *$/i.exec(authorization ?? '')
    return secret.equals(match?.[1] ?? '')
  }
}
