//! How a cell looks, and the shortest way to say so.

use std::io::Write;

use alacritty_terminal::term::cell::{Cell, Flags, Hyperlink};
use alacritty_terminal::vte::ansi::{Color, NamedColor};

/// What counts of a cell's flags here: the others are about its place.
const LOOK: Flags = Flags::INVERSE
    .union(Flags::BOLD)
    .union(Flags::ITALIC)
    .union(Flags::DIM)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT)
    .union(Flags::ALL_UNDERLINES);

/// Flags and how to say them.
const WORDS: [(Flags, &str); 11] = [
    (Flags::BOLD, "1"),
    (Flags::DIM, "2"),
    (Flags::ITALIC, "3"),
    (Flags::UNDERLINE, "4"),
    (Flags::DOUBLE_UNDERLINE, "4:2"),
    (Flags::UNDERCURL, "4:3"),
    (Flags::DOTTED_UNDERLINE, "4:4"),
    (Flags::DASHED_UNDERLINE, "4:5"),
    (Flags::INVERSE, "7"),
    (Flags::HIDDEN, "8"),
    (Flags::STRIKEOUT, "9"),
];

/// How a cell looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pen {
    fg: Color,
    bg: Color,
    underline: Option<Color>,
    flags: Flags,
    link: Option<Hyperlink>,
}

impl Default for Pen {
    fn default() -> Self {
        Self {
            fg: Color::Named(NamedColor::Foreground),
            bg: Color::Named(NamedColor::Background),
            underline: None,
            flags: Flags::empty(),
            link: None,
        }
    }
}

impl Pen {
    /// That of a cell.
    pub(super) fn of(cell: &Cell) -> Self {
        Self {
            fg: cell.fg,
            bg: cell.bg,
            underline: cell.underline_color(),
            flags: cell.flags & LOOK,
            link: cell.hyperlink(),
        }
    }

    /// Says what is to be different for this cell.
    pub(super) fn change(&mut self, out: &mut Vec<u8>, cell: &Cell) {
        let new = Self::of(cell);
        if new != *self {
            self.become_other(out, new);
        }
    }

    /// Back to how a new terminal writes.
    pub(super) fn reset(&mut self, out: &mut Vec<u8>) {
        if *self != Self::default() {
            self.become_other(out, Self::default());
        }
    }

    fn become_other(&mut self, out: &mut Vec<u8>, new: Self) {
        if new.link != self.link {
            link(out, new.link.as_ref());
        }
        let plain = Self { link: new.link.clone(), ..Self::default() };
        if new == plain {
            let before = Self { link: plain.link.clone(), ..self.clone() };
            if before != plain {
                out.extend_from_slice(b"\x1b[m");
            }
        } else {
            new.say(out, self);
        }
        *self = new;
    }

    /// What differs; all of it anew where something must be taken away.
    fn say(&self, out: &mut Vec<u8>, before: &Self) {
        let lost = before.flags.difference(self.flags);
        let anew = !lost.is_empty() || (before.underline.is_some() && self.underline.is_none());
        let base = if anew { Self::default() } else { before.clone() };
        let mut words: Vec<String> = Vec::new();
        if anew {
            words.push("0".to_owned());
        }
        for (flag, word) in WORDS {
            if self.flags.contains(flag) && !base.flags.contains(flag) {
                words.push(word.to_owned());
            }
        }
        if self.fg != base.fg {
            words.push(color(self.fg, 30));
        }
        if self.bg != base.bg {
            words.push(color(self.bg, 40));
        }
        if self.underline != base.underline
            && let Some(underline) = self.underline
        {
            words.push(color(underline, 50));
        }
        if !words.is_empty() {
            let _ = write!(out, "\x1b[{}m", words.join(";"));
        }
    }
}

/// A colour as parameters; `base` is 30 for what is written, 40 for what is behind it, 50 for lines under it.
fn color(color: Color, base: u32) -> String {
    match color {
        Color::Spec(rgb) if base == 50 => format!("58:2::{}:{}:{}", rgb.r, rgb.g, rgb.b),
        Color::Spec(rgb) => format!("{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
        Color::Indexed(index) if base == 50 => format!("58:5:{index}"),
        Color::Indexed(index) => format!("{};5;{index}", base + 8),
        Color::Named(name) => match name as u32 {
            index @ 0..8 if base != 50 => (base + index).to_string(),
            index @ 8..16 if base != 50 => (base + 60 + index - 8).to_string(),
            index @ 0..16 => format!("58:5:{index}"),
            _ => (base + 9).to_string(),
        },
    }
}

fn link(out: &mut Vec<u8>, link: Option<&Hyperlink>) {
    let _ = match link {
        Some(link) => write!(out, "\x1b]8;id={};{}\x1b\\", link.id(), link.uri()),
        None => write!(out, "\x1b]8;;\x1b\\"),
    };
}
