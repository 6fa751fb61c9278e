import fc from 'fast-check'
import { CLIENTS, KEYS, type Reading } from './store.js'
import type { World } from './world.js'

/** One thing that happens. */
export type Step = (world: World) => void | Promise<void>

const named = (name: string, act: Step): Step => Object.assign(act, { toString: () => name })

/** Things that happen one after the other, and the values they are made of. */
type Scene = fc.Arbitrary<Step[]>
const step = <T>(name: string, values: fc.Arbitrary<T>, act: (world: World, value: T) => void | Promise<void>): Scene =>
  values.map(value => [named(`${name}(${String(value)})`, world => act(world, value))])

/** What happens in scenes, said once. */
const write = (id: string, password: string | undefined): Step =>
  named(`write(${id}, ${password})`, world => world.write(id, password))
const touch = (id: string): Step => named(`touch(${id})`, ({ store }) => store.touch(id))
const logIn = (client: string): Step => named(`logIn(${client})`, world => world.logIn(client))
const ask = (client: string): Step => named(`ask(${client})`, world => world.ask(client))
const pass = (ms: number): Step => named(`pass(${ms})`, world => world.pass(ms))
const beat = (line: number): Step => named(`beat(${line})`, ({ store }) => store.beat(line))
const cut = (line: number, isNoticed: boolean): Step =>
  named(`cut(${line}, ${isNoticed})`, ({ store }) => store.cut(line, isNoticed))
const arm = (line: number): Step => named(`arm(${line})`, ({ store }) => store.arm(line))
const deliverOne = (line: number): Step => named(`deliverOne(${line})`, ({ store }) => store.deliver(line))
const deliver: Step = named('deliver()', ({ store }) => store.deliverAll())
const answer = (index: number): Step => named(`answer(${index})`, ({ store }) => at(store.reads, index)?.answer())
const serveAll: Step = named('serveAll()', ({ store }) => {
  for (const read of store.reads) read.serve()
})
/** In the order in which they were asked for, or the latest first. */
const answerAll = (isLatestFirst: boolean): Step =>
  named(`answerAll(${isLatestFirst})`, ({ store }) => {
    for (const read of isLatestFirst ? store.reads.toReversed() : [...store.reads]) read.answer()
  })
const closeAll: Step = named('closeAll()', ({ sessions }) => {
  for (const { session } of sessions.splice(0)) session.close()
})
const reading = (how: Reading): Step =>
  named(`reading(${how})`, ({ store }) => {
    store.reading = how
  })
const calm: Step = named('calm()', world => world.calm())

const at = <T>(items: readonly T[], index: number): T | undefined => items[index % Math.max(1, items.length)]

const pick = fc.nat(5)
const someLine = fc.constantFrom(0, 1)
/** Most of what happens concerns one client, so that it meets. */
const someClient = fc.constantFrom('a', 'a', 'a', ...CLIENTS)
const someKey = fc.constantFrom('a', 'a', '*', '*', ...KEYS)
const somePassword = fc.constantFrom('pw', 'pw', 'pw', undefined, undefined, 'x')
const someReading = fc.constantFrom<Reading>('stepped', 'stepped', 'answered', 'failing')
const someTime = fc.constantFrom(1, 10, 19, 20, 40, 60, 100)
const none = fc.constant('')

const SINGLE: readonly (readonly [number, Scene])[] = [
  [4, step('write', fc.tuple(someKey, somePassword), (world, [id, password]) => world.write(id, password))],
  [1, someKey.map(id => [touch(id)])],
  [5, step('logIn', someClient, (world, id) => world.logIn(id))],
  [5, step('ask', someClient, (world, id) => world.ask(id))],
  [4, step('serve', pick, ({ store }, index) => at(store.reads, index)?.serve())],
  [7, step('answer', pick, ({ store }, index) => at(store.reads, index)?.answer())],
  [1, step('fail', pick, ({ store }, index) => at(store.reads, index)?.fail())],
  [3, someReading.map(how => [reading(how)])],
  [6, step('deliver', none, ({ store }) => store.deliverAll())],
  [2, step('deliverOne', someLine, ({ store }, line) => store.deliver(line))],
  [2, step('beat', someLine, ({ store }, line) => store.beat(line))],
  [2, step('arm', someLine, ({ store }, line) => store.arm(line))],
  [1, step('cut', fc.tuple(someLine, fc.boolean()), ({ store }, [line, isNoticed]) => store.cut(line, isNoticed))],
  [1, step('flush', someLine, ({ store }, line) => store.flush(line))],
  [3, step('pass', someTime, (world, ms) => world.pass(ms))],
  [1, step('close', pick, ({ sessions }, index) => sessions.splice(index, 1)[0]?.session.close())],
  [2, fc.constant([calm])],
]

