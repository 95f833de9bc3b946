//! `alacritty_terminal` where it differs from xterm, which viewers are or follow: what is done another way here is at the
//! top, all else goes through.

use alacritty_terminal::event::EventListener;
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Term, TermMode};
use alacritty_terminal::vte::ansi::cursor_icon::CursorIcon;
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, KeyboardModes,
    KeyboardModesApplyBehavior, LineClearMode, Mode, ModifyOtherKeys, NamedPrivateMode, PrivateMode, Rgb, ScpCharPath,
    ScpUpdateMode, StandardCharset, TabulationClearMode,
};

/// The alternate screen without (47) and with clearing (1047), and the saved cursor, which 1049 has in one.
const ALTERNATE: u16 = 47;
const ALTERNATE_CLEARED: u16 = 1047;
const SAVED_CURSOR: u16 = 1048;

/// The longest title that is kept, in characters.
const TITLE_MAX: usize = 256;
/// Titles that are kept to come back to, as in xterm.
const TITLES_MAX: usize = 10;

/// A terminal as xterm is one.
pub(super) struct Vt<T> {
    pub(super) term: Term<T>,
    /// Which set of characters is typed in: the engine does not tell.
    pub(super) active: CharsetIndex,
    /// What the program calls it; may be empty.
    pub(super) title: String,
    /// The rows that scroll, from 0, the last one included.
    pub(super) margins: (i32, i32),
    /// Titles that it means to come back to, the last one last.
    pub(super) titles: Vec<String>,
    /// It has put modes of the keyboard on a stack, which the engine does not tell.
    pub(super) stacked: bool,
}

impl<T: EventListener> Vt<T> {
    pub(super) fn new(term: Term<T>) -> Self {
        let margins = (0, term.bottommost_line().0);
        Self { term, active: CharsetIndex::G0, title: String::new(), margins, titles: Vec::new(), stacked: false }
    }

    pub(super) fn resize(&mut self, size: impl Dimensions) {
        self.cut_blanks(size.columns());
        self.term.resize(size);
        self.margins = (0, self.term.bottommost_line().0);
    }

    /// Blanks in a colour beyond the last column are no text that would go on in the next row.
    fn cut_blanks(&mut self, columns: usize) {
        let grid = self.term.grid_mut();
        let (first, last) = (grid.topmost_line().0, grid.bottommost_line().0);
        for row in (first..=last).map(Line) {
            let cells = &mut grid[row];
            for column in (columns..cells.len()).rev().map(Column) {
                let cell = &mut cells[column];
                if cell.c != ' ' || cell.extra.is_some() || cell.flags.intersects(Flags::WRAPLINE) {
                    break;
                }
                *cell = Cell::default();
            }
        }
    }

    fn row(&self) -> i32 {
        self.term.grid().cursor.point.line.0
    }

    fn move_to(&mut self, row: i32) {
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.line = Line(row);
        cursor.input_needs_wrap = false;
    }

    /// Changes the cursor's row. Whether it goes on in the next one the engine keeps in its last cell, which it moves away.
    fn within_row(&mut self, change: impl FnOnce(&mut Term<T>)) {
        let (line, last) = (self.term.grid().cursor.point.line, self.term.last_column());
        let goes_on = self.term.grid()[line][last].flags & Flags::WRAPLINE;
        change(&mut self.term);
        let row = &mut self.term.grid_mut()[line];
        row[..last].iter_mut().for_each(|cell| cell.flags.remove(Flags::WRAPLINE));
        row[last].flags.insert(goes_on);
    }

    /// A row that is blanked from its beginning does not go on from the one above.
    fn begin_anew(&mut self, row: i32) {
        let (above, last) = (Line(row - 1), self.term.last_column());
        if above >= self.term.topmost_line() {
            self.term.grid_mut()[above][last].flags.remove(Flags::WRAPLINE);
        }
    }

