import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

const SRC = new URL('../../src/', import.meta.url).pathname

/** What a folder may import from, besides itself and the files at the root of src. */
const MAY_REACH: Readonly<Record<string, readonly string[]>> = {
  acl: [],
  record: ['acl'],
  password: ['acl', 'record'],
  store: ['acl', 'record'],
  redis: ['acl', 'record', 'store'],
  authorizer: ['acl', 'record', 'password', 'store'],
  endpoint: ['acl', 'record', 'authorizer'],
  aedes: ['acl', 'record', 'store', 'authorizer'],
  broker: ['acl', 'record', 'authorizer'],
  vernemq: ['acl', 'record', 'store', 'authorizer', 'endpoint'],
  http: ['acl', 'record', 'store', 'authorizer', 'endpoint'],
  cli: ['acl', 'record', 'password', 'store', 'redis', 'authorizer', 'endpoint', 'vernemq', 'http'],
}

const ROOT_FILES = ['errors.ts', 'faults.ts', 'growing-cache.ts', 'options.ts', 'version.ts']

interface Import {
  readonly from: string
  readonly to: string
  readonly isType: boolean
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))
const imports: Import[] = files.flatMap(from => {
  const text = readFileSync(join(SRC, from), 'utf8')
  const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?'([^']+)'/gm)
  return [...statements].map(([, type, to]) => ({ from, to: to!, isType: type !== undefined }))
})
const internal = imports.filter(({ to }) => to.startsWith('.')).map(resolve)
const external = imports.filter(({ to }) => !to.startsWith('.'))

function resolve({ from, to, isType }: Import): Import {
  return { from, to: normalize(join(dirname(from), to)).replace(/\.js$/, '.ts'), isType }
}

function folderOf(file: string): string | undefined {
  return file.includes('/') ? file.split('/')[0] : undefined
}

describe('layers', () => {
  it('finds the imports it judges', () => {
    expect(internal.length).toBeGreaterThan(50)
    expect(internal.filter(({ to }) => !files.includes(to))).toEqual([])
  })

  it('knows every folder of src', () => {
    for (const folder of new Set(files.map(folderOf)))
      if (folder !== undefined) expect(Object.keys(MAY_REACH)).toContain(folder)
  })

  it('imports only from the own folder and from folders to the left', () => {
    const wrong = internal.filter(({ from, to }) => {
      const folder = folderOf(from)
      if (folder === undefined) return false
      const target = folderOf(to)
      if (target === undefined) return !ROOT_FILES.includes(to)
      return target !== folder && !MAY_REACH[folder]!.includes(target)
    })
    expect(wrong).toEqual([])
  })

  it('has no cycle among files', () => {
    const targets = (file: string) =>
      internal.filter(({ from, isType }) => from === file && !isType).map(({ to }) => to)
    const done = new Set<string>()
    const visit = (file: string, path: readonly string[]): void => {
      expect(path, `cycle: ${[...path, file].join(' -> ')}`).not.toContain(file)
      if (done.has(file)) return
      for (const target of targets(file)) visit(target, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
    expect(done.size).toBe(files.length)
  })

  it('keeps acl and record free of Node', () => {
    const reached = external.filter(({ from }) => ['acl', 'record'].includes(folderOf(from) ?? '')).map(({ to }) => to)
    expect(new Set(reached)).toEqual(new Set(['mqtt-match']))
  })

  it('imports aedes as a type only', () => {
    expect(external.filter(({ to, isType }) => to === 'aedes' && !isType)).toEqual([])
  })

  it('keeps files within three hundred lines, or little more', () => {
    const long = files
      .map(name => ({ name, lines: readFileSync(join(SRC, name), 'utf8').split('\n').length }))
      .filter(({ lines }) => lines > 320)
    expect(long).toEqual([])
  })
})
