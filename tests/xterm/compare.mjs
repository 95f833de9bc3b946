// What xterm.js shows of a stream, whole and restored from snapshots at cuts: `node compare.mjs FILE`, FILE being JSON
// {size, steps: [{data} | {resize}], cuts: [{after, size, snapshot}]}, bytes in hexadecimal digits. Prints what differs as JSON.
import { readFileSync } from 'node:fs'

import unicode11 from '@xterm/addon-unicode11'
import headless from '@xterm/headless'

const SCROLLBACK = 2000

function terminal([cols, rows]) {
  const options = { scrollback: SCROLLBACK, allowProposedApi: true, logLevel: 'off', windowOptions: { pushTitle: true, popTitle: true } }
  const terminal = new headless.Terminal({ cols, rows, ...options })
  terminal.loadAddon(new unicode11.Unicode11Addon())
  terminal.unicode.activeVersion = '11'
  terminal.onTitleChange((title) => (terminal.title = title))
  return terminal
}

const write = (terminal, hex) => new Promise((resolve) => terminal.write(Buffer.from(hex, 'hex'), resolve))

async function play(terminal, step) {
  if (step.data) return write(terminal, step.data)
  const [cols, rows] = step.resize
  terminal.resize(cols, rows)
  // It keeps what a narrower alternate screen has no room for, and brings it back.
  const { lines } = terminal._core._bufferService.buffers.alt
  for (let at = 0; at < lines.length; at++) lines.get(at).resize(cols, terminal._core.buffer.getNullCell())
}

/** How a cell or pen looks, as text. */
function look(terminal, attributes) {
  const extended = attributes.hasExtendedAttrs() ? attributes.extended : undefined
  const link = extended && terminal._core._oscLinkService.getLinkData(extended.urlId)?.uri
  const style = extended?.underlineStyle || (attributes.isUnderline() ? 1 : 0)
  const flags = ['Bold', 'Italic', 'Dim', 'Blink', 'Inverse', 'Invisible', 'Strikethrough', 'Overline'].filter((flag) => attributes[`is${flag}`]())
  const color = (side) => {
    const mode = attributes[`get${side}ColorMode`]()
    return mode && `${side}${mode >> 24}:${attributes[`get${side}Color`]()}`
  }
  return [color('Fg'), color('Bg'), ...flags, style && `_${style}`, style && extended?.underlineColor, link].filter(Boolean).join(',')
}

/** A row, from where it begins to differ from a blank one to its end. */
function row(terminal, buffer, at) {
  const line = buffer.getLine(at)
  const cells = []
  for (let x = 0; x < terminal.cols; x++) {
    const cell = line.getCell(x)
    const said = look(terminal, cell)
    if (cell.getWidth() > 0) cells.push((cell.getChars() || ' ') + (said && `{${said}}`))
  }
  while (cells.at(-1) === ' ') cells.pop()
  return cells.join('')
}

function shown(terminal, buffer) {
  const rows = []
  for (let at = 0; at < buffer.length; at++) rows.push(row(terminal, buffer, at))
  // The alternate screen is not folded anew, and loses track of it.
  const wraps = rows.map((text, at) => text !== '' && buffer.type === 'normal' && buffer.getLine(at).isWrapped)
  return rows.map((text, at) => (wraps[at] ? '↪' : '') + text)
}

function state(terminal) {
  const { buffer } = terminal
  const core = terminal._core
  const inner = core.buffer
  return {
    buffer: buffer.active.type,
    cursor: [buffer.active.cursorX, buffer.active.cursorY],
    pen: look(terminal, core._inputHandler._curAttrData),
    title: terminal.title ?? '',
    modes: terminal.modes,
    encoding: core.coreMouseService.activeEncoding,
    hidden: core.coreService.isCursorHidden,
    margins: [inner.scrollTop, inner.scrollBottom],
    charset: [core._charsetService.glevel, ...[0, 1].map((g) => Boolean(core._charsetService._charsets[g]?.q))],
    // Where there is scrollback it loses track of the row.
    saved: [inner.savedX, buffer.active.type === 'alternate' ? inner.savedY : 0],
    style: [core.coreService.decPrivateModes.cursorStyle, core.coreService.decPrivateModes.cursorBlink],
    normal: shown(terminal, buffer.normal),
    alternate: buffer.active.type === 'alternate' ? shown(terminal, buffer.alternate) : [],
  }
}

/** What differs, named. Rows are compared from the lowest up. */
function differences(whole, restored) {
  const found = []
  for (const [key, wanted] of Object.entries(whole)) {
    const got = restored[key]
    if (JSON.stringify(wanted) === JSON.stringify(got)) continue
    if (!Array.isArray(wanted) || typeof wanted[0] !== 'string') {
      found.push({ what: key, wanted, got })
      continue
    }
    if (wanted.length !== got.length) found.push({ what: `${key} rows`, wanted: wanted.length, got: got.length })
    for (let up = 1; up <= Math.min(wanted.length, got.length); up++) {
      if (wanted.at(-up) !== got.at(-up)) found.push({ what: `${key} row -${up}`, wanted: wanted.at(-up), got: got.at(-up) })
    }
  }
  return found
}

const { size, steps, cuts } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const states = []
const whole = terminal(size)
const told = []
const tell = (cut, when, found) => told.push(...found.map((one) => ({ cut, when, ...one })))
for (const [at, step] of steps.entries()) {
  await play(whole, step)
  for (const cut of cuts.filter(({ after }) => after === at)) {
    const restored = terminal(cut.size)
    await write(restored, cut.snapshot)
    tell(cut.after, 'at the cut', differences(state(whole), state(restored)))
    states.push({ restored, after: at })
  }
}
const end = state(whole)
for (const { restored, after } of states) {
  for (const step of steps.slice(after + 1)) await play(restored, step)
  tell(after, 'at the end', differences(end, state(restored)))
}
process.stdout.write(JSON.stringify({ rows: end.normal.length + end.alternate.length, differences: told }))
