//! A screen as the shortest stream that makes another terminal, reset and of the same size, show the same: scrollback,
//! screen, then the alternate screen where that is shown, then what is not seen (margins, modes, the cursor).
//!
//! Rows follow each other as they were printed: one that goes on in the next is not ended, so that the other terminal
//! knows of it too, and can fold it anew.

use std::io::Write;

use alacritty_terminal::event::EventListener;
use alacritty_terminal::grid::{Cursor, Dimensions, Grid};
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Term, TermMode};
use alacritty_terminal::vte::ansi::{CharsetIndex, CursorShape, Handler, StandardCharset};

use super::pen::Pen;
use super::vt::Vt;

/// The most bytes of scrollback and screen; the oldest rows are left out of more.
const ROWS_MAX: usize = 900 << 10;

/// Plain letters without colours and links, whatever was before.
const PLAIN: &[u8] = b"\x1b]8;;\x1b\\\x1b[m\x1b(B\x1b)B";

/// The stream.
pub(super) fn of<T: EventListener>(vt: &mut Vt<T>) -> Vec<u8> {
    let Vt { term, active, title, titles, margins, .. } = vt;
    let mut out = Vec::with_capacity(4 << 10);
    let alternate = term.mode().contains(TermMode::ALT_SCREEN);
    if alternate {
        let shown = term.grid().clone();
        term.swap_alt();
        screen(&mut out, term.grid(), true);
        cursor(&mut out, term.grid(), &term.grid().cursor, 0);
        // Swapping back clears what comes up and forgets what was saved.
        term.swap_alt();
        *term.grid_mut() = shown;
        out.extend_from_slice(b"\x1b[?1049h");
        out.extend_from_slice(PLAIN);
        // It came up in the colour of the cursor that it left.
        out.extend_from_slice(b"\x1b[2J\x1b[H");
        screen(&mut out, term.grid(), false);
    } else {
        screen(&mut out, term.grid(), true);
    }
    tab_stops(&mut out, term);
    // Before there are margins, which a cursor cannot be put beyond in origin mode.
    if term.grid().saved_cursor != Cursor::default() {
        cursor(&mut out, term.grid(), &term.grid().saved_cursor, 0);
        out.extend_from_slice(b"\x1b7");
    }
    if *margins != (0, term.bottommost_line().0) {
        let _ = write!(out, "\x1b[{};{}r", margins.0 + 1, margins.1 + 1);
    }
    let is_origin = term.mode().contains(TermMode::ORIGIN);
    if is_origin {
        out.extend_from_slice(b"\x1b[?6h");
    }
    cursor(&mut out, term.grid(), &term.grid().cursor, if is_origin { margins.0 } else { 0 });
    if *active == CharsetIndex::G1 {
        out.push(0x0e);
    }
    modes(&mut out, *term.mode());
    cursor_style(&mut out, term);
    colors(&mut out, term);
    for title in titles {
        let _ = write!(out, "\x1b]0;{title}\x07\x1b[22;0t");
    }
    if !title.is_empty() {
        let _ = write!(out, "\x1b]0;{title}\x07");
    }
    out
}

/// All rows of a grid, from its scrollback on.
fn screen(out: &mut Vec<u8>, grid: &Grid<Cell>, scrollback: bool) {
    let first = if scrollback { -i32::try_from(grid.history_size()).unwrap_or(0) } else { 0 };
    let rows = i32::try_from(grid.screen_lines()).unwrap_or(i32::MAX);
    let last = last_row(grid, first, rows);
    let mut starts = Vec::new();
    let begin = out.len();
    let mut goes_on = false;
    for line in first..=last {
        // Only where a row begins anew can what is before be left out.
        if !goes_on {
            starts.push(out.len());
        }
        goes_on = row(out, grid, Line(line), goes_on) && line < last;
        if !goes_on && line < last {
            out.extend_from_slice(b"\r\n");
        }
    }
    let surplus = (out.len() - begin).saturating_sub(ROWS_MAX);
    if surplus > 0 {
        let end = out.len();
        let start = starts.into_iter().find(|start| start - begin >= surplus).unwrap_or(end);
        out.drain(begin..start);
    }
}

/// The last row that must be printed: rows below it are as blank as in any new terminal.
fn last_row(grid: &Grid<Cell>, first: i32, rows: i32) -> i32 {
    if first < 0 {
        // All of them push the scrollback to where it belongs.
        return rows - 1;
    }
    let last = (0..rows).rev().find(|line| length(grid, Line(*line)) > 0).unwrap_or(0);
    let goes_on = grid[Line(last)][Column(grid.columns() - 1)].flags.contains(Flags::WRAPLINE);
    (last + i32::from(goes_on)).min(rows - 1)
}

