import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = new URL('../../', import.meta.url).pathname

/** Files of these folders and of the root; what is built or installed is none of them. */
const FOLDERS = ['.ci', 'bench', 'examples', 'scripts', 'src', 'test'] as const

const files = [
  ...readdirSync(ROOT, { withFileTypes: true }).flatMap(entry => (entry.isFile() ? [entry.name] : [])),
  ...FOLDERS.flatMap(folder => {
    const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    return entries.flatMap(entry => (entry.isFile() ? [join(entry.parentPath, entry.name).slice(ROOT.length)] : []))
  }),
]

describe('the files of the project', () => {
  it('hold no marks of a merge that was not finished, in comments neither', () => {
    expect(files.length).toBeGreaterThan(300)
    const marked = files.filter(file => /^(?:<{7}|>{7}) /m.test(readFileSync(join(ROOT, file), 'utf8')))
    expect(marked).toEqual([])
  })
})
