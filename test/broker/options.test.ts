import { createAuthorizer, createMemoryStore } from 'mqtt-warden'
import { type BrokerAdapterOptions, createBrokerAdapter } from 'mqtt-warden/broker'
import { describe, expect, it } from 'vitest'

const authorizer = createAuthorizer({ store: createMemoryStore() })

describe('createBrokerAdapter', () => {
  it.each([
    [null, '"options" must be an object'],
    [{ onDeniedPublish: 'ignore' }, '"onDeniedPublish" option must be "close" or "drop"'],
    [{ onDeniedQos0: 'close' }, '"onDeniedQos0" option must be "drop" or "disconnect"'],
    [{ assignClientId: 'c1' }, '"assignClientId" option must be a function'],
    [{ reasonStrings: 1 }, '"reasonStrings" option must be true or false'],
    [{ sharedSubscriptions: 'yes' }, '"sharedSubscriptions" option must be true or false'],
    [{ throttling: null }, '"throttling" option must be true or false'],
    [{ maxFilters: 0 }, '"maxFilters" option must be an integer from 1 to 100000'],
    [{ maxFilters: 100_001 }, '"maxFilters" option must be an integer from 1 to 100000'],
    [{ topicAliasMaximum: -1 }, '"topicAliasMaximum" option must be an integer from 0 to 65535'],
    [{ topicAliasMaximum: 65_536 }, '"topicAliasMaximum" option must be an integer from 0 to 65535'],
    [{ maxClients: 1 }, '"maxClients" is not an option of createBrokerAdapter'],
  ])('refuses %j', (options, message) => {
    expect(() => createBrokerAdapter(authorizer, options as BrokerAdapterOptions)).toThrow(new TypeError(message))
  })

  it('refuses what is no authorizer', () => {
    expect(() => createBrokerAdapter({} as typeof authorizer)).toThrow(
      new TypeError('"authorizer" must be an authorizer'),
    )
  })

  it('accepts every option left out or set', () => {
    createBrokerAdapter(authorizer)
    createBrokerAdapter(authorizer, {
      assignClientId: () => 'c1',
      onDeniedPublish: 'drop',
      onDeniedQos0: 'disconnect',
      reasonStrings: true,
      sharedSubscriptions: true,
      throttling: true,
      maxFilters: 100_000,
      topicAliasMaximum: 65_535,
    })
  })
})