/// Cells of a row up to the last that is not blank.
fn length(grid: &Grid<Cell>, line: Line) -> usize {
    let row = &grid[line];
    if row[Column(grid.columns() - 1)].flags.contains(Flags::WRAPLINE) {
        return grid.columns();
    }
    (0..grid.columns()).rev().find(|at| !is_blank(&row[Column(*at)])).map_or(0, |at| at + 1)
}

fn is_blank(cell: &Cell) -> bool {
    matches!(cell.c, ' ' | '\t') && cell.extra.is_none() && Pen::of(cell) == Pen::default()
}

/// A row; whether it goes on in the next one.
fn row(out: &mut Vec<u8>, grid: &Grid<Cell>, line: Line, continued: bool) -> bool {
    let cells = &grid[line];
    let columns = grid.columns();
    let length = length(grid, line);
    let erased = erased(grid, line, length);
    let mut pen = Pen::default();
    let mut blanks = 0;
    if continued && length > 0 && Pen::of(&cells[Column(0)]) != pen {
        // A row is begun in the colour that is written in, all of it: so first without, and then over it.
        glyph(out, &cells[Column(0)]);
        out.push(b'\r');
    }
    for at in 0..erased {
        let cell = &cells[Column(at)];
        if cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
            continue;
        }
        // A wide character that had no room here goes on in the next row by itself, from here.
        if cell.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER) {
            skip(out, &mut pen, std::mem::take(&mut blanks));
            if !begins_wide(grid, line + 1) {
                pen.reset(out);
                out.push(b' ');
            }
            continue;
        }
        // The first of a row that goes on must be printed, since that is what begins the row.
        // So must the last of a row that goes on.
        let ends = at == columns - 1;
        if is_blank(cell) && !(continued && at == 0) && !ends {
            blanks += 1;
            continue;
        }
        skip(out, &mut pen, std::mem::take(&mut blanks));
        pen.change(out, cell);
        glyph(out, cell);
    }
    if continued && length == 0 {
        out.push(b' ');
    }
    if erased < length {
        skip(out, &mut pen, blanks);
        pen.change(out, &cells[Column(erased)]);
        out.extend_from_slice(b"\x1b[K");
    }
    pen.reset(out);
    length == columns && cells[Column(columns - 1)].flags.contains(Flags::WRAPLINE)
}

/// From where on a row is blank to its end and in one colour: as good as erased, which is no text to fold. Its first cell,
/// which begins the row, is never among them.
fn erased(grid: &Grid<Cell>, line: Line, length: usize) -> usize {
    let cells = &grid[line];
    let Some(last) = length.checked_sub(1).filter(|last| last + 1 == grid.columns()).map(|at| &cells[Column(at)])
    else {
        return length;
    };
    let blank = Cell { bg: last.bg, ..Cell::default() };
    if *last != blank {
        return length;
    }
    (1..length).rev().find(|at| cells[Column(*at)] != blank).map_or(1, |at| at + 1)
}

fn begins_wide(grid: &Grid<Cell>, line: Line) -> bool {
    line <= grid.bottommost_line() && grid[line][Column(0)].flags.contains(Flags::WIDE_CHAR)
}

/// Leaves cells blank.
fn skip(out: &mut Vec<u8>, pen: &mut Pen, cells: usize) {
    if cells == 0 {
        return;
    }
    if cells > 4 {
        let _ = write!(out, "\x1b[{cells}C");
    } else {
        pen.reset(out);
        out.extend(std::iter::repeat_n(b' ', cells));
    }
}

fn glyph(out: &mut Vec<u8>, cell: &Cell) {
    let mut push = |c: char| {
        let mut buffer = [0; 4];
        out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    };
    // A tab is kept as what it was written as, and moves nothing here.
    push(if cell.c.is_control() { ' ' } else { cell.c });
    cell.zerowidth().unwrap_or_default().iter().copied().filter(|c| !c.is_control()).for_each(push);
}