    /// The cursor goes along to the other screen, and back.
    fn swap(&mut self, alternate: bool) {
        if alternate == self.term.mode().contains(TermMode::ALT_SCREEN) {
            return;
        }
        let cursor = self.term.grid().cursor.clone();
        self.term.swap_alt();
        self.term.grid_mut().cursor = cursor;
    }
}

/// Methods that go through to the engine.
macro_rules! through {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {
        $(#[inline]
        fn $method(&mut self, $($argument: $kind),*) {
            self.term.$method($($argument),*);
        })*
    };
}

impl<T: EventListener> Handler for Vt<T> {
    /// The engine moves what it clears into the scrollback, where programs that draw anew would pile up.
    fn clear_screen(&mut self, mode: ClearMode) {
        let cursor = self.term.grid().cursor.point;
        match mode {
            ClearMode::All => self.term.grid_mut().reset_region(..),
            // The engine leaves the first row as it is where the cursor is in the second.
            ClearMode::Above if cursor.line > Line(0) => self.term.grid_mut().reset_region(..cursor.line),
            _ => {}
        }
        match mode {
            ClearMode::All | ClearMode::Above => self.begin_anew(0),
            ClearMode::Below if cursor.column == Column(0) => self.begin_anew(cursor.line.0),
            _ => {}
        }
        if !matches!(mode, ClearMode::All) {
            self.term.clear_screen(mode);
        }
    }

    fn clear_line(&mut self, mode: LineClearMode) {
        let cursor = self.term.grid().cursor.point;
        match mode {
            LineClearMode::All => self.begin_anew(cursor.line.0),
            LineClearMode::Right if cursor.column == Column(0) => self.begin_anew(cursor.line.0),
            _ => {}
        }
        self.within_row(|term| term.clear_line(mode));
    }

    /// The engine takes more than asked for where there are not as many.
    fn delete_chars(&mut self, count: usize) {
        let count = count.min(self.term.columns() - self.term.grid().cursor.point.column.0);
        self.within_row(|term| term.delete_chars(count));
    }

    fn erase_chars(&mut self, count: usize) {
        self.within_row(|term| term.erase_chars(count));
    }

    fn insert_blank(&mut self, count: usize) {
        self.within_row(|term| term.insert_blank(count));
    }

