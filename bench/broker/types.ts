/** How a broker of the benches judges its clients. */
export type BrokerKind =
  | { readonly auth: 'none' }
  | { readonly auth: 'warden rules' | 'loop'; readonly rules: number }
  | { readonly auth: 'warden passwords' | 'bcryptjs'; readonly passhashes: Readonly<Record<string, string>> }

/** How late an event loop was, in nanoseconds. */
export interface LoopDelays {
  readonly p99: number
  readonly max: number
  /** Seconds since the watch began, and the longest delay since the point before. */
  readonly course: readonly (readonly [number, number])[]
}
