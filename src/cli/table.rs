//! Tables for people: columns aligned by blanks, headers in capitals.

use super::text::{Look, Paint, width};

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// A cell in a colour.
    pub fn painted(paint: Option<Paint>, text: impl Into<String>) -> Cell {
        Cell { text: text.into(), paint }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell { text, paint: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        text.to_owned().into()
    }
}

/// A table of `N` columns.
#[derive(Debug)]
pub struct Table<const N: usize> {
    header: [&'static str; N],
    /// Row by row.
    cells: Vec<Cell>,
}

impl<const N: usize> Table<N> {
    /// An empty table. A header that begins with `>` makes its column right-aligned.
    pub fn new(header: [&'static str; N]) -> Table<N> {
        Table { header, cells: Vec::new() }
    }

    /// Adds a row. Cells that are empty are shown as `-`.
    pub fn row(&mut self, cells: [Cell; N]) {
        self.cells.extend(cells);
    }

    /// The table, each line with its end.
    pub fn render(&self, look: &Look) -> String {
        render(&self.header, &self.cells, look)
    }
}

/// A table of as many columns as its header has.
fn render(header: &[&'static str], cells: &[Cell], look: &Look) -> String {
    let titles: Vec<Cell> = header.iter().map(|title| title.trim_start_matches('>').into()).collect();
    let columns = header.len().max(1);
    let mut widths = vec![0; columns];
    for row in titles.chunks(columns).chain(cells.chunks(columns)) {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(shown(cell)).max(*widest);
        }
    }
    let mut text = String::new();
    for row in titles.chunks(columns).chain(cells.chunks(columns)) {
        let start = text.len();
        for ((cell, widest), title) in row.iter().zip(&widths).zip(header) {
            if text.len() > start {
                text.push_str("  ");
            }
            let pad = " ".repeat(widest.saturating_sub(width(shown(cell))));
            let painted = look.paint(cell.paint, shown(cell));
            let (first, second) = if title.starts_with('>') { (&*pad, &*painted) } else { (&*painted, &*pad) };
            text.push_str(first);
            text.push_str(second);
        }
        text.truncate(text.trim_end_matches(' ').len().max(start));
        text.push('\n');
    }
    text
}

fn shown(cell: &Cell) -> &str {
    if cell.text.is_empty() { "-" } else { &cell.text }
}

/// Facts, one a line: a label, and what is to be said; a fact with an empty label goes on with the one above.
#[derive(Debug, Default)]
pub struct Facts(Vec<(&'static str, Cell)>);

impl Facts {
    /// Adds a fact.
    pub fn add(&mut self, label: &'static str, text: impl Into<Cell>) {
        self.0.push((label, text.into()));
    }

    /// The facts, each line with its end.
    pub fn render(&self, look: &Look) -> String {
        let widest = self.0.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let line = |(label, cell): &(&str, Cell)| format!("{label:widest$}  {}\n", look.paint(cell.paint, shown(cell)));
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixTime;

    #[test]
    fn columns_are_aligned() {
        let plain = Look { terminal: false, colour: false, now: UnixTime(0) };
        let mut table = Table::new(["NAME", ">N", "STATE"]);
        table.row(["tv".into(), "7".into(), Cell::painted(Some(Paint::Good), "active")]);
        table.row(["網路".into(), "1200".into(), "".into()]);
        assert_eq!(table.render(&plain), "NAME     N  STATE\ntv       7  active\n網路  1200  -\n");
        let colour = table.render(&Look { colour: true, ..plain });
        assert_eq!(colour, "NAME     N  STATE\ntv       7  \x1b[32mactive\x1b[0m\n網路  1200  -\n");
        assert_eq!(Table::new(["A", "B"]).render(&plain), "A  B\n");
    }

    #[test]
    fn facts_are_aligned() {
        let mut facts = Facts::default();
        facts.add("Name", "tv");
        facts.add("Addresses", "a");
        facts.add("", "b");
        let plain = Look { terminal: false, colour: false, now: UnixTime(0) };
        assert_eq!(facts.render(&plain), "Name       tv\nAddresses  a\n           b\n");
    }
}