/// Puts the cursor where it was, with what it writes next; `origin` is the row that counts as the first.
fn cursor(out: &mut Vec<u8>, grid: &Grid<Cell>, cursor: &Cursor<Cell>, origin: i32) {
    let row = (cursor.point.line.0 - origin).max(0);
    let mut column = cursor.point.column.0.min(grid.columns() - 1);
    let cells = &grid[cursor.point.line.max(Line(0)).min(grid.bottommost_line())];
    let waits = cursor.input_needs_wrap && column == grid.columns() - 1;
    if waits && cells[Column(column)].flags.contains(Flags::WIDE_CHAR_SPACER) {
        column = column.saturating_sub(1);
    }
    out.extend_from_slice(PLAIN);
    let _ = write!(out, "\x1b[{};{}H", row + 1, column + 1);
    if waits {
        // Only what is printed there makes the next character begin a new row. Where the row went on already, the engine
        // forgets that by it; xterm does not.
        let cell = &cells[Column(column)];
        let mut pen = Pen::default();
        pen.change(out, cell);
        glyph(out, cell);
        pen.reset(out);
    }
    Pen::default().change(out, &cursor.template);
    for (index, intermediate) in [(CharsetIndex::G0, b'('), (CharsetIndex::G1, b')')] {
        if cursor.charsets[index] == StandardCharset::SpecialCharacterAndLineDrawing {
            out.extend_from_slice(&[0x1b, intermediate, b'0']);
        }
    }
}

/// Sets tab stops where they are not the usual ones.
fn tab_stops<T: EventListener>(out: &mut Vec<u8>, term: &mut Term<T>) {
    let (cursor, columns) = (term.grid().cursor.clone(), term.columns());
    let mut stops = Vec::new();
    term.grid_mut().cursor.point = Point::new(Line(0), Column(0));
    loop {
        let before = term.grid().cursor.point.column.0;
        term.move_forward_tabs(1);
        let at = term.grid().cursor.point.column.0;
        if at <= before || at >= columns - 1 {
            break;
        }
        stops.push(at);
    }
    term.grid_mut().cursor = cursor;
    let usual: Vec<usize> = (8..columns.saturating_sub(1)).step_by(8).collect();
    if stops == usual {
        return;
    }
    out.extend_from_slice(b"\x1b[3g");
    for stop in stops {
        let _ = write!(out, "\x1b[1;{}H\x1bH", stop + 1);
    }
}

/// Modes that differ from those of a terminal that was reset.
fn modes(out: &mut Vec<u8>, mode: TermMode) {
    let is = |flag| mode.contains(flag);
    for (number, differs) in [
        (1, is(TermMode::APP_CURSOR)),
        (1000, is(TermMode::MOUSE_REPORT_CLICK)),
        (1002, is(TermMode::MOUSE_DRAG)),
        (1003, is(TermMode::MOUSE_MOTION)),
        (1004, is(TermMode::FOCUS_IN_OUT)),
        (1005, is(TermMode::UTF8_MOUSE)),
        (1006, is(TermMode::SGR_MOUSE)),
        (2004, is(TermMode::BRACKETED_PASTE)),
    ] {
        if differs {
            let _ = write!(out, "\x1b[?{number}h");
        }
    }
    for (number, differs) in
        [(7, !is(TermMode::LINE_WRAP)), (25, !is(TermMode::SHOW_CURSOR)), (1007, !is(TermMode::ALTERNATE_SCROLL))]
    {
        if differs {
            let _ = write!(out, "\x1b[?{number}l");
        }
    }
    for (sequence, differs) in [
        ("\x1b=", is(TermMode::APP_KEYPAD)),
        ("\x1b[4h", is(TermMode::INSERT)),
        ("\x1b[20h", is(TermMode::LINE_FEED_NEW_LINE)),
    ] {
        if differs {
            out.extend_from_slice(sequence.as_bytes());
        }
    }
    let keyboard =
        (mode & TermMode::KITTY_KEYBOARD_PROTOCOL).bits() >> TermMode::DISAMBIGUATE_ESC_CODES.bits().trailing_zeros();
    if keyboard != 0 {
        let _ = write!(out, "\x1b[>{keyboard}u");
    }
}

fn cursor_style<T: EventListener>(out: &mut Vec<u8>, term: &Term<T>) {
    let style = term.cursor_style();
    let shape = match style.shape {
        CursorShape::Underline => 4,
        CursorShape::Beam => 6,
        _ => 2,
    };
    let number = shape - u8::from(style.blinking);
    // 2 is the engine's default, and what programs leave unset must be what the viewer prefers.
    if number != 2 {
        let _ = write!(out, "\x1b[{number} q");
    }
}

/// Colours that the program has changed.
fn colors<T: EventListener>(out: &mut Vec<u8>, term: &Term<T>) {
    for index in 0..259_usize {
        let Some(color) = term.colors()[index] else { continue };
        let _ = match index {
            0..256 => write!(out, "\x1b]4;{index}"),
            // Foreground, background and cursor are 10, 11 and 12.
            _ => write!(out, "\x1b]{}", index - 256 + 10),
        };
        let _ = write!(out, ";rgb:{:02x}/{:02x}/{:02x}\x07", color.r, color.g, color.b);
    }
}
