import type { Kind } from './kinds.js'
import type { Place, Spelling } from './place.js'
import type { JsonValue } from './types.js'

/** One member of an object: how it is called in JSON, and what may stand there. */
export interface Field<T> extends Kind<T> {
  readonly wire: string
  /** What an object without it holds instead, if anything; refuses one that must have it. */
  absent?(at: Place): T | undefined
  /** Tells whether a value says no more than leaving the member out; the canonical form then does so. */
  omits?(value: T): boolean
  /** Gives the form of the value in JSON, where it is another one. */
  write?(value: T): JsonValue
}

/** A field for every member of `R`, in canonical order. */
export type Fields<R> = { readonly [K in keyof R]-?: Field<Exclude<R[K], undefined>> }

/** One row of a table: a field with the name it has in a program. */
export interface Row extends Field<unknown> {
  readonly name: string
}

/** The fields of an object, ready to walk through. `R` is the type they add up to. */
export interface Table<R> {
  readonly rows: readonly Row[]
  readonly fields: Fields<R>
}

/** Makes a table; the compiler sees to it that no member of `R` is forgotten. */
export function tableOf<R>(fields: Fields<R>): Table<R> {
  const rows = Object.entries(fields).map(([name, field]) => ({ ...(field as Field<unknown>), name }))
  return { rows, fields }
}

/** The members of an object by name, each read once; those that are `undefined` count as left out. */
export type Members = ReadonlyMap<string, unknown>

/** Takes an object apart. Inherited members are none of its own. */
export function membersOf(value: unknown, at: Place): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return at.fail('must be an object')
  const members = new Map<string, unknown>()
  for (const name of Object.keys(value)) {
    at.reading.take(1, at)
    const member: unknown = (value as Record<string, unknown>)[name]
    if (member !== undefined) members.set(name, member)
  }
  return members
}

/** The items of an array, each read once. */
export function itemsOf(value: unknown, at: Place): readonly unknown[] {
  if (!Array.isArray(value)) return at.fail('must be an array')
  const { length } = value
  at.reading.take(length, at)
  return Array.from({ length }, (_, index): unknown => value[index])
}

/** Reads an object strictly: every member must be known and good. */
export function readObject<R>(value: unknown, table: Table<R>, at: Place): R {
  const members = membersOf(value, at)
  const { spelling } = at.reading
  for (const name of members.keys()) {
    if (!table.rows.some(row => row[spelling] === name)) at.at(name).fail(unknownMember(name, table, spelling))
  }
  return readFields(members, table, at)
}

/** Reads the members that a table knows; leaves out what `lenient` reading cannot use. */
export function readFields<R>(members: Members, table: Table<R>, at: Place, how: keyof Kind<unknown> = 'read'): R {
  const result: Record<string, unknown> = {}
  for (const row of table.rows) {
    const name = row[at.reading.spelling]
    const member = members.get(name)
    const value = member === undefined ? row.absent?.(at.at(name)) : row[how](member, at.at(name))
    if (value !== undefined && !row.omits?.(value)) result[row.name] = value
  }
  return Object.freeze(result) as R
}

/** The members of an object as they stand in JSON, in the order of the table. */
export function writeFields<R extends object>(object: R, table: Table<R>): [name: string, value: JsonValue][] {
  const members: [string, JsonValue][] = []
  for (const { name, wire, write } of table.rows) {
    const value = (object as Record<string, unknown>)[name]
    if (value !== undefined) members.push([wire, write === undefined ? (value as JsonValue) : write(value)])
  }
  return members
}

/** {@link writeFields}, as an object. */
export function writeObject<R extends object>(object: R, table: Table<R>): JsonValue {
  return Object.fromEntries(writeFields(object, table))
}

/** Tells whether an array or object holds nothing. */
export function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0
}

/** Says what is wrong with a name that the table does not have, and which name was probably meant. */
export function unknownMember(name: string, table: Table<unknown>, spelling: Spelling): string {
  const other = spelling === 'wire' ? 'name' : 'wire'
  const twin = table.rows.find(row => row[other] === name)
  if (twin !== undefined) return spelling === 'wire' ? `use ${twin.wire} in JSON` : `use ${twin.name}`
  const meant = likelyMeant(name, table, spelling)
  return meant === undefined ? 'unknown member' : `unknown member (did you mean ${meant}?)`
}

/** The name in the table that another name is probably a misspelling of. */
export function likelyMeant(name: string, { rows }: Table<unknown>, spelling: Spelling): string | undefined {
  return rows.find(row => isMisspelt(name, row[spelling]))?.[spelling]
}

/** Tells whether two names differ in case and at most two letters added, dropped or changed. */
function isMisspelt(name: string, meant: string): boolean {
  const most = meant.length < 5 ? 1 : 2
  return Math.abs(name.length - meant.length) <= most && distance(name.toLowerCase(), meant.toLowerCase()) <= most
}

/** Levenshtein's distance, row by row. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
