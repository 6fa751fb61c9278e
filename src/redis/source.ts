import { createChannel } from './channel.js'
import type { Arm, SourceContext } from './link.js'
import { createTracking } from './tracking.js'

/** The way to hear of changes that the options ask for. */
export function createSource(context: SourceContext): Arm {
  return context.settings.invalidation === 'channel' ? createChannel(context) : createTracking(context)
}
