declare module 'autocannon' {
  interface AutocannonOptions {
    url: string
    method: 'POST'
    headers: Record<string, string>
    body: string
    connections: number
    /** Seconds. */
    duration: number
  }
  interface AutocannonResult {
    requests: { total: number }
    /** Seconds. */
    duration: number
    non2xx: number
    errors: number
  }
  function autocannon(options: AutocannonOptions): Promise<AutocannonResult>
  export = autocannon
}
