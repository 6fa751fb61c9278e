/*
 * Line charts as SVG text, for readers on light and on dark pages: the colours follow the page, and every line carries its
 * name at its end.
 */

export interface Axis {
  readonly label: string
  readonly scale: 'linear' | 'log'
  /** Text at a mark. */
  readonly show: (value: number) => string
}

export interface Line {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Panel {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly lines: readonly Line[]
}

const WIDTH = 760
const HEIGHT = 330
const LEFT = 78
const RIGHT = 190
const TOP = 54
const BOTTOM = 48
const LABEL_GAP = 15

/** Told apart also by those who see few colours; the darker of each pair is for light pages. */
const COLOURS = [
  ['#0057b7', '#6cb2ff'],
  ['#b34700', '#ff9d5c'],
  ['#00734d', '#4fd6a6'],
  ['#9b2d6e', '#ef8fc4'],
  ['#6b5b00', '#e0cc4a'],
  ['#555f6b', '#a9b4c0'],
  ['#7a3fb8', '#c39bf2'],
  ['#8a1c1c', '#f48a8a'],
] as const
const DASHES = ['', '7 4', '2 3', '9 3 2 3']

/** Draws panels below each other. Points whose value has no place on the axis are left out. */
export function plot(title: string, panels: readonly Panel[]): string {
  const height = panels.length * HEIGHT
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escapeText(title)}</title>`,
    `<style>${style()}</style>`,
    ...panels.map((panel, at) => `<g transform="translate(0 ${at * HEIGHT})">${drawPanel(panel)}</g>`),
    '</svg>',
    '',
  ].join('\n')
}

function style(): string {
  const page = (text: string, grid: string, side: 0 | 1) => [
    `text{fill:${text}}.grid{stroke:${grid}}`,
    ...COLOURS.map((pair, at) => `.line.c${at}{stroke:${pair[side]}}.dot.c${at},.name.c${at}{fill:${pair[side]}}`),
  ]
  return [
    'text{font:13px system-ui,sans-serif}.title{font-weight:600}.grid{stroke-width:1}',
    '.line{fill:none;stroke-width:2;stroke-linejoin:round}.line.c0{stroke-width:3.5}',
    ...page('#24292f', '#d8dee4', 0),
    `@media(prefers-color-scheme:dark){${page('#d5dbe1', '#3d444d', 1).join('')}}`,
  ].join('')
}

interface Place {
  /** Where a value stands, in pixels. */
  at(value: number): number
  readonly marks: readonly number[]
}

function drawPanel({ title, x, y, lines }: Panel): string {
  const shown = lines.map(line => ({ ...line, points: line.points.filter(point => fits(point, x, y)) }))
  const points = shown.flatMap(line => line.points)
  const across = place(
    x,
    points.map(([value]) => value),
    [LEFT, WIDTH - RIGHT],
  )
  const up = place(
    y,
    points.map(([, value]) => value),
    [HEIGHT - BOTTOM, TOP],
  )
  const [bottom, right] = [HEIGHT - BOTTOM, WIDTH - RIGHT]
  return [
    `<text class="title" x="${LEFT}" y="18">${escapeText(title)}</text>`,
    ...up.marks.map(mark => {
      const at = up.at(mark).toFixed(1)
      const text = `<text x="${LEFT - 8}" y="${at}" dy="4" text-anchor="end">${escapeText(y.show(mark))}</text>`
      return `<line class="grid" x1="${LEFT}" x2="${right}" y1="${at}" y2="${at}"/>${text}`
    }),
    ...across.marks.map(mark => {
      const at = across.at(mark).toFixed(1)
      const text = `<text x="${at}" y="${bottom + 18}" text-anchor="middle">${escapeText(x.show(mark))}</text>`
      return `<line class="grid" x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 4}"/>${text}`
    }),
    `<text x="${(LEFT + right) / 2}" y="${bottom + 38}" text-anchor="middle">${escapeText(x.label)}</text>`,
    `<text x="${LEFT}" y="${TOP - 16}" text-anchor="end">${escapeText(y.label)}</text>`,
    ...shown.map((line, at) => drawLine(line, at, across, up)),
    ...drawNames(shown, across, up),
  ].join('\n')
}

function fits([x, y]: readonly [number, number], across: Axis, up: Axis): boolean {
  const isShown = (value: number, { scale }: Axis) => Number.isFinite(value) && (scale === 'linear' || value > 0)
  return isShown(x, across) && isShown(y, up)
}

function drawLine({ points }: Line, at: number, across: Place, up: Place): string {
  const places = points.map(([x, y]) => `${across.at(x).toFixed(1)},${up.at(y).toFixed(1)}`)
  const colour = `c${at % COLOURS.length}`
  const dash = DASHES[at % DASHES.length]
  const dashes = dash === '' ? '' : ` stroke-dasharray="${dash}"`
  const line = `<polyline class="line ${colour}"${dashes} points="${places.join(' ')}"/>`
  if (points.length > 12) return line
  const dots = places
    .map(one => one.split(','))
    .map(([x, y]) => `<circle class="dot ${colour}" cx="${x}" cy="${y}" r="3"/>`)
  return line + dots.join('')
}

/** The name of each line beside its end; names that would touch move apart. */
function drawNames(lines: readonly Line[], across: Place, up: Place): string[] {
  const names = lines
    .map(({ name, points }, at) => ({ name, at, end: points.at(-1) }))
    .filter(({ end }) => end !== undefined)
    .map(({ name, at, end }) => ({ name, at, x: across.at(end![0]), y: up.at(end![1]) }))
    .sort((a, b) => a.y - b.y)
  for (let at = 1; at < names.length; at++) names[at]!.y = Math.max(names[at]!.y, names[at - 1]!.y + LABEL_GAP)
  const over = Math.max(0, (names.at(-1)?.y ?? 0) - (HEIGHT - BOTTOM))
  return names.map(
    ({ name, at, x, y }) =>
      `<text class="name c${at % COLOURS.length}" x="${(x + 8).toFixed(1)}" y="${(y - over).toFixed(1)}" dy="4">${escapeText(name)}</text>`,
  )
}

function place({ scale }: Axis, values: readonly number[], [from, to]: readonly [number, number]): Place {
  const marks = scale === 'log' ? powersOfTen(values) : roundSteps(values)
  const project = (value: number) => (scale === 'log' ? Math.log10(value) : value)
  const low = project(marks[0]!)
  const high = project(marks.at(-1)!)
  return { marks, at: value => from + ((project(value) - low) / (high - low || 1)) * (to - from) }
}

function powersOfTen(values: readonly number[]): number[] {
  if (values.length === 0) return [1, 10]
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  return Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at))
}

/** Zero and steps of 1, 2 or 5 times a power of ten, about five of them. */
function roundSteps(values: readonly number[]): number[] {
  const high = Math.max(...values, Number.MIN_VALUE)
  const rough = 10 ** Math.floor(Math.log10(high / 4))
  const step = [1, 2, 5, 10].map(times => times * rough).find(one => high / one <= 6)!
  return Array.from({ length: Math.ceil(high / step) + 1 }, (_, at) => at * step)
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
