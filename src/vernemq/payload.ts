import { type CompiledAcl, compileAcl } from '../acl/compile.js'
import type { Principal } from '../acl/types.js'
import { HookRequestInvalid } from '../errors.js'

/**
 * Bytes of a payload as a hook carries it, or `undefined` where that cannot be told: an endpoint with `no_payload`, or
 * one without base64 whose payload was not UTF-8 (VerneMQ then sends U+FFFD for it). Base64 is measured, not decoded.
 *
 * @throws HookRequestInvalid (`ERR_HOOK_REQUEST_INVALID`) for text that is no base64 where base64 is expected.
 */
export function payloadSize(hook: string, payload: string | undefined, isBase64: boolean): number | undefined {
  if (payload === undefined) return undefined
  if (!isBase64) return payload.includes('\ufffd') ? undefined : Buffer.byteLength(payload)
  if (payload.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(payload)) {
    throw new HookRequestInvalid(
      hook,
      'payload',
      'must be base64; set "base64encode" as the endpoint of VerneMQ has it',
    )
  }
  const padding = payload.endsWith('==') ? 2 : payload.endsWith('=') ? 1 : 0
  return (payload.length / 4) * 3 - padding
}

/** Tells which rules of an ACL depend on the payload. Worked out once per ACL. */
export class PayloadLimits {
  readonly #limited: WeakMap<CompiledAcl, CompiledAcl | false> = new WeakMap()

  /** Whether any publish rule has a payload limit: without one, the size need not be known. */
  has(compiled: CompiledAcl): boolean {
    return this.#of(compiled) !== false
  }

  /**
   * Whether a rule with a payload limit matches the topic. Its answer must not be cached: VerneMQ gives a cached one
   * for any payload.
   */
  concern(compiled: CompiledAcl, principal: Principal, topic: string): boolean {
    const limited = this.#of(compiled)
    return limited !== false && limited.authorizePublish(principal, topic).allow
  }

  #of(compiled: CompiledAcl): CompiledAcl | false {
    let limited = this.#limited.get(compiled)
    if (limited === undefined) {
      const rules = compiled.acl.publishAcl.filter(({ maxPayloadSize }) => maxPayloadSize !== undefined)
      const { semantics, maxLevels } = compiled
      const patterns = rules.map(({ pattern }) => ({ pattern }))
      limited = rules.length > 0 && compileAcl({ publishAcl: patterns, subscribeAcl: [] }, { semantics, maxLevels })
      this.#limited.set(compiled, limited)
    }
    return limited
  }
}
