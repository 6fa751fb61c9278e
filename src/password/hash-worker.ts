import { hashSync } from 'bcryptjs'

/** One bcrypt computation. */
export interface HashRequest {
  readonly password: string
  /** The first 29 characters of a bcrypt hash: prefix, cost and salt. */
  readonly salt: string
}

/** Computes the whole bcrypt hash, blocking the thread it runs in. Entry point of the hashing threads. */
export function computeHash({ password, salt }: HashRequest): string {
  return hashSync(password, salt)
}
