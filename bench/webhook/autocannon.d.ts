declare module 'autocannon' {
  interface AutocannonRequest {
    body?: string
    /** Makes each request out of what is common to all. */
    setupRequest?: (common: object) => object
  }
  interface AutocannonOptions {
    url: string
    method: 'POST'
    headers: Record<string, string>
    requests: readonly AutocannonRequest[]
    connections: number
    /** Seconds. */
    duration: number
    /** How often it looks whether it has been stopped, in milliseconds. */
    sampleInt: number
  }
  interface AutocannonResult {
    non2xx: number
    errors: number
  }
  /** A run, which is also the promise of its result. */
  interface AutocannonRun extends PromiseLike<AutocannonResult> {
    on(event: 'response', listener: () => void): void
    stop(): void
  }
  function autocannon(options: AutocannonOptions): AutocannonRun
  export = autocannon
}
