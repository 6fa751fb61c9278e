import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** Prints a story step by step and remembers whether all went as told. In colour on a terminal, plain otherwise. */
export class Report {
  readonly #inColour = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
  readonly #startedAt = performance.now()
  #failures = 0

  get failures(): number {
    return this.#failures
  }

  scene(number: number, title: string): void {
    console.log(`\n${this.#style('bold', `Scene ${number}: ${title}`)}`)
  }

  /** Something happened to somebody. */
  event(who: string, text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(2).padStart(6)
    console.log(`${this.#style('dim', `${seconds}s`)}  ${who.padEnd(8)}  ${text}`)
  }

  /** Why it happened. */
  because(who: string, text: string): void {
    this.event(who, this.#style('cyan', text))
  }

  /** Whether it went as told. */
  check(holds: boolean, claim: string): void {
    if (!holds) this.#failures++
    console.log(`         ${holds ? this.#style('green', 'as told') : this.#style('red', 'NOT AS TOLD')}   ${claim}`)
  }

  #style(style: Style, text: string): string {
    return this.#inColour ? styleText(style, text, { validateStream: false }) : text
  }
}
