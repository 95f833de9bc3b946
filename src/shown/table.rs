//! Columns of text.

/// Rows under a head, each column as wide as its longest text.
#[derive(Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// How wide each column must be.
    pub fn widths(&self) -> Vec<usize> {
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column)).map(|cell| length(cell));
        let column = |(index, head): (usize, &&str)| cells(index).max().unwrap_or(0).max(head.len());
        self.head.iter().enumerate().map(column).collect()
    }

    /// The head and the rows.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let head: Vec<String> = self.head.iter().map(|&name| name.to_owned()).collect();
        std::iter::once(&head).chain(&self.rows).map(|row| line(row, &widths)).collect()
    }
}

/// One row with columns of these widths, with a line break.
pub fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (index, cell) in cells.iter().enumerate() {
        text.push_str(cell);
        if index + 1 < cells.len() {
            let width = widths.get(index).copied().unwrap_or(0);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(length(cell)) + 2));
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Characters, colours aside.
fn length(cell: &str) -> usize {
    let mut count = 0;
    let mut escape = false;
    for c in cell.chars() {
        match (escape, c) {
            (false, '\x1b') => escape = true,
            (false, _) => count += 1,
            (true, 'm') => escape = false,
            (true, _) => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_and_lines_end_without_spaces() {
        let mut table = Table::new(&["NAME", "STATUS", "AGE"]);
        table.row(vec!["a-long-name".into(), "\x1b[32mok\x1b[0m".into(), "5s".into()]);
        table.row(vec!["b".into(), String::new(), String::new()]);
        assert_eq!(table.render(), "NAME         STATUS  AGE\na-long-name  \x1b[32mok\x1b[0m      5s\nb\n");
    }
}
