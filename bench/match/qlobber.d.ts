declare module 'qlobber' {
  interface QlobberOptions {
    separator?: string
    wildcard_one?: string
    wildcard_some?: string
    match_empty_levels?: boolean
    max_words?: number
  }
  /** Answers whether any pattern matches: the cheapest of its classes. */
  export class QlobberTrue {
    constructor(options?: QlobberOptions)
    add(pattern: string): this
    test(topic: string): boolean
  }
}
