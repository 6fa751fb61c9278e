import { createEndpoint, type EndpointFailure, type EndpointRequest, type EndpointResponse } from '../endpoint/index.js'
import { HookRequestInvalid } from '../errors.js'
import { tellFault, warnOnce } from '../faults.js'
import { Fields, readFields } from './fields.js'
import type { HttpHandler, HttpHandlerOptions } from './types.js'

/** Answers one call of a broker. `signal` is made on first use; `via` names the call in events. */
export type Call = (fields: Fields, via: string, signal: (() => AbortSignal) | undefined) => Promise<EndpointResponse>

/** What one broker asks, and how it is told that nothing could be answered. */
export interface Contract {
  /** Opens the names of calls in events and errors. */
  readonly broker: string
  /** By the last segment of the path. */
  readonly calls: Readonly<Record<string, Call>>
  /** The answer to what never reached a call; one that the broker takes for a refusal. */
  readonly fail: (status: FailureStatus) => EndpointResponse
}

/** 405: the method is none that the broker uses. */
export type FailureStatus = EndpointFailure['status'] | 405

const METHODS: readonly string[] = ['GET', 'POST', 'PUT']

/** Puts the faces on what one broker asks. */
export function createHttpHandler(contract: Contract, options: HttpHandlerOptions): HttpHandler {
  const { broker, calls, fail } = contract
  const onError = options.onError ?? warnOnce(broker, 'onError')

  const reject = (error: unknown, place: string, status: FailureStatus): EndpointResponse => {
    tellFault(broker, 'onError', () => onError(error, place))
    return fail(status)
  }

  const answer = async (
    call: string,
    values: unknown,
    signal: (() => AbortSignal) | undefined,
  ): Promise<EndpointResponse> => {
    const via = `${broker}_${call}`
    try {
      const answerCall = Object.hasOwn(calls, call) ? calls[call] : undefined
      if (answerCall === undefined) throw new HookRequestInvalid(via, '', 'is no call of this broker')
      return await answerCall(new Fields(via, values), via, signal)
    } catch (error) {
      return reject(error, broker, error instanceof HookRequestInvalid ? 400 : 500)
    }
  }

  const respond = (request: EndpointRequest): EndpointResponse | Promise<EndpointResponse> => {
    const call = request.path.slice(1)
    const invalid = (problem: string, status: FailureStatus) =>
      reject(new HookRequestInvalid(`${broker}_${call}`, '', problem), broker, status)
    if (!METHODS.includes(request.method)) return invalid('method is not one of GET, POST, PUT', 405)
    const fields = readFields(request)
    return 'problem' in fields ? invalid(fields.problem, 400) : answer(call, fields.value, () => request.signal)
  }

  const endpoint = createEndpoint(respond, {
    ...options,
    onError: (error, place) => onError(error, `${broker} ${place}`),
    fail: ({ status }) => fail(status),
  })
  return { handle: (call, fields) => answer(call, fields, undefined), respond, ...endpoint }
}

/** An answer that is always the same. */
export function reply(status: number, body: string, contentType = 'text/plain'): EndpointResponse {
  return Object.freeze({ status, headers: Object.freeze({ 'content-type': contentType }), body })
}
