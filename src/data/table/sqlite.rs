//! Tables in SQLite databases.

use super::{Layout, Reading, Table};
use crate::error::Result;
use std::path::Path;

/// How a database begins.
pub(crate) fn begins(start: &[u8]) -> bool {
    start.starts_with(b"SQLite format 3\0")
}

#[cfg(not(feature = "sqlite"))]
pub(super) fn read(path: &Path, _: &Layout, _: impl FnOnce(&[String]) -> Vec<Reading>) -> Result<Table> {
    Err(crate::Error::without_feature(path, "sqlite"))
}

#[cfg(feature = "sqlite")]
pub(super) use reader::read;

#[cfg(feature = "sqlite")]
mod reader {
    use super::super::cells::Cells;
    use super::super::shown;
    use super::{Layout, Path, Reading, Result, Table};
    use crate::error::Error;
    use rusqlite::types::ValueRef;
    use rusqlite::{Connection, OpenFlags};

    /// The rows of the table or the query that `layout` names; of the only table where it names neither.
    pub fn read(
        path: &Path,
        layout: &Layout,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<Table> {
        layout.check_not_text()?;
        let refuse = |error: rusqlite::Error| Error::format(path, error.to_string());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).map_err(refuse)?;
        let query = match (&layout.query, &layout.table) {
            (Some(_), Some(_)) => return Err(Error::value("query", "no table beside it", "both")),
            (Some(query), None) => query.clone(),
            (None, table) => select(path, &database, table.as_deref())?,
        };
        let mut statement = database.prepare(&query).map_err(refuse)?;
        if !statement.readonly() || statement.column_count() == 0 {
            return Err(Error::value("query", "one that selects rows", shown(&query)));
        }
        let header: Vec<String> = statement.column_names().into_iter().map(String::from).collect();
        if let Some(name) =
            header.iter().enumerate().find_map(|(i, name)| header[..i].contains(name).then_some(name))
        {
            let message = format!("expected every column once, got \"{}\" twice", shown(name));
            return Err(Error::format(path, message));
        }
        let readings = choose(&header);
        let mut cells = vec![Cells::default(); header.len()];
        let mut rows = statement.query([]).map_err(refuse)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(refuse)? {
            for (i, cells) in cells.iter_mut().enumerate() {
                let reading = readings.get(i).copied().unwrap_or_default();
                if reading != Reading::Skip {
                    push(row.get_ref(i).map_err(refuse)?, reading, cells).map_err(|got| {
                        let column = shown(&header[i]);
                        let message =
                            format!("row {count}: expected a number or a text in \"{column}\", got {got}");
                        Error::format(path, message)
                    })?;
                }
            }
            count += 1;
        }
        if count == 0 {
            return Err(Error::format(path, "expected at least one row, got none"));
        }
        cells.iter_mut().for_each(Cells::shrink);
        Ok(Table::of(path, header, cells, count))
    }

    /// The query for all rows of a table or a view; of the only one if none is named.
    fn select(path: &Path, database: &Connection, table: Option<&str>) -> Result<String> {
        let names = || {
            let query = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name";
            let mut statement = database.prepare(query)?;
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
        };
        let names = names().map_err(|error| Error::format(path, error.to_string()))?;
        let known = || names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        let name = match (table, &names[..]) {
            (Some(table), names) if names.iter().any(|name| name == table) => table,
            (Some(table), _) => {
                return Err(Error::value("table", format!("one of the database, {}", known()), shown(table)));
            }
            (None, [only]) => only,
            (None, []) => return Err(Error::format(path, "expected a table in the database, got none")),
            (None, _) => {
                let message =
                    format!("expected the key table or query, as the database has the tables {}", known());
                return Err(Error::format(path, message));
            }
        };
        Ok(format!("SELECT * FROM \"{}\"", name.replace('"', "\"\"")))
    }

    fn push(value: ValueRef<'_>, reading: Reading, cells: &mut Cells) -> Result<(), &'static str> {
        match value {
            ValueRef::Null => cells.push_text(""),
            ValueRef::Integer(number) if reading.is_text() => cells.push_text(&number.to_string()),
            ValueRef::Integer(number) => cells.push_number(number as f64, false),
            ValueRef::Real(number) if reading.is_text() || !number.is_finite() => {
                cells.push_text(&number.to_string());
            }
            ValueRef::Real(number) => cells.push_number(number, true),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => cells.push_text(text.trim()),
                Err(_) => return Err("a text that is not UTF-8"),
            },
            ValueRef::Blob(_) => return Err("a blob"),
        }
        Ok(())
    }
}
