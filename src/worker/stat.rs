//! A line of `/proc/PID/stat` (proc(5)).

/// What it says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker) struct Stat {
    /// Its name, as the kernel cuts it: 15 characters.
    pub(in crate::worker) name: String,
    /// It has ended, and only its parent does not know yet.
    pub(in crate::worker) has_ended: bool,
    /// The number of its parent.
    pub(in crate::worker) parent: i32,
    /// The device of its terminal; 0: it has none.
    pub(in crate::worker) terminal: u32,
    /// When it was begun, in ticks since the machine was.
    pub(in crate::worker) began: i64,
}

impl Stat {
    /// Reads one. The name may hold anything, brackets included.
    pub(in crate::worker) fn parse(line: &str) -> Option<Self> {
        let (front, back) = line.rsplit_once(')')?;
        let fields: Vec<&str> = back.split_whitespace().collect();
        Some(Self {
            name: front.split_once('(')?.1.to_owned(),
            has_ended: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            terminal: fields.get(4)?.parse::<i64>().ok().and_then(|device| u32::try_from(device).ok()).unwrap_or(0),
            began: fields.get(19)?.parse().ok()?,
        })
    }

    /// Its terminal, such as `/dev/pts/3`, where that is a pseudo-terminal.
    pub(in crate::worker) fn pts(&self) -> Option<String> {
        // Numbers as the kernel packs them; 136 to 143 are pseudo-terminals, 256 to each.
        let (major, minor) = ((self.terminal >> 8) & 0xFFF, (self.terminal & 0xFF) | ((self.terminal >> 12) & 0xFFF00));
        (136..144).contains(&major).then(|| format!("/dev/pts/{}", (major - 136) * 256 + minor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name_holds() {
        let line = |state: &str, terminal: u32| {
            format!("12 (a) S (b) {state} 7 12 12 {terminal} -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0")
        };
        let of = |terminal| Stat::parse(&line("S", terminal)).expect("read");
        let expected = Stat { name: "a) S (b".into(), has_ended: false, parent: 7, terminal: 0, began: 4711 };
        assert_eq!(of(0), expected);
        assert_eq!(of(34819).pts().as_deref(), Some("/dev/pts/3"));
        assert_eq!(of((137 << 8) | 1).pts().as_deref(), Some("/dev/pts/257"));
        assert_eq!(of((4 << 8) | 1).pts(), None, "a console");
        assert!(Stat::parse(&line("Z", 0)).expect("read").has_ended);
        assert_eq!(Stat::parse("12 bash S"), None);
    }
}
