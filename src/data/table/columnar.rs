//! Files that store a table by columns: Parquet, and Arrow's own (Feather).

use super::layout::Layout;
use super::{Reading, Table};
use crate::error::{Error, Result};
use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Parquet,
    /// With a footer; Feather's second version is the same.
    ArrowFile,
    /// Without one.
    ArrowStream,
    /// Feather's first version.
    OldFeather,
}

impl Form {
    pub fn of(start: &[u8]) -> Option<Self> {
        match start {
            [b'P', b'A', b'R', b'1', ..] => Some(Self::Parquet),
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Some(Self::ArrowFile),
            [0xff, 0xff, 0xff, 0xff, _, _, 0, 0, ..] => Some(Self::ArrowStream),
            [b'F', b'E', b'A', b'1', ..] => Some(Self::OldFeather),
            _ => None,
        }
    }
}

/// Reads such a file, every column on its own core.
pub(super) fn read(
    path: &Path,
    form: Form,
    input: impl BufRead,
    layout: &Layout,
    choose: impl FnOnce(&[String]) -> Vec<Reading>,
) -> Result<Table> {
    layout.check_not_text()?;
    layout.check_no_database()?;
    if form == Form::OldFeather {
        let message =
            "expected Feather of version 2 or Parquet, got version 1; write it again with today's library";
        return Err(Error::format(path, message));
    }
    // The crates that decode these files may panic on damaged ones.
    let read = AssertUnwindSafe(|| reader::read(path, form, input, choose));
    catch_unwind(read).unwrap_or_else(|_| Err(Error::format(path, "damaged: it cannot be decoded")))
}

#[cfg(not(feature = "arrow"))]
mod reader {
    use super::{BufRead, Error, Form, Path, Reading, Result, Table};

    pub fn read(
        path: &Path,
        form: Form,
        _: impl BufRead,
        _: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<Table> {
        Err(Error::without_feature(path, if form == Form::Parquet { "parquet" } else { "arrow" }))
    }
}

#[cfg(feature = "arrow")]
mod reader {
    use super::super::arrow::push;
    use super::super::cells::Cells;
    use super::super::{claims, shown};
    use super::{BufRead, Error, Form, Path, Reading, Result, Table};
    use arrow_array::{RecordBatch, RecordBatchReader};
    use arrow_ipc::reader::{FileReader, StreamReader};
    use arrow_schema::{ArrowError, Schema};
    use bytes::Bytes;
    use rayon::prelude::*;
    use std::collections::BTreeSet;
    use std::io::Cursor;

    pub fn read(
        path: &Path,
        form: Form,
        mut input: impl BufRead,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<Table> {
        let mut contents = Vec::new();
        input.read_to_end(&mut contents).map_err(|e| Error::io("read", path, e))?;
        let contents = Bytes::from(contents);
        if form == Form::Parquet {
            return parquet(path, &contents, choose);
        }
        claims::check(&contents, form == Form::ArrowFile)
            .map_err(|damage| Error::format(path, format!("damaged: {damage}")))?;
        let refuse = |error: ArrowError| Error::format(path, format!("damaged: {error}"));
        let open = |places: Option<Vec<usize>>| -> Result<Box<dyn RecordBatchReader>> {
            let contents = Cursor::new(contents.clone());
            Ok(match form {
                Form::ArrowStream => Box::new(StreamReader::try_new(contents, places).map_err(refuse)?),
                _ => Box::new(FileReader::try_new(contents, places).map_err(refuse)?),
            })
        };
        let columns = Columns::new(path, &open(None)?.schema(), choose)?;
        let batches = open(Some(columns.places()))?;
        columns.of_batches(path, batches.map(|batch| batch.map_err(refuse)))
    }

    /// A column, its place in the file and how it is read, with its place among the names.
    type Named<'a> = (usize, &'a (String, usize, Reading));

    /// The columns of a file that have names.
    struct Columns {
        /// The columns with their places in the file and how they are read.
        names: Vec<(String, usize, Reading)>,
        notes: Vec<String>,
    }

    impl Columns {
        fn new(path: &Path, schema: &Schema, choose: impl FnOnce(&[String]) -> Vec<Reading>) -> Result<Self> {
            let (mut names, mut places, mut notes) = (Vec::new(), Vec::new(), Vec::new());
            let mut seen = BTreeSet::new();
            for (place, field) in schema.fields().iter().enumerate() {
                let name = field.name();
                if name.is_empty() || name.starts_with("__index_level_") {
                    notes.push(format!("column {} is left out, as it has no name", place + 1));
                } else if seen.insert(name) {
                    names.push(name.clone());
                    places.push(place);
                } else {
                    let message = format!("expected every column once, got \"{}\" twice", shown(name));
                    return Err(Error::format(path, message));
                }
            }
            let readings = choose(&names);
            let names = names.into_iter().zip(places).zip(readings);
            Ok(Self { names: names.map(|((name, place), reading)| (name, place, reading)).collect(), notes })
        }

