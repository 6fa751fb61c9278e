import { isIPv6 } from 'node:net'

/** Where IPv6 has the addresses of IPv4, in forms other than the usual one, and this machine: all of one such network. */
const IPV4_WITHIN: ReadonlySet<string> = new Set(['0:0:0:0', '64:ff9b:0:0'])

/**
 * What of a remote address failed logins are counted by: an IPv4 address; of an IPv6 address the first 64 bits, since
 * one subscriber has all the others; other text as it is. A port behind it is left out.
 */
export function networkOf(address: string): string {
  const [, v4] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/i.exec(address) ?? []
  if (v4 !== undefined) return v4
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(address) ?? []
  const [host = ''] = (bracketed ?? address).split('%', 1)
  if (!isIPv6(host)) return address
  const first = firstGroups(host)
  return IPV4_WITHIN.has(first) ? host.toLowerCase() : `${first}::/64`
}

/** The first four groups of an IPv6 address, without leading zeros. */
function firstGroups(host: string): string {
  const [head = '', tail] = host.toLowerCase().split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const length = before.length + after.length + (after.at(-1)?.includes('.') ? 1 : 0)
  const groups = tail === undefined ? before : [...before, ...Array<string>(8 - length).fill('0'), ...after]
  return groups
    .slice(0, 4)
    .map(group => group.replace(/^0+(?=.)/, ''))
    .join(':')
}
