/**
 * Part of the limits after which the records of live sessions are read again, so that no decision has to be refused.
 */
export const REFRESH_SHARE = 0.5
/** What comes to it from session to session, so that a store that has just come back is not asked for all at once. */
const REFRESH_SPREAD = 0.25
/** Steps of the spread. */
const SPREADS = 256
/**
 * Odd and about the golden section of the steps: sessions that follow each other are far apart, and every step is used.
 */
const SPREAD_STEP = 159

/** Where in the spread the session stands that was opened as the n-th. */
export function spreadOf(opened: number): number {
  return (opened * SPREAD_STEP) % SPREADS
}

/** Part of the limits after which a session's records are read again. */
export function refreshShare({ spread }: { readonly spread: number }): number {
  return REFRESH_SHARE + (REFRESH_SPREAD * spread) / SPREADS
}
