import type { Endpoint, EndpointOptions, EndpointResponse, Respond } from '../endpoint/index.js'

/** Answers a broker that asks over HTTP. The faces differ in how a request comes in, not in what is answered. */
export interface HttpHandler extends Endpoint {
  /**
   * Answers one call, for servers that have taken the request apart themselves. Checks the fields, not who asks. Never
   * rejects.
   *
   * @param call Last segment of the path, e.g. `authentication`.
   * @param fields Fields of the JSON body, form or query.
   */
  handle(call: string, fields: unknown): Promise<EndpointResponse>
  /** Answers one request that has passed the limits of an endpoint, for several adapters behind one port. */
  readonly respond: Respond
}

/** Options that all HTTP handlers have. Those of the endpoint (limits, who may ask) concern the faces, not `handle`. */
export interface HttpHandlerOptions extends Omit<EndpointOptions, 'fail'> {
  /**
   * What the records call the namespace of this broker: first part of every record key.
   *
   * @default ''
   */
  readonly mountpoint?: string
  /**
   * What a rule with `maxQos` or `allowedRetain` does where the broker tells neither QoS nor retain flag: `refuse`
   * takes the QoS for the highest the broker has and the flag for set, `allow` takes both for the least. Payload sizes,
   * which none of these brokers tells, follow `unknownPayloadSize` of the authorizer.
   *
   * @default 'refuse'
   */
  readonly unknownFacts?: 'refuse' | 'allow'
}