    /// Beyond the last row the engine takes any number.
    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let rows = self.term.screen_lines();
        let (top, bottom) = (top.max(1), bottom.filter(|bottom| (1..=rows).contains(bottom)).unwrap_or(rows));
        if top < bottom {
            let row = |number: usize| i32::try_from(number - 1).unwrap_or(0);
            self.margins = (row(top), row(bottom));
            self.term.set_scrolling_region(top, Some(bottom));
        }
    }

    /// Up to the margin; the engine counts it twice in origin mode.
    fn move_up(&mut self, rows: usize) {
        let (row, rows) = (self.row(), i32::try_from(rows).unwrap_or(i32::MAX));
        let top = if row >= self.margins.0 { self.margins.0 } else { 0 };
        self.move_to(row.saturating_sub(rows).max(top));
    }

    fn move_down(&mut self, rows: usize) {
        let (row, rows) = (self.row(), i32::try_from(rows).unwrap_or(i32::MAX));
        let bottom = if row <= self.margins.1 { self.margins.1 } else { self.term.bottommost_line().0 };
        self.move_to(row.saturating_add(rows).min(bottom));
    }

    fn move_down_and_cr(&mut self, rows: usize) {
        self.move_down(rows);
        self.carriage_return();
    }

    fn move_up_and_cr(&mut self, rows: usize) {
        self.move_up(rows);
        self.carriage_return();
    }

    /// 21 is a double line under the text, as in ECMA-48; the engine has it as the end of bold.
    fn terminal_attribute(&mut self, attribute: Attr) {
        let attribute = if attribute == Attr::CancelBold { Attr::DoubleUnderline } else { attribute };
        self.term.terminal_attribute(attribute);
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            // Whoever looks at it decides on the columns.
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => {}
            PrivateMode::Unknown(ALTERNATE | ALTERNATE_CLEARED) => self.swap(true),
            PrivateMode::Unknown(SAVED_CURSOR) => self.term.save_cursor_position(),
            other => self.term.set_private_mode(other),
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => {}
            PrivateMode::Unknown(ALTERNATE | ALTERNATE_CLEARED) => self.swap(false),
            PrivateMode::Unknown(SAVED_CURSOR) => self.term.restore_cursor_position(),
            other => self.term.unset_private_mode(other),
        }
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.active = index;
        self.term.set_active_charset(index);
    }

    #[inline]
    fn input(&mut self, c: char) {
        let goes_on = self.term.grid().cursor.input_needs_wrap;
        if self.term.mode().contains(TermMode::INSERT) && !goes_on {
            self.within_row(|term| term.input(c));
        } else {
            self.term.input(c);
        }
    }

    fn set_title(&mut self, title: Option<String>) {
        let title = title.unwrap_or_default();
        self.title = title.chars().filter(|c| !c.is_control()).take(TITLE_MAX).collect();
    }

    fn push_title(&mut self) {
        if self.titles.len() == TITLES_MAX {
            self.titles.remove(0);
        }
        self.titles.push(self.title.clone());
    }

    fn pop_title(&mut self) {
        self.title = self.titles.pop().unwrap_or(std::mem::take(&mut self.title));
    }

    fn reset_state(&mut self) {
        self.term.reset_state();
        (self.active, self.margins) = (CharsetIndex::G0, (0, self.term.bottommost_line().0));
        self.stacked = false;
    }

    fn push_keyboard_mode(&mut self, mode: KeyboardModes) {
        self.stacked = true;
        self.term.push_keyboard_mode(mode);
    }

    fn set_keyboard_mode(&mut self, mode: KeyboardModes, behavior: KeyboardModesApplyBehavior) {
        self.stacked = true;
        self.term.set_keyboard_mode(mode, behavior);
    }

    through! {
        set_cursor_style(style: Option<CursorStyle>);
        set_cursor_shape(shape: CursorShape);
        goto(line: i32, column: usize);
        goto_line(line: i32);
        goto_col(column: usize);
        identify_terminal(intermediate: Option<char>);
        device_status(what: usize);
        move_forward(columns: usize);
        move_backward(columns: usize);
        put_tab(count: u16);
        backspace();
        carriage_return();
        linefeed();
        bell();
        substitute();
        newline();
        set_horizontal_tabstop();
        scroll_up(rows: usize);
        scroll_down(rows: usize);
        insert_blank_lines(count: usize);
        delete_lines(count: usize);
        move_backward_tabs(count: u16);
        move_forward_tabs(count: u16);
        save_cursor_position();
        restore_cursor_position();
        clear_tabs(mode: TabulationClearMode);
        set_tabs(interval: u16);
        reverse_index();
        set_mode(mode: Mode);
        unset_mode(mode: Mode);
        report_mode(mode: Mode);
        report_private_mode(mode: PrivateMode);
        set_keypad_application_mode();
        unset_keypad_application_mode();
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        set_color(index: usize, color: Rgb);
        dynamic_color_sequence(prefix: String, index: usize, terminator: &str);
        reset_color(index: usize);
        clipboard_store(clipboard: u8, content: &[u8]);
        clipboard_load(clipboard: u8, terminator: &str);
        decaln();
        text_area_size_pixels();
        text_area_size_chars();
        set_hyperlink(link: Option<Hyperlink>);
        set_mouse_cursor_icon(icon: CursorIcon);
        report_keyboard_mode();
        pop_keyboard_modes(count: u16);
        set_modify_other_keys(mode: ModifyOtherKeys);
        report_modify_other_keys();
        set_scp(path: ScpCharPath, update: ScpUpdateMode);
    }
}
