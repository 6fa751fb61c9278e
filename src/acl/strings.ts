let isKept = false

/**
 * Keeps string methods fast, whatever else is loaded.
 *
 * A class that extends `String`, anywhere in the process (ioredis 6 has one), makes V8 keep `String.prototype` as a
 * dictionary: compiled code then looks up every `charCodeAt` and `slice` by name, and takes two to four times as long.
 * V8 turns a prototype back, and leaves it so, when a property is stored in an object that inherits from it. Nothing
 * changes that a program could see.
 */
export function keepStringsFast(): void {
  if (isKept) return
  isKept = true
  const heir: { stored?: boolean } = Object.create(String.prototype)
  heir.stored = true
}
