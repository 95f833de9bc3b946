use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use proptest::prelude::*;

use super::*;

const MEMORY: usize = 5 << 20;

fn shown(size: Size, stream: &[u8]) -> Screen {
    let mut screen = Screen::new(size, MEMORY);
    screen.feed(stream);
    screen
}

/// Rows of the scrollback and the screen, without blanks at their ends.
fn rows(screen: &Screen) -> Vec<Vec<Cell>> {
    let grid = screen.vt.term.grid();
    let first = -i32::try_from(grid.history_size()).expect("few");
    let last = i32::try_from(grid.screen_lines()).expect("few");
    let row = |line| {
        let mut cells: Vec<Cell> = (0..grid.columns()).map(|at| grid[Line(line)][Column(at)].clone()).collect();
        cells.iter_mut().filter(|cell| cell.c == '\t').for_each(|cell| cell.c = ' ');
        // It counts at a row's end alone, and is moved along with its cell.
        cells[..grid.columns() - 1].iter_mut().for_each(|cell| cell.flags.remove(Flags::WRAPLINE));
        // Where a wide character had no room there is nothing, in a colour that is not kept.
        for cell in cells.iter_mut().filter(|cell| cell.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER)) {
            *cell = Cell { flags: Flags::WRAPLINE, ..Cell::default() };
        }
        while cells.last().is_some_and(|cell| *cell == Cell::default()) {
            cells.pop();
        }
        cells
    };
    let mut rows: Vec<Vec<Cell>> = (first..last).map(row).collect();
    // That a row goes on in one that is blank cannot be told.
    for at in (0..rows.len()).rev() {
        if rows.get(at + 1).is_none_or(Vec::is_empty) {
            rows[at].iter_mut().for_each(|cell| cell.flags.remove(Flags::WRAPLINE));
            while rows[at].last().is_some_and(|cell| *cell == Cell::default()) {
                rows[at].pop();
            }
        }
    }
    rows
}

/// A terminal that got the snapshot shows the same, now and after whatever comes.
fn check(size: Size, before: &[u8], after: &[u8]) -> Result<(), TestCaseError> {
    let mut screen = shown(size, before);
    let Some(snapshot) = screen.whole() else { return Ok(()) };
    let grid = screen.vt.term.grid();
    let forgets = [&grid.cursor, &grid.saved_cursor]
        .into_iter()
        .any(|cursor| cursor.input_needs_wrap && grid[cursor.point].flags.contains(Flags::WRAPLINE));
    let said = String::from_utf8_lossy(&snapshot).into_owned();
    let mut copy = shown(size, &snapshot);
    for part in [&b""[..], after] {
        screen.feed(part);
        copy.feed(part);
        prop_assert!(forgets || rows(&screen) == rows(&copy), "rows, by {:?}", &said);
        same(&screen, &copy).map_err(|error| TestCaseError::fail(format!("{error}, by {said:?}")))?;
    }
    Ok(())
}

/// Two screens show the same, and have the same cursor and modes.
pub(crate) fn same(screen: &Screen, copy: &Screen) -> Result<(), TestCaseError> {
    // Which rows go on in the next matters where they are folded anew, and is not told of blank ones.
    let cells = |screen| {
        let mut rows = rows(screen);
        for row in &mut rows {
            row.iter_mut().for_each(|cell| cell.flags.remove(Flags::WRAPLINE));
            row.truncate(row.iter().rposition(|cell| *cell != Cell::default()).map_or(0, |last| last + 1));
        }
        rows
    };
    prop_assert_eq!(cells(screen), cells(copy), "cells");
    let (one, other) = (&screen.vt.term.grid().cursor, &copy.vt.term.grid().cursor);
    prop_assert_eq!((one.point, one.input_needs_wrap), (other.point, other.input_needs_wrap), "cursor");
    prop_assert_eq!((&screen.vt.title, &screen.vt.titles), (&copy.vt.title, &copy.vt.titles), "titles");
    prop_assert_eq!(&one.template.fg, &other.template.fg);
    prop_assert_eq!(&one.template.flags, &other.template.flags);
    prop_assert_eq!(screen.vt.term.mode(), copy.vt.term.mode(), "modes");
    Ok(())
}

