//! The table at the end: what was measured, on which server, and whether it kept its bound.

use std::fmt;

/// One line.
struct Row {
    what: String,
    latchkey: String,
    peer: String,
    other: String,
    bound: String,
    kept: Option<bool>,
}

/// All lines of a run.
pub struct Table {
    peers: [&'static str; 2],
    rows: Vec<Row>,
}

impl Table {
    /// latchkey beside these.
    pub fn beside(peers: [&'static str; 2]) -> Table {
        Table { peers, rows: Vec::new() }
    }

    /// A figure without a bound; `peer` is what the first of the others came to, or empty.
    pub fn figure(&mut self, what: &str, latchkey: String, peer: String) {
        self.compare(what, latchkey, peer, String::new(), None);
    }

    /// A figure with a bound, and whether it was kept.
    pub fn bound(&mut self, what: &str, latchkey: String, peer: String, bound: &str, kept: bool) {
        self.compare(what, latchkey, peer, String::new(), Some((bound, kept)));
    }

    /// A figure of all three servers, and its bound if there is one.
    pub fn compare(&mut self, what: &str, latchkey: String, peer: String, other: String, bound: Option<(&str, bool)>) {
        let (bound, kept) = bound.map_or((String::new(), None), |(bound, kept)| (bound.into(), Some(kept)));
        self.push(Row { what: what.into(), latchkey, peer, other, bound, kept });
    }

    /// Shows what is known already: a run takes more than a minute, and may fail before the table is complete.
    fn push(&mut self, row: Row) {
        eprintln!("  {}: {} {} {}", row.what.trim_start(), row.latchkey, row.peer, row.other);
        self.rows.push(row);
    }

    /// How many bounds were missed.
    pub fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.kept == Some(false)).count()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Row) -> &str, least: usize| {
            self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).max(least)
        };
        let what = width(|row| &row.what, 4);
        let [first, second] = self.peers;
        let (latchkey, peer) = (width(|row| &row.latchkey, 8), width(|row| &row.peer, first.len()));
        let (other, bound) = (width(|row| &row.other, second.len()), width(|row| &row.bound, 5));
        writeln!(
            f,
            "{:what$}  {:>latchkey$}  {:>peer$}  {:>other$}  {:bound$}",
            "", "latchkey", first, second, "bound"
        )?;
        writeln!(f, "{}", "-".repeat(what + latchkey + peer + other + bound + 16))?;
        for row in &self.rows {
            let verdict = match row.kept {
                Some(true) => "  kept",
                Some(false) => "  MISSED",
                None => "",
            };
            let line = format!(
                "{:what$}  {:>latchkey$}  {:>peer$}  {:>other$}  {:bound$}{verdict}",
                row.what, row.latchkey, row.peer, row.other, row.bound
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// 12345 as "12,345".
pub fn thousands(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The middle of the values, which must be some.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
