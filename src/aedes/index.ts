export { PROTECT_DEFAULTS, type ProtectOptions } from './options.js'
export { type Protection, protect } from './protect.js'
export type { RefusalError } from './refusal.js'