pub(crate) fn size() -> impl Strategy<Value = Size> {
    (2_u16..14, 3_u16..8).prop_map(|(cols, rows)| Size { cols, rows })
}

/// What programs print, in small pieces.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-c ]{1,9}",
        2 => Just("\r\n".to_owned()),
        1 => prop::sample::select(vec!["\t", "\r", "\x08", "é", "e\u{301}", "\x1b7", "\x1b8", "\x1bM", "\x1bD", "\x1b(0", "\x1b(B", "\x0e", "\x0f", "\x1b)0"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["\x1b[?1049h", "\x1b[?1049l", "\x1b[?7l", "\x1b[?7h", "\x1b[4h", "\x1b[4l", "\x1b[?25l", "\x1b[?2004h", "\x1b[?1h", "\x1b=", "\x1b[?1002h", "\x1b[?1006h", "\x1bH", "\x1b[3g", "\x1b[?6h", "\x1b[?6l", "\x1b[?47h", "\x1b[?1047l", "\x1b[?1048h", "\x1b[?1048l", "\x1b[22;0t", "\x1b[23;0t"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["\x1b[m", "\x1b[1;31m", "\x1b[48;5;200m", "\x1b[38;2;1;2;3m", "\x1b[4:3;58:2::9:8:7m", "\x1b[7;9m", "\x1b[22;24m", "\x1b]8;id=x;http://a\x1b\\", "\x1b]8;;\x1b\\", "\x1b]2;title\x07"]).prop_map(str::to_owned),
        2 => (1_u8..9, 1_u8..15).prop_map(|(row, column)| format!("\x1b[{row};{column}H")),
        1 => (0_u8..9, 0_u8..9).prop_map(|(top, bottom)| format!("\x1b[{top};{bottom}r")),
        2 => (0_u8..4, prop::sample::select(vec!["J", "K", "L", "M", "P", "@", "X", "S", "T", "C", "A", "B", "E", "F"])).prop_map(|(count, what)| format!("\x1b[{count}{what}")),
    ]
}

pub(crate) fn stream(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..most).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_snapshot_shows_the_same_and_goes_on_the_same(size in size(), before in stream(40), after in "[a-c]{0,20}") {
        check(size, before.as_bytes(), after.as_bytes())?;
    }

    #[test]
    fn nothing_that_a_program_prints_does_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), size in size()) {
        let mut screen = shown(size, &bytes);
        screen.snapshot();
        screen.resize(Size { cols: 1, rows: 1 });
        screen.feed(&bytes);
        screen.resize(Size { cols: 200, rows: 60 });
        screen.snapshot();
    }
}

/// Not among the pieces above: where one has no room at a row's end, the colour of the blank that is left there is not kept.
#[test]
fn wide_characters_are_kept_also_where_they_begin_the_next_row() {
    let size = Size { cols: 5, rows: 4 };
    for before in ["中文", "a中文字b", "abcd中x", "\x1b[44m中\x1b[m文", "\x1b[1;5H中", "e\u{301}中\u{301}"] {
        check(size, before.as_bytes(), "字x".as_bytes()).expect(before);
    }
}

#[test]
fn a_row_goes_on_in_the_next_also_after_its_end_was_moved() {
    let size = Size { cols: 10, rows: 3 };
    check(size, b"\x1b[1;9Ha aa\x1b[4h\x1b8\x1b[3P", b"aaa").expect("the same");
}

#[test]
fn two_thousand_lines_of_eighty_columns_are_kept_and_fit() {
    let size = Size::USUAL;
    assert!(lines_within(size, MEMORY) >= 2000);
    assert_eq!(lines_within(Size { cols: 1000, rows: 500 }, MEMORY), 0);
    let stream: String = (0..5000).map(|line| format!("\x1b[31m{line:>78}\x1b[m\r\n")).collect();
    let mut screen = shown(size, stream.as_bytes());
    let snapshot = String::from_utf8(screen.snapshot()).expect("text");
    assert!(snapshot.len() <= crate::contract::terminal::FRAME_MAX);
    assert!(snapshot.contains("4999") && snapshot.contains(" 3001") && !snapshot.contains(" 1\r"));
}
