import { isIPv6 } from 'node:net'

/**
 * What of a remote address failed logins are counted by: an IPv4 address; of an IPv6 address the first 64 bits, since
 * one subscriber has all the others; other text as it is. A port behind it is left out.
 */
export function networkOf(address: string): string {
  const [, v4] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/i.exec(address) ?? []
  if (v4 !== undefined) return v4
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(address) ?? []
  const [host = ''] = (bracketed ?? address).split('%', 1)
  return isIPv6(host) ? `${firstGroups(host)}::/64` : address
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
