/** Code of the warnings that stand in for a listener. */
const CODE = 'MQTT_WARDEN_FAULT'

/** Options that faults are told to. */
type FaultOption = 'onFault' | 'onError'

/** Stands in for an option that is not given: the first fault of each place becomes one warning of the process. */
export function warnOnce(adapter: string, option: FaultOption): (error: unknown, place: string) => void {
  const warned = new Set<string>()
  return (error, place) => {
    if (warned.has(place)) return
    warned.add(place)
    const where = place.startsWith(adapter) ? place : `${adapter}: ${place}`
    const text = `${where}: ${textOf(error)} (no "${option}" option; reported once)`
    process.emitWarning(text, { code: CODE })
  }
}

/** Calls such an option. What it throws becomes a warning: it must not end what met with the fault. */
export function tellFault(adapter: string, option: FaultOption, tell: () => void): void {
  try {
    tell()
  } catch (thrown) {
    process.emitWarning(`${adapter}: "${option}" option threw: ${textOf(thrown)}`, { code: CODE })
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
