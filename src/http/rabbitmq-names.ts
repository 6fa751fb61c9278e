/**
 * Topic name of the routing key of a message: `.` separates levels.
 *
 * A dot that the client wrote itself cannot be told from one that RabbitMQ put in place of `/`. Nor does RabbitMQ tell
 * them apart: it routes `a.b` as `a/b` and hands it on under that name. So that name is judged.
 *
 * @returns `undefined` for keys that stand for no name: what RabbitMQ makes of a `*` reaches others as the wildcard
 * `+`, and `/`, `+` and `#` come from no MQTT client.
 */
export function topicOf(routingKey: string): string | undefined {
  return /[*/+#]/.test(routingKey) ? undefined : routingKey.replaceAll('.', '/')
}

/**
 * Topic filter of a binding key. A level that is `*` has become a wildcard, whatever the client meant by it.
 *
 * @returns `undefined` for keys that come from no MQTT client.
 */
export function filterOf(bindingKey: string): string | undefined {
  return /[/+]/.test(bindingKey) ? undefined : bindingKey.replaceAll('.', '/').replaceAll('*', '+')
}

/** The queues in which RabbitMQ keeps what one client has subscribed to, and its delayed will. */
export function queuesOf(clientId: string): readonly string[] {
  return [`mqtt-subscription-${clientId}qos0`, `mqtt-subscription-${clientId}qos1`, `mqtt-will-${clientId}`]
}
