/**
 * Resolves as soon as a condition holds; it is asked again every few milliseconds. Rejects, naming what was awaited, when
 * it does not come to hold in time. For conditions that no event announces.
 */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
