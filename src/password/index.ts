export {
  type BcryptHash,
  type BcryptPrefix,
  decodePassword,
  type HashingOptions,
  type HashPasswordOptions,
  hashPassword,
  parseBcryptHash,
  type VerifyPasswordOptions,
  verifyPassword,
} from './bcrypt.js'
export { createHasher, type HasherParts } from './custom.js'
export { type BcryptHasherOptions, createBcryptHasher } from './hasher.js'
export { createNativeHasher, type NativeBcrypt, type NativeHasherOptions } from './native.js'
export { createRefusalClock, type RefusalClock, type RefusalClockOptions } from './refusal.js'
export type { HasherLimits, HasherStats, HashOrigin, HashTarget, PasswordHasher } from './types.js'
export {
  createFingerprint,
  createVerifiedPasswords,
  type Proof,
  type VerifiedPasswords,
  type VerifiedPasswordsOptions,
} from './verified.js'
