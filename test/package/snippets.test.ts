import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const ROOT = new URL('../../', import.meta.url).pathname

/** What fragments take for given: what the text around them has set up, or the reader's own. */
const GIVEN = `
import type { Aedes } from 'aedes'
import type { Redis } from 'ioredis'
import type { Socket } from 'node:net'
import type { Authorizer, CompiledAcl, Principal, RecordStore } from 'mqtt-warden'
import type { BrokerSession, ConnectPacket, PublishPacket, SubscribePacket } from 'mqtt-warden/broker'
import type { WebhookHandler } from 'mqtt-warden/vernemq'
declare global {
  const store: RecordStore
  const authorizer: Authorizer
  const acl: CompiledAcl
  const principal: Principal
  const broker: Aedes
  const redis: Redis
  const webhooks: WebhookHandler
  const socket: Socket
  const password: string
  const passhash: string
  const apiKey: string
  const connectPacket: ConnectPacket
  const subscribePacket: SubscribePacket
  const publishPacket: PublishPacket
  const message: PublishPacket
  const forward: (message: unknown) => void
  namespace NodeJS {
    interface ProcessEnv {
      VERNEMQ_API_KEY: string
      WEBHOOK_SECRET: string
      AUTH_SECRET: string
    }
  }
}
`

interface Snippet {
  readonly place: string
  readonly text: string
}

function snippetsOf(file: string): Snippet[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  return [...text.matchAll(/^```js\n(.*?)^```/gms)].map(match => {
    const line = text.slice(0, match.index).split('\n').length
    return { place: `${file}:${line}`, text: match[1]! }
  })
}

const snippets = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
  .concat(
    readdirSync(join(ROOT, 'examples'), { recursive: true, encoding: 'utf8' }).map(name => join('examples', name)),
  )
  .filter(name => name.endsWith('.md'))
  .flatMap(snippetsOf)

/** What the compiler finds wrong with the snippets, by the place of each. */
function problems(): Map<string, string[]> {
  const folder = join(ROOT, 'test', 'package')
  const files = new Map(
    snippets.map(({ text }, index) => [join(folder, `snippet-${index}.mjs`), `${text}\nexport {}\n`]),
  )
  const given = join(folder, 'snippets-given.mts')
  const all = new Map([...files, [given, `${GIVEN}\nexport {}\n`]])
  const options: ts.CompilerOptions = {
    allowJs: true,
    checkJs: true,
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    paths: { 'mqtt-warden': [join(ROOT, 'src/index.ts')], 'mqtt-warden/*': [join(ROOT, 'src/*/index.ts')] },
  }
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = name => all.has(name) || fileExists(name)
  host.readFile = name => all.get(name) ?? readFile(name)
  host.getSourceFile = (name, target, ...rest) => {
    const text = all.get(name)
    return text === undefined ? getSourceFile(name, target, ...rest) : ts.createSourceFile(name, text, target)
  }
  const program = ts.createProgram([...all.keys()], options, host)
  const found = new Map<string, string[]>()
  for (const [index, name] of [...all.keys()].entries()) {
    const file = program.getSourceFile(name)!
    const diagnostics = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    const lines = diagnostics.map(({ messageText, start = 0 }) => {
      const line = file.getLineAndCharacterOfPosition(start).line + 1
      return `line ${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
    })
    if (lines.length > 0) found.set(snippets[index]?.place ?? 'what they take for given', lines)
  }
  return found
}

describe('the programs and fragments shown in the documentation', { timeout: 120_000 }, () => {
  it('use only what there is, as it is meant', () => {
    expect(snippets.length).toBeGreaterThan(5)
    expect(Object.fromEntries(problems())).toEqual({})
  })
})
