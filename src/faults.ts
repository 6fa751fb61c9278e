/** Code of the warnings that stand in for a listener. */
const CODE = 'MQTT_WARDEN_FAULT'

/** Stands in for an option `onFault` that is not given: the first fault becomes one warning of the process. */
export function warnOnce(adapter: string): (error: unknown, place: string) => void {
  let isWarned = false
  return (error, place) => {
    if (isWarned) return
    isWarned = true
    const text = `${adapter}: ${place}: ${textOf(error)} (no "onFault" option; reported once)`
    process.emitWarning(text, { code: CODE })
  }
}

/** Calls an option `onFault`. What it throws becomes a warning: it must not end what met with the fault. */
export function tellFault(adapter: string, tell: () => void): void {
  try {
    tell()
  } catch (thrown) {
    process.emitWarning(`${adapter}: "onFault" option threw: ${textOf(thrown)}`, { code: CODE })
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
