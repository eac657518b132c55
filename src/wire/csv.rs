//! Tables as text, one row a line (RFC 4180), with a line feed as its end as everywhere on Unix. Reading is a library's.

/// Adds a row. Cells are quoted where others could be misread.
pub fn put_row<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (number, cell) in cells.into_iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        put_cell(text, cell);
    }
    text.push('\n');
}

fn put_cell(text: &mut String, cell: &str) {
    if !cell.contains([',', '"', '\r', '\n']) {
        text.push_str(cell);
        return;
    }
    text.push('"');
    for character in cell.chars() {
        if character == '"' {
            text.push('"');
        }
        text.push(character);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        let mut text = String::new();
        put_row(&mut text, ["name", "a key", "", "'#'"]);
        put_row(&mut text, ["a,b", "\"", "two\nlines", "\r"]);
        assert_eq!(text, "name,a key,,'#'\n\"a,b\",\"\"\"\",\"two\nlines\",\"\r\"\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::collection::vec("[a,\"\r\n #ü]{0,4}", 3), 1..5)) {
            let mut text = String::new();
            rows.iter().for_each(|row| put_row(&mut text, row.iter().map(String::as_str)));
            let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
            let read: Vec<Vec<String>> =
                reader.into_records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
