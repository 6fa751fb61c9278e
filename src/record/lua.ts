import type { Members } from './fields.js'
import type { Place } from './place.js'

/** Tells whether Lua has a table of a value: arrays and objects are the same to it. */
export function isTable(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/**
 * What VerneMQ's scripts see of a scalar: `null` is the text `null`, and a number that Erlang cannot hold fails the
 * parse.
 */
export function asLua(value: unknown, at: Place): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) at.fail('is a number out of range')
  return value === null ? 'null' : value
}

/** The members of a table as VerneMQ's scripts see them; the items of an array go by their index. */
export function luaMembers(table: object, at: Place): Members {
  const step = Array.isArray(table) ? Number : String
  return new Map(Object.entries(table).map(([name, value]) => [name, asLua(value, at.at(step(name)))]))
}
