/** Load of a hasher at this moment. */
export interface HasherStats {
  /** Hashes being computed. */
  readonly running: number
  /** Hashes waiting for a thread. */
  readonly queued: number
}

/**
 * Judges passwords for the authorizer. The built-in one knows bcrypt (`$2a$`, `$2b$`, `$2y$`) and works in threads of its
 * own; another can be handed in for hashes of other kinds.
 */
export interface PasswordHasher {
  /**
   * Tells what is wrong with a stored hash, or `undefined` when `verify` can judge it. Called for every login before
   * anything is queued, so that a hash that is malformed, or too costly to compute, ends as `record_invalid` at once.
   */
  passhashProblem(passhash: string): string | undefined
  /**
   * Resolves with whether the password belongs to the hash. Must not occupy the main thread.
   *
   * @throws HashBusy when the queue is full, at once; HashTimeout after `timeoutMs`; HashFailed when no thread works;
   * the signal's reason when it is aborted.
   */
  verify(
    password: string,
    passhash: string,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean>
  stats(): HasherStats
  /** Ends the threads; hashes under way are answered with `HashFailed`. */
  close(): Promise<void>
}
