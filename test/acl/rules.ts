import {
  type CompiledAcl,
  compileAcl,
  type Principal,
  type PublishRule,
  type SubscribeRule,
} from '../../src/acl/index.js'

export const nobody: Principal = { mountpoint: '', clientId: 'c7', username: 'u' }

/** Compiled from publish rules only. */
export function publishing(...rules: (PublishRule | string)[]): CompiledAcl {
  return compileAcl({ publishAcl: rules.map(asRule), subscribeAcl: [] })
}

/** Compiled from subscribe rules only. */
export function subscribing(...rules: (SubscribeRule | string)[]): CompiledAcl {
  return compileAcl({ publishAcl: [], subscribeAcl: rules.map(asRule) })
}

export function asRule<R extends { pattern: string }>(rule: R | string): R | { pattern: string } {
  return typeof rule === 'string' ? { pattern: rule } : rule
}
