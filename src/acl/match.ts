import matchLevels from 'mqtt-match'
import { parseSubscription, topicFilterProblem, topicNameProblem } from './topic.js'

/**
 * Tells whether a topic filter matches a topic name: the question of PUBLISH and of delivery.
 *
 * A filter whose first level is a wildcard does not match a name that begins with `$` (MQTT-4.7.2-1). A shared
 * subscription matches what its inner filter matches. Anything invalid, on either side, matches nothing. Cost is linear
 * in both lengths; for many rules against one name, `compileAcl` is the faster way.
 *
 * > [!WARNING]
 * > A filter is not a topic name: passing the filter of a SUBSCRIBE as `topic` answers `false` whenever it holds a
 * > wildcard. Whether a subscription is allowed is the question of {@link filterCoversFilter}.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 *
 * @example
 * ```ts
 * filterMatchesTopic('plant/+/temp', 'plant/7/temp') // true
 * filterMatchesTopic('plant/#', 'plant') // true, '#' includes the parent level
 * filterMatchesTopic('#', '$SYS/uptime') // false
 * ```
 *
 * @param filter Topic filter.
 * @param topic Topic name.
 * @see MQTT 5 section 4.7
 */
export function filterMatchesTopic(filter: string, topic: string): boolean {
  if (topicNameProblem(topic) !== undefined || topicFilterProblem(filter) !== undefined) return false
  const plain = parseSubscription(filter).filter
  if (topic.startsWith('$') && (plain.startsWith('+') || plain.startsWith('#'))) return false
  return matchLevels(plain, topic)
}