/** Nothing is heard, nothing can be read, and sessions go on by what they know, until they may no more. */
const outage: Scene = fc
  .record({
    isNoticed: fc.boolean(),
    how: fc.constantFrom<Reading>('stepped', 'failing'),
    ms: fc.integer({ min: 250, max: 420 }),
  })
  .map(({ isNoticed, how, ms }) => [cut(0, isNoticed), cut(1, isNoticed), reading(how), pass(ms)])

/** A beat that takes its time, with writes behind it that are not heard of. */
const slowBeat: Scene = fc
  .record({ id: someKey, password: somePassword, ms: fc.constantFrom(10, 30, 60, 90), rest: outage })
  .map(({ id, password, ms, rest }) => {
    const slow = [beat(0), beat(1), pass(1), write(id, password), pass(ms), deliverOne(0), deliverOne(1)]
    return [deliver, ...slow, ...rest]
  })

/** News that take almost as long as the bound allows, with a beat behind them, while nothing can be read. */
const slowNews: Scene = fc
  .record({ id: someKey, password: somePassword, ms: fc.integer({ min: 200, max: 250 }) })
  .map(({ id, password, ms }) => {
    const begin = [
      arm(0),
      arm(1),
      deliver,
      reading('answered'),
      logIn('a'),
      reading('failing'),
      beat(0),
      beat(1),
      deliver,
    ]
    return [...begin, pass(1), write(id, password), pass(60), beat(0), beat(1), pass(ms), deliver, pass(30)]
  })

/** A record that changes twice, and cannot be read. */
const namedTwice: Scene = fc
  .record({
    id: someKey,
    password: somePassword,
    wait: fc.constantFrom(10, 19),
    how: fc.constantFrom<Reading>('stepped', 'failing'),
  })
  .map(({ id, password, wait, how }) => {
    const begin = [arm(0), arm(1), deliver, reading('answered'), logIn('a'), calm, reading(how)]
    return [...begin, write(id, password), deliver, pass(wait), write(id, 'pw'), deliver, pass(30)]
  })

/** Replies that take their time, of a store whose changes are not heard of, and then no more. */
const slowReply: Scene = fc
  .record({ id: someKey, password: somePassword, ms: fc.integer({ min: 5, max: 19 }), rest: outage })
  .map(({ id, password, ms, rest }) => {
    const begin = [closeAll, arm(0), arm(1), deliver, touch('a'), touch('*'), deliver, cut(0, false), cut(1, false)]
    const read = [serveAll, write(id, password), pass(ms), answerAll(false), serveAll, pass(1), answerAll(false)]
    return [...begin, reading('stepped'), logIn('a'), ...read, ...rest]
  })

/** A link that goes deaf unnoticed while records can be read: what is asked for is put together of old and new. */
const deaf: Scene = fc
  .record({
    before: fc.array(fc.oneof(someClient.map(ask), someClient.map(logIn), someTime.map(pass)), { maxLength: 4 }),
    id: someKey,
    password: somePassword,
    after: fc.array(fc.oneof(someClient.map(ask), someClient.map(logIn), someTime.map(pass)), { maxLength: 6 }),
    rest: fc.oneof(outage, fc.constant([pass(160)])),
  })
  .map(({ before, id, password, after, rest }) => {
    const begin = [cut(0, false), cut(1, false), reading('answered'), answerAll(false)]
    return [...begin, ...before, write(id, password), ...after, ...rest]
  })

/** A role's client that gets a record of its own, which is not heard of: the two were not read at the same time. */
const hidden: Scene = fc
  .record({ wait: fc.integer({ min: 40, max: 95 }), more: fc.integer({ min: 10, max: 60 }), rest: outage })
  .map(({ wait, more, rest }) => {
    const begin = [closeAll, arm(0), arm(1), write('*', 'pw'), write('a', undefined), deliver]
    const asked = [cut(0, false), cut(1, false), reading('answered'), pass(120), ask('b'), pass(wait), ask('a')]
    return [...begin, ...asked, write('a', 'pw'), pass(more), logIn('a'), ...rest]
  })