        /// The columns that are read, each with its place among the names.
        fn read(&self) -> impl Iterator<Item = Named<'_>> {
            self.names.iter().enumerate().filter(|(_, (.., reading))| *reading != Reading::Skip)
        }

        fn places(&self) -> Vec<usize> {
            self.read().map(|(_, (_, place, _))| *place).collect()
        }

        fn of_batches(
            self,
            path: &Path,
            batches: impl Iterator<Item = Result<RecordBatch>>,
        ) -> Result<Table> {
            let mut cells = vec![Cells::default(); self.names.len()];
            let mut rows = 0;
            for batch in batches {
                let batch = batch?;
                rows += batch.num_rows();
                // A column of nothing takes no bytes in the file, but some for each row here.
                if rows > u32::MAX as usize {
                    let message = format!("expected at most {} rows, got {rows} or more", u32::MAX);
                    return Err(Error::format(path, message));
                }
                let mut columns: Vec<_> = cells
                    .iter_mut()
                    .zip(&self.names)
                    .filter(|(_, (.., reading))| *reading != Reading::Skip)
                    .zip(batch.columns())
                    .collect();
                columns.par_iter_mut().try_for_each(|((cells, (name, _, reading)), column)| {
                    push(path, name, column, *reading, cells)
                })?;
            }
            self.table(path, cells, rows)
        }

        fn table(self, path: &Path, cells: Vec<Cells>, rows: usize) -> Result<Table> {
            if rows == 0 {
                return Err(Error::format(path, "expected at least one row, got none"));
            }
            let header = self.names.into_iter().map(|(name, ..)| name).collect();
            Ok(Table { notes: self.notes, ..Table::of(path, header, cells, rows) })
        }
    }

    #[cfg(not(feature = "parquet"))]
    fn parquet(path: &Path, _: &Bytes, _: impl FnOnce(&[String]) -> Vec<Reading>) -> Result<Table> {
        Err(Error::without_feature(path, "parquet"))
    }

    /// Rows that are decoded together.
    #[cfg(feature = "parquet")]
    const BATCH: usize = 1 << 14;

    /// Reads each column by itself; where there are more cores than columns, each in several parts by its row groups,
    /// whose cells are then moved together.
    #[cfg(feature = "parquet")]
    fn parquet(
        path: &Path,
        contents: &Bytes,
        choose: impl FnOnce(&[String]) -> Vec<Reading>,
    ) -> Result<Table> {
        use parquet::arrow::ProjectionMask;
        use parquet::arrow::arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
        };
        let refuse = |error: &dyn std::fmt::Display| Error::format(path, format!("damaged: {error}"));
        let metadata =
            ArrowReaderMetadata::load(contents, ArrowReaderOptions::default()).map_err(|e| refuse(&e))?;
        let columns = Columns::new(path, metadata.schema(), choose)?;
        let groups = metadata.metadata().row_groups();
        let mut rows = groups.iter().map(|group| usize::try_from(group.num_rows()));
        let rows = rows.try_fold(0usize, |sum, rows| sum.checked_add(rows.ok()?));
        let rows = rows.ok_or_else(|| refuse(&"row groups with impossible numbers of rows"))?;
        let parts = rayon::current_num_threads().div_ceil(columns.read().count().max(1));
        let all: Vec<usize> = (0..groups.len()).collect();
        let part = groups.len().div_ceil(parts).max(1);
        let jobs: Vec<_> =
            columns.read().flat_map(|column| all.chunks(part).map(move |part| (column, part))).collect();
        let job = |&((column, (name, place, reading)), part): &(Named<'_>, &[usize])| {
            let reader =
                ParquetRecordBatchReaderBuilder::new_with_metadata(contents.clone(), metadata.clone())
                    .with_projection(ProjectionMask::roots(metadata.parquet_schema(), [*place]))
                    .with_row_groups(part.to_vec())
                    .with_batch_size(BATCH)
                    .build()
                    .map_err(|e| refuse(&e))?;
            // A damaged file may tell of more rows than fit into memory.
            let rows = part.iter().map(|&group| groups[group].num_rows() as usize);
            let rows = rows.fold(0, usize::saturating_add);
            let mut cells = Cells::with_capacity(rows.min(contents.len()));
            for batch in reader {
                let batch = batch.map_err(|e| refuse(&e))?;
                push(path, name, batch.column(0), *reading, &mut cells)?;
            }
            Ok((column, cells))
        };
        let pieces = jobs.par_iter().map(job).collect::<Result<Vec<_>>>()?;
        let mut cells = vec![Cells::default(); columns.names.len()];
        for (column, piece) in pieces {
            if cells[column].len() == 0 {
                cells[column] = piece;
            } else {
                cells[column].append(&piece);
            }
        }
        if columns.read().any(|(column, _)| cells[column].len() != rows) {
            return Err(refuse(&format!("expected {rows} rows in every column, got others")));
        }
        columns.table(path, cells, rows)
    }
}
