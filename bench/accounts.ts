import type { AclRecord, PasswordHasher, RecordKey, RecordStore } from 'mqtt-warden'

/** Takes every password for right, at once: for benches that ask what comes after the login. */
export const acceptAll: PasswordHasher = {
  passhashProblem: () => undefined,
  verify: async () => true,
  stats: () => ({ running: 0, queued: 0 }),
  close: async () => {},
}

/**
 * A store that makes each record when it is asked, and holds none. Its link can fail, as that of Redis can, so that every
 * decision compares the clock with what the link vouches for.
 */
export function createSource(recordOf: (key: RecordKey) => AclRecord | undefined): RecordStore {
  const refuse = async (): Promise<never> => {
    throw new Error('this store is only read')
  }
  return {
    semantics: 'strict',
    get: async key => recordOf(key),
    put: refuse,
    delete: refuse,
    async *scan() {},
    watch: listener => {
      const beat = () => void listener({ type: 'link', state: 'live', at: performance.now() })
      queueMicrotask(beat)
      const timer = setInterval(beat, 1_000).unref()
      return () => clearInterval(timer)
    },
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
}
