/** What a figure counts. Times are nanoseconds throughout. */
export type Unit = 'ns' | '/s' | 'B' | '×' | 'count'

/** What was measured. */
export interface Label {
  /** What the figures of several subjects have in common, e.g. `publish, hit`. */
  readonly scenario: string
  /** Column of the table, e.g. the number of rules. */
  readonly column: string
  readonly subject: string
  readonly unit: Unit
  /** The subject's answers in this scenario are not those that MQTT demands. */
  readonly isWrong?: boolean
}

/** What was seen: one figure for each round. */
export interface Sample {
  readonly of: Label
  readonly rounds: readonly number[]
}

/** A middle value, and the quartiles around it. */
export interface Spread {
  readonly low: number
  readonly median: number
  readonly high: number
}

/** A figure that the project holds itself to, as it is shown. */
export interface Budget {
  readonly what: string
  readonly budget: string
  readonly measured: string
  /** What others need for the same, measured in the same run; empty where there is nobody to compare with. */
  readonly peer: string
  /** `undefined` where no budget was set: the figure is only told. */
  readonly isWithin: boolean | undefined
  /** Where the rest goes, for readers of a budget that is missed. */
  readonly whenMissed: string
}

/** A course over time or over size, for a plot. */
export interface Series {
  readonly panel: string
  readonly subject: string
  readonly points: readonly (readonly [number, number])[]
}

export interface Measured {
  readonly samples: readonly Sample[]
  readonly series?: readonly Series[]
}

/** A set of cases that are measured together, and what is promised about them. */
export interface Bench {
  /** Packages whose versions belong beside the figures. */
  readonly packages: readonly string[]
  /** The subject that the others are compared with, if any. */
  readonly base?: string
  measure(): Promise<Measured>
  budgets(samples: readonly Sample[]): Budget[]
  /** Pictures, by the name of their file. */
  draw?(measured: Measured): Readonly<Record<string, string>>
}

/** What `results/<name>.json` holds. */
export interface Result {
  readonly date: string
  readonly node: string
  readonly cpu: string
  readonly cores: number
  /** Load average of the last minute when the bench began. */
  readonly load: number
  readonly seconds: number
  readonly packages: Readonly<Record<string, string>>
  readonly base?: string
  readonly budgets: readonly Budget[]
  readonly cases: readonly (Label & Spread & { readonly rounds: number })[]
}