/** One server that is not heard while the other is. */
const halfDeaf: Scene = fc
  .record({
    line: someLine,
    isNoticed: fc.boolean(),
    password: somePassword,
    how: fc.constantFrom<Reading>('answered', 'failing'),
  })
  .map(({ line, isNoticed, password, how }) => {
    const on = Array.from({ length: 6 }, () => [beat(1 - line), deliver, pass(60)])
    const begin = [arm(0), arm(1), deliver, reading('answered'), logIn('a'), calm, cut(line, isNoticed), reading(how)]
    return [...begin, write(line === 0 ? 'a' : '*', password), ...on.flat()]
  })

/** Everything is read anew, answer by answer, and overtaken by a write: if of a role's client, by a record of its own. */
const overtaken: Scene = fc
  .record({
    line: someLine,
    answers: fc.nat(2),
    id: fc.option(someKey),
    password: somePassword,
    isLatestFirst: fc.boolean(),
  })
  .map(({ line, answers, id, password, isLatestFirst }) => {
    const role = [arm(0), arm(1), reading('answered'), write('*', 'pw'), write('a', undefined), deliver, logIn('a')]
    const begin = [reading('stepped'), cut(line, true), arm(0), arm(1), deliver]
    const some = Array.from({ length: answers }, () => answer(0))
    const rest = [answerAll(isLatestFirst), answerAll(isLatestFirst), reading('answered'), pass(20), calm]
    return [...(id === null ? role : []), ...begin, ...some, write(id ?? 'a', password), deliver, ...rest]
  })

/** A reply that was on its way when the record changed, to somebody who asks again. */
const late: Scene = fc
  .record({ client: someClient, answers: fc.nat(2), id: someKey, password: somePassword, isLatestFirst: fc.boolean() })
  .map(({ client, answers, id, password, isLatestFirst }) => {
    const begin = [
      reading('answered'),
      arm(0),
      arm(1),
      deliver,
      pass(20),
      touch(client),
      touch('*'),
      reading('stepped'),
    ]
    const some = Array.from({ length: answers }, () => answer(0))
    const served = [deliver, ask(client), logIn(client), ...some, serveAll, write(id, password), deliver]
    return [...begin, ...served, ask(client), answerAll(isLatestFirst), ask(client), logIn(client)]
  })

/** Changes missed, and a link that is back: nobody waits for any window. */
const missed: Scene = fc
  .record({ line: someLine, id: someKey, password: somePassword, ms: fc.constantFrom(1, 10, 60) })
  .map(({ line, id, password, ms }) => [cut(line, true), write(id, password), pass(ms), arm(0), arm(1), deliver, calm])

/** A change that no link ever tells of. */
const silent: Scene = fc
  .record({ id: someKey, password: somePassword, how: fc.constantFrom<Reading>('answered', 'failing') })
  .map(({ id, password, how }) => {
    const on = Array.from({ length: 13 }, () => [beat(0), beat(1), deliver, pass(80)])
    const begin = named(`writeSilently(${id}, ${password})`, world => world.write(id, password, 'writeSilently'))
    return [deliver, begin, reading(how), ...on.flat(), ask('a')]
  })

/** Records that are replaced all at once, and cannot be read. */
const restored: Scene = fc
  .record({ id: someKey, password: somePassword, how: fc.constantFrom<Reading>('stepped', 'failing'), ms: fc.nat(400) })
  .map(({ id, password, how, ms }) => {
    const act = named(`restore(${id}, ${password})`, world => world.write(id, password, 'restore'))
    return [deliver, logIn('a'), reading(how), act, pass(ms)]
  })

const SCENES: readonly (readonly [number, Scene])[] = [
  [2, outage],
  [2, slowBeat],
  [2, slowNews],
  [1, namedTwice],
  [2, slowReply],
  [3, deaf],
  [2, hidden],
  [1, halfDeaf],
  [4, overtaken],
  [4, late],
  [3, missed],
  [1, silent],
  [1, restored],
]

/** Begins with something that can change. */
const opening: Step[] = [reading('answered'), write('*', 'pw'), deliver, logIn('a'), logIn('b')]

/** Whatever may happen, in any order. */
export const story: fc.Arbitrary<Step[]> = fc
  .array(fc.oneof(...[...SINGLE, ...SCENES].map(([weight, arbitrary]) => ({ weight, arbitrary }))), {
    minLength: 20,
    maxLength: 45,
    size: 'max',
  })
  .map(scenes => [...opening, ...scenes.flat()])
