//! The rows to predict, from files, folders and standard input, some at a time.

use crate::array::{Array, DType, count};
use crate::cli::text;
use crate::data::images::{self, Form};
use crate::data::table::{Layout, Table, inputs_of, is_database};
use crate::data::{Column, Samples, Source};
use crate::error::{Error, Result};
use crate::model::{Description, Reads};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// At most this many rows, or bytes of samples, are read, predicted and written together.
const ROWS: usize = 1000;
const BYTES: usize = 1 << 24;

/// Some of the rows to predict.
pub(super) struct Batch {
    /// For each of the model's inputs its samples, `[rows, sample…]`, in the type that the model takes.
    pub samples: Vec<Array>,
    /// The origin of each row.
    pub places: Vec<Place>,
    /// Why rows beside these cannot be taken.
    pub refused: Vec<Error>,
}

/// The origin of a row.
pub(super) struct Place {
    pub input: String,
    /// The row's number in its file, from 0.
    pub number: usize,
    /// Whether the file has further rows.
    pub is_one_of_many: bool,
    /// The table's column of ids.
    pub id: Option<String>,
}

/// Reads files as the model's data was read.
pub(super) struct Reader {
    pub source: Source,
    pub description: Description,
    /// Whether light and dark are turned around in pictures.
    pub invert: bool,
}

impl Reader {
    /// Passes the rows of all files to `each`, in order.
    pub fn read(
        &self,
        paths: &[PathBuf],
        each: &mut dyn FnMut(Batch) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        // Pictures that are named one after another are decoded together.
        let mut pictures = Vec::new();
        for path in paths {
            if !self.description.others.inputs.is_empty() {
                self.several(path, each)?;
                continue;
            }
            let samples = match path == Path::new("-") {
                true => self.source.samples_of(path, standard_input()?)?,
                false => self.source.samples(path)?,
            };
            if let Samples::Pictures(files, notes) = samples {
                notes.iter().for_each(|note| note_of(path, note));
                pictures.extend(files);
                continue;
            }
            self.pictures(&std::mem::take(&mut pictures), each)?;
            match samples {
                Samples::Arrays(array) => self.array(path, array, each)?,
                Samples::Text(contents) if !self.description.columns.is_empty() => {
                    self.table(path, &contents, each)?;
                }
                Samples::Text(contents) | Samples::Picture(contents) => {
                    each(self.batch([(path.as_path(), self.picture(path, Some(&contents)))])?)?;
                }
                Samples::Pictures(..) => {}
            }
        }
        self.pictures(&pictures, each)
    }

    /// The rows of a batch, within [`ROWS`] and [`BYTES`].
    fn rows_at_once(&self) -> usize {
        let bytes = |input: &Reads| count(input.sample) * input.dtype.size();
        let row: usize = self.description.reads().iter().map(bytes).sum();
        (BYTES / row.max(1)).clamp(1, ROWS)
    }

    fn pictures(
        &self,
        files: &[PathBuf],
        each: &mut dyn FnMut(Batch) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for files in files.chunks(self.rows_at_once()) {
            let pictures: Vec<Result<Array>> =
                files.par_iter().map(|file| self.picture(file, None)).collect();
            each(self.batch(files.iter().map(PathBuf::as_path).zip(pictures))?)?;
        }
        Ok(())
    }

