// Writes the recorded figures into the pages that show them.
import { readFileSync, writeFileSync } from 'node:fs'
import { PAGES, readResults } from './report.js'

const results = readResults()
for (const [path, update] of Object.entries(PAGES)) {
  const page = new URL(`../${path}`, import.meta.url)
  writeFileSync(page, update(readFileSync(page, 'utf8'), results))
}
