import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { VERSION } from '../../src/version.js'
import config from '../../tsup.config.js'

const ROOT = new URL('../../', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
  exports: Record<string, { types: string; default: string } | string>
  bin: Record<string, string>
  version: string
}
const subpaths = Object.entries(manifest.exports).filter(
  (entry): entry is [string, { types: string; default: string }] => typeof entry[1] !== 'string',
)

/** Every bare import that a built file reaches, over all of its chunks. */
function reachable(file: string, seen = new Set<string>(), bare = new Set<string>()): Set<string> {
  if (seen.has(file)) return bare
  seen.add(file)
  const text = readFileSync(new URL(`dist/${file}`, ROOT), 'utf8')
  for (const [, target] of text.matchAll(/(?:from|import)\s*"([^"]+)"/g)) {
    if (target!.startsWith('./')) reachable(target!.slice(2), seen, bare)
    else bare.add(target!)
  }
  return bare
}

describe('package', () => {
  it('knows its version', () => {
    expect(VERSION).toBe(manifest.version)
  })

  it('exports what is built, and builds what is exported', () => {
    const { entry } = config as { entry: Record<string, string> }
    const exported = subpaths.map(([subpath]) => (subpath === '.' ? 'index' : subpath.slice(2)))
    const built = Object.keys(entry).filter(name => !['cli', 'hash-worker'].includes(name))
    expect(new Set(exported)).toEqual(new Set(built))
    expect(manifest.bin).toEqual({ 'mqtt-warden': './dist/cli.js' })
  })

  it.each(subpaths)('has the files of %s', (_subpath, { types, default: file }) => {
    expect(existsSync(new URL(types, ROOT))).toBe(true)
    expect(existsSync(new URL(file, ROOT))).toBe(true)
  })

  it.each(subpaths.map(([subpath]) => subpath.replace('.', 'mqtt-warden')))('is loaded by require(): %s', name => {
    const load = `const { ${name.endsWith('warden') ? 'createAuthorizer' : ''} } = require(${JSON.stringify(name)})`
    execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', load], { cwd: ROOT })
  })

  it('gives the same classes to require() and import', async () => {
    const required = createRequire(import.meta.url)('mqtt-warden') as { RecordInvalid: unknown }
    expect(required.RecordInvalid).toBeTypeOf('function')
  })

  it.each(['acl.js', 'record.js'])('reaches nothing but mqtt-match from %s', file => {
    expect([...reachable(file)].filter(name => name !== 'mqtt-match')).toEqual([])
  })

  it('reaches neither Redis nor the command line from the main entry and from aedes', () => {
    for (const file of ['index.js', 'aedes.js']) {
      const names = [...reachable(file)]
      for (const name of ['ioredis', 'commander', '@clack/prompts', 'aedes']) expect(names).not.toContain(name)
    }
  })

  it('throws the same error classes from every entry', async () => {
    const { RecordInvalid } = await import('mqtt-warden')
    const { parseRecord } = await import('mqtt-warden/record')
    expect(() => parseRecord('{')).toThrow(RecordInvalid)
  })
})