    /// Pictures of one row each.
    fn batch<'a>(&self, pictures: impl IntoIterator<Item = (&'a Path, Result<Array>)>) -> Result<Batch> {
        let (mut bytes, mut places, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (path, picture) in pictures {
            match picture {
                Ok(picture) => {
                    self.note_if_turned_around(path, &picture);
                    bytes.extend_from_slice(picture.bytes());
                    let input = path.to_string_lossy().into_owned();
                    places.push(Place { input, number: 0, is_one_of_many: false, id: None });
                }
                Err(error) => refused.push(error),
            }
        }
        let Description { dtype, sample, .. } = &self.description;
        let samples = Array::from_bytes(*dtype, &[&[places.len()], &sample[..]].concat(), bytes)?;
        Ok(Batch { samples: vec![samples], places, refused })
    }

    /// A picture in the size and the channels of the model's samples, from its contents or its file.
    fn picture(&self, path: &Path, contents: Option<&[u8]>) -> Result<Array> {
        let Description { dtype, sample, columns, .. } = &self.description;
        let form = Some(sample).filter(|_| *dtype == DType::U8).and_then(|sample| Form::of_sample(sample));
        let Some(form) = form else {
            let expected = match columns.is_empty() {
                true => format!("an array of {dtype} {}", text::samples(sample)),
                false => "a table".to_string(),
            };
            let message = format!(
                "expected {expected}, as the model was trained on, got something else; see neural predict --help"
            );
            return Err(Error::format(path, message));
        };
        let form = Form { background: self.source.background, ..form };
        let mut picture = match contents {
            Some(contents) => images::decode(path, contents, form)?,
            None => images::read(path, form)?,
        };
        if self.invert {
            let turned = picture.bytes().iter().map(|byte| 255 - byte).collect();
            picture = Array::from_bytes(DType::U8, picture.shape(), turned)?;
        }
        picture.reshape(sample)
    }

    fn note_if_turned_around(&self, path: &Path, picture: &Array) {
        if is_turned_around(picture, &self.description) {
            note_of(path, "light and dark are the other way around than in training, see --invert");
        }
    }

    /// An array of one sample or of several. Axes of one element may lack or abound.
    fn array(
        &self,
        path: &Path,
        array: Array,
        each: &mut dyn FnMut(Batch) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.refuse_invert(path)?;
        let sample = &self.description.sample;
        let long = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
        let (given, one) = (long(array.shape()), long(sample));
        if array.is_empty() || !(given == one || given.get(1..) == Some(&one)) {
            let message = format!("expected samples {}, got {:?}", text::samples(sample), array.shape());
            return Err(Error::format(path, message).into());
        }
        let rows = array.len() / count(sample).max(1);
        let array = array.reshape(&[&[rows], &sample[..]].concat())?;
        self.rows(path, &[array], &[], &|_| Ok(None), each)
    }

    /// A table, read as the run's was; rows that its columns cannot take are refused.
    fn table(
        &self,
        path: &Path,
        contents: &[u8],
        each: &mut dyn FnMut(Batch) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.refuse_invert(path)?;
        let (columns, id) = (&self.description.columns, self.source.id.as_deref());
        let layout = self.source.layout(columns.iter().map(|column| &column.name));
        let choose = |header: &[String]| Column::readings(header, columns, id);
        let table = if is_database(contents) {
            Table::read_columns(path, &layout, choose)?
        } else {
            // A run of a database takes other tables too.
            let layout = Layout { table: None, query: None, ..layout };
            Table::parse_columns(path, contents, &layout, choose)?
        };
        let encoded = table.try_encode(columns)?;
        encoded.notes().for_each(|note| note_of(path, &note));
        let id = id.filter(|id| table.header().iter().any(|name| name == id));
        let of_row = |row| id.map(|id| Ok(table.text(row, id)?.into_owned())).transpose();
        let refused = encoded.refused.clone();
        let inputs = inputs_of(encoded, columns, self.source.inputs.as_ref())?;
        let inputs: Vec<Array> = inputs.into_iter().map(|(_, array)| array).collect();
        self.rows(path, &inputs, &refused, &of_row, each)
    }

    /// Rows in blocks, without rows that are already refused or have a value that the model cannot take.
    fn rows(
        &self,
        path: &Path,
        arrays: &[Array],
        refused_rows: &[(usize, String)],
        id: &dyn Fn(usize) -> Result<Option<String>>,
        each: &mut dyn FnMut(Batch) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let reads = self.description.reads();
        let input = path.to_string_lossy();
        let rows = arrays.first().and_then(|array| array.shape().first()).copied().unwrap_or(0);
        let of = |from: usize, to: usize| -> Result<Vec<Array>> {
            let numbers: Vec<u32> = (from..to).map(|row| row as u32).collect();
            let one = |(input, array): (&Reads, &Array)| {
                let width = count(input.sample) * array.dtype().size();
                let bytes = array.bytes()[from * width..to * width].to_vec();
                let samples =
                    Array::from_bytes(array.dtype(), &[&[to - from], input.sample].concat(), bytes)?;
                input.samples_of(Some(&numbers), &samples).map(Cow::into_owned)
            };
            reads.iter().zip(arrays).map(one).collect()
        };
        let known: BTreeMap<usize, &str> =
            refused_rows.iter().map(|(row, message)| (*row, message.as_str())).collect();
        let at_once = self.rows_at_once();
        for from in (0..rows).step_by(at_once) {
            let to = rows.min(from + at_once);
            let (mut bytes, mut places, mut refused) =
                (vec![Vec::new(); reads.len()], Vec::new(), Vec::new());
            let mut take = |numbers: std::ops::Range<usize>, samples: &[Array]| {
                bytes
                    .iter_mut()
                    .zip(samples)
                    .for_each(|(bytes, array)| bytes.extend_from_slice(array.bytes()));
                for number in numbers {
                    let input = input.clone().into_owned();
                    places.push(Place { input, number, is_one_of_many: rows > 1, id: id(number)? });
                }
                Ok::<_, Error>(())
            };
            let is_known = known.range(from..to).next().is_some();
            match of(from, to) {
                Ok(samples) if !is_known => take(from..to, &samples)?,
                // Which of them it is.
                _ => {
                    for row in from..to {
                        match (known.get(&row), of(row, row + 1)) {
                            (Some(message), _) => refused.push(Error::format(path, *message)),
                            (None, Ok(samples)) => take(row..row + 1, &samples)?,
                            (None, Err(error)) => refused.push(Error::format(path, error.to_string())),
                        }
                    }
                }
            }
            let array = |(input, bytes): (&Reads, Vec<u8>)| {
                Array::from_bytes(input.dtype, &[&[places.len()], input.sample].concat(), bytes)
            };
            let samples = reads.iter().zip(bytes).map(array).collect::<Result<_>>()?;
            each(Batch { samples, places, refused })?;
        }
        Ok(())
    }

    /// The rows of a model with several inputs: a table with the columns of all, or an archive with a tensor for each.
    fn several(&self, path: &Path, each: &mut dyn FnMut(Batch) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.refuse_invert(path)?;
        if !self.description.columns.is_empty() {
            let contents = match path == Path::new("-") {
                true => standard_input()?,
                false => match self.source.samples(path)? {
                    Samples::Text(contents) => contents,
                    _ => {
                        return Err(
                            Error::format(path, "expected a table with the columns of all inputs").into()
                        );
                    }
                },
            };
            return self.table(path, &contents, each);
        }
        let reads = self.description.reads();
        let names: Vec<&str> = reads.iter().map(|input| input.name).collect();
        let arrays = self.source.arrays(path, &names)?;
        for (input, array) in reads.iter().zip(&arrays) {
            if array.shape().get(1..) != Some(input.sample) {
                let message = format!(
                    "{}: expected samples {}, got {:?}",
                    input.name,
                    text::samples(input.sample),
                    array.shape()
                );
                return Err(Error::format(path, message).into());
            }
        }
        self.rows(path, &arrays, &[], &|_| Ok(None), each)
    }

    fn refuse_invert(&self, path: &Path) -> Result<()> {
        match self.invert {
            true => Err(Error::value("--invert", "pictures", path.display())),
            false => Ok(()),
        }
    }
}

fn standard_input() -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut contents);
    read.map(|_| contents).map_err(|e| Error::io("read", Path::new("standard input"), e))
}

/// Nothing depends on whether it is read.
pub(super) fn note_of(path: &Path, note: &str) {
    let _ = writeln!(io::stderr(), "note: {}: {note}", path.display());
}

/// Whether a picture is clearly light while the training pictures are clearly dark on the whole, or the reverse. The
/// scaling tells their brightness only where it standardizes.
fn is_turned_around(picture: &Array, description: &Description) -> bool {
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let training = mean(description.scaling.mean.to_f64());
    let this = mean(picture.to_f64());
    training > 0.0 && ((training < 64.0 && this > 191.0) || (training > 191.0 && this < 64.0))
}
