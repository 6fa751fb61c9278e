import { type Command, InvalidArgumentError, Option } from 'commander'
import { type BcryptPrefix, hashPassword, parseBcryptHash, verifyPassword } from '../password/index.js'
import { CliFault, EXIT, printLine, readPassword, warnLine } from './io.js'

const COSTS = { min: 4, max: 15 }

/** Adds `hash` and `verify`. */
export function addPasswordCommands(program: Command): void {
  program
    .command('hash')
    .summary('hash a password for the passhash field of a record')
    .description(
      'Hashes a password with bcrypt and prints the hash, ready for the passhash field of a record. ' +
        'The password is asked for without echo, or read from standard input, where one line break at the end is ' +
        'not part of it: an argument would show in the list of processes and stay in the history of the shell.',
    )
    .option('--cost <n>', `work factor, ${COSTS.min} to ${COSTS.max}; one more doubles the time`, parseCost, 10)
    .addOption(
      new Option('--prefix <prefix>', 'variant that the hash names; VerneMQ accepts no other than $2a$')
        .choices(['2a', '2b', '2y'])
        .default('2a'),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ mqtt-warden hash
  $ printf %s "$PASSWORD" | mqtt-warden hash --cost 12`,
    )
    .action(async ({ cost, prefix }: { cost: number; prefix: string }) => {
      const password = await readPassword({ confirm: true })
      if (password === '') throw new CliFault('the password is empty')
      printLine(await hashPassword(password, { cost, prefix: `$${prefix}$` as BcryptPrefix }))
      if (prefix !== '2a') warnLine(`warning: VerneMQ rejects $${prefix}$ hashes; leave --prefix out for it`)
    })

  program
    .command('verify')
    .summary('tell whether a password belongs to a hash')
    .description('Tells whether a password belongs to a bcrypt hash. The password is read as by "hash".')
    .argument('<passhash>', "the hash, in single quotes: the shell would read $2a as a variable's name")
    .addHelpText(
      'after',
      `
Exit codes: 0 it does, 1 it does not, 2 usage or fault

Example:
  $ mqtt-warden verify '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'`,
    )
    .action(async (passhash: string) => {
      const hash = parseBcryptHash(passhash)
      if ('problem' in hash) {
        const hint = passhash.startsWith('$') ? '' : '; was it in single quotes?'
        throw new CliFault(`passhash: ${hash.problem}${hint}`)
      }
      const isRight = await verifyPassword(await readPassword({ confirm: false }), passhash, { maxCost: 31 })
      printLine(isRight ? 'the password belongs to the hash' : 'the password does not belong to the hash')
      if (hash.prefix !== '$2a$') warnLine(`warning: VerneMQ rejects ${hash.prefix} hashes`)
      process.exitCode = isRight ? EXIT.allowed : EXIT.refused
    })
}

function parseCost(text: string): number {
  const cost = Number(text)
  if (!Number.isInteger(cost) || cost < COSTS.min || cost > COSTS.max) {
    throw new InvalidArgumentError(`must be an integer from ${COSTS.min} to ${COSTS.max}`)
  }
  return cost
}
