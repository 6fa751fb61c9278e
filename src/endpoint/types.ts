/** One HTTP request, read whole. The faces make it; what answers it never sees Node's or the web's own objects. */
export interface EndpointRequest {
  /** Upper case, e.g. `POST`. */
  readonly method: string
  /** Begins with `/`; without the query, the prefix a framework mounted under, and the path secret. Not decoded. */
  readonly path: string
  /** Without the leading `?`; `''` when there is none. Not decoded. */
  readonly query: string
  /** Value of a header, by its lower-case name. */
  header(name: string): string | undefined
  /** The body's bytes; empty when there is none, or when `parsed` holds it. */
  readonly body: Uint8Array
  /** What a framework in front has already made of the body (`req.body` of Express); left out otherwise. */
  readonly parsed?: unknown
  /** Remote address of the connection; `undefined` where the face cannot know it. */
  readonly address: string | undefined
  /** Aborted when the caller is gone or the time is up: nobody will read the answer. Made on first use. */
  readonly signal: AbortSignal
}

/** What is sent back. `content-length` is added by the face. */
export interface EndpointResponse {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * Answers a request: the one function an adapter writes. It should not throw and should not hang; if it does, the
 * caller gets status 500 or 503, and `onError` hears of it.
 */
export type Respond = (request: EndpointRequest) => EndpointResponse | Promise<EndpointResponse>

/** Why a request is answered without asking {@link Respond}. */
export interface EndpointFailure {
  /**
   * 400 body unusable · 401 basic auth wrong · 403 no client certificate · 404 path secret wrong · 408 body too slow ·
   * 413 body too large · 500 the adapter threw · 503 the adapter too slow, or too many bytes of bodies in memory.
   */
  readonly status: 400 | 401 | 403 | 404 | 408 | 413 | 500 | 503
  /** For people; holds no secret and nothing a client chose. */
  readonly problem: string
}

/**
 * Who may ask. All that is given must hold. What is given as `undefined`, e.g. from a variable of the environment that is
 * not set, is refused: that would be everybody.
 */
export interface EndpointAccess {
  /**
   * First segment of the path, e.g. `http://127.0.0.1:8081/<secret>/…`. 16 to 256 characters of `A-Z a-z 0-9 . _ ~ -`.
   * Of several, any one will do, so that a secret can be changed without a gap. Compared in constant time; a request
   * without it gets 404. Written to access logs by most proxies: prefer `basic` behind one.
   */
  readonly pathSecret?: string | readonly string[]
  /** User name (without `:`) and password of basic authentication. Compared in constant time; otherwise 401. */
  readonly basic?: { readonly username: string; readonly password: string }
  /**
   * Whether the connection must be TLS with a client certificate that the server's `ca` vouches for
   * (`requestCert: true`); otherwise 403. The `fetch` face cannot see certificates and then refuses everything.
   *
   * @default false
   */
  readonly clientCertificate?: boolean
}

/** Limits of an endpoint, and who may ask. */
export interface EndpointOptions extends EndpointAccess {
  /**
   * Largest body, in bytes, 1,024 to 536,870,912. A larger one gets 413 and its connection is closed; if its length is
   * told, before anything is read.
   *
   * @default 1_048_576
   */
  readonly maxBodyBytes?: number
  /**
   * Most bytes of bodies held at the same time by all requests, `maxBodyBytes` to 4,294,967,296. Beyond it requests get
   * 503 and their connection is closed.
   *
   * @default 67_108_864, or `maxBodyBytes` if that is more
   */
  readonly maxPendingBytes?: number
  /**
   * Time from the end of a request's headers to its answer, in milliseconds, 100 to 300,000. Then it gets 408 (the body
   * is still on its way) or 503 (the adapter is still busy).
   *
   * @default 10_000
   */
  readonly timeoutMs?: number
  /**
   * How long the Node face keeps an idle connection open, in milliseconds, 1,000 to 3,600,000, even when the server it
   * is mounted in would close it earlier. Must exceed what the broker's connection pool does (VerneMQ: 60 s): otherwise
   * the broker sends into a connection that is just being closed, and refuses its client.
   *
   * @default 75_000
   */
  readonly keepAliveMs?: number
  /**
   * Makes the answer to a {@link EndpointFailure}, for brokers that read something else than a refusal from a status
   * (EMQX goes on to its next source). By default the failure's status with `{"error":"<problem>"}`.
   */
  readonly fail?: (failure: EndpointFailure) => EndpointResponse
  /**
   * Hears of what failed inside, of requests that break the contract of their broker, and of every
   * {@link EndpointFailure}: those of strangers, who may be many, with a place that ends in `endpoint access`. By default
   * the first of each place becomes one warning of the process. What it throws becomes a warning as well.
   */
  readonly onError?: (error: unknown, place: string) => void
}

/** The faces of one {@link Respond}. */
export interface Endpoint {
  /**
   * Listener of `node:http` and `node:https`: `createServer(endpoint.node)`. Mounts as it is in Express and Connect
   * (`app.use('/vernemq', endpoint.node)`), also behind a body parser, and in Fastify from an `onRequest` hook after
   * `reply.hijack()`. Never throws.
   */
  node(req: import('node:http').IncomingMessage, res: import('node:http').ServerResponse): void
  /** Web-standard face, for servers that speak `Request` and `Response`. Never rejects. */
  fetch(request: Request): Promise<Response>
}
