import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'

/** What V8 says of the object that string methods are looked up in, in a process of its own. */
function isFast(script: string): string {
  const ask = 'const isFast = () => %HasFastProperties(String.prototype);'
  return execFileSync(
    process.execPath,
    ['--allow-natives-syntax', '--input-type=module', '--eval', `${ask} ${script}; console.log(isFast())`],
    { encoding: 'utf8' },
  ).trim()
}

const compile = "compileAcl({ publishAcl: [{ pattern: 'a' }], subscribeAcl: [] })"

test('Compiling rules makes string methods fast again after such a library was loaded', () => {
  expect(isFast(`await import('ioredis'); const { compileAcl } = await import('mqtt-warden/acl'); ${compile}`)).toBe(
    'true',
  )
})

test('Compiling rules keeps string methods fast when such a library is loaded later', () => {
  const load = "await import('ioredis'); (class extends String {})"
  expect(isFast(`const { compileAcl } = await import('mqtt-warden/acl'); ${compile}; ${load}`)).toBe('true')
})
