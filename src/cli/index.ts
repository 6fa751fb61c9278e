#!/usr/bin/env node
import { Command, CommanderError, Help } from 'commander'
import { WardenError } from '../errors.js'
import { remedyFor } from '../redis/remedies.js'
import { VERSION } from '../version.js'
import { addCheckCommand } from './check.js'
import { addDoctorCommand } from './doctor.js'
import { CliFault, EXIT, warnLine, watchOutput } from './io.js'
import { addPasswordCommands } from './password.js'
import { addPutCommand } from './records/put.js'
import { addReadCommands } from './records/read.js'
import { addRemoveCommands } from './records/remove.js'
import { addServeCommand } from './serve.js'

watchOutput()

const program = new Command('mqtt-warden')
  .description(
    'Works with the records that decide what MQTT clients may do: hashes passwords, tells what a record allows and ' +
      'why, changes records, and tells which nodes have a change in force.',
  )
  .version(VERSION)
  .exitOverride()
  .configureHelp({
    showGlobalOptions: true,
    // That a flag is not given by default goes without saying.
    optionDescription: option => {
      return option.defaultValue === false ? option.description : new Help().optionDescription(option)
    },
  })
  .addHelpText(
    'after',
    `
Examples:
  $ export REDIS_URL=redis://127.0.0.1
  $ mqtt-warden doctor
  $ mqtt-warden check --redis -c thermo-7 -u plant -p plant/thermo-7/temp

"mqtt-warden <command> --help" tells the options and exit codes of each.`,
  )
  // As every other line on standard error begins.
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'mqtt-warden: ')) })
  .showHelpAfterError('(--help tells more)')

addPasswordCommands(program)
addCheckCommand(program)
addDoctorCommand(program)
addPutCommand(program)
addRemoveCommands(program)
addReadCommands(program)
addServeCommand(program)
for (const command of program.commands) command.exitOverride().showHelpAfterError('(--help tells more)')

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
}

function exitCodeOf(error: unknown): number {
  // Commander has printed its own message already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.fault
  if (error instanceof CliFault) {
    warnLine(error.message)
    return error.exitCode
  }
  if (error instanceof WardenError) {
    const remedy = remedyFor(error.message)
    warnLine(`${error.message}${remedy === undefined ? '' : `; ${remedy}`} (${error.code})`)
  } else warnLine(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return EXIT.fault
}
