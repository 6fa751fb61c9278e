/** Sessions looked at, ended or brought up to date in one turn of the event loop. */
export const TURN = 500

/** Resolves in the next turn of the event loop, when all that waits has had its own. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
