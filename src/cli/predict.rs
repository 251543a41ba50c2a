//! `neural predict`

use super::text;
use super::trained::{Answers, Trained};
use crate::array::{Array, DType, count};
use crate::data::images::{self, Form};
use crate::data::npy;
use crate::data::table::{Table, shown};
use crate::data::{Column, Source};
use crate::error::{Error, Result};
use crate::model::Description;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say what a trained model makes of pictures, rows of a table, or arrays
#[derive(Debug, clap::Args)]
#[command(after_help = "A file is known by its contents:
  PNG, JPEG   one picture, of any size and colour: it is brought to the size and the channels of the model's
              samples as a whole, so leave a margin where the training pictures have one
  NPY         one sample, or an array of samples
  otherwise   a table with a header, for a model of a table: its columns in any order, others besides are ignored

The digits of MNIST are light on dark: a digit that is drawn dark on light wants --invert.

Examples:
  neural predict runs/mnist-1 seven.png --invert
  neural predict runs/mnist-1 drawn/*.png --csv > answers.csv
  neural predict runs/pizza-1 tomorrow.csv
  printf 'Reservations,Temperature,Tourists\\n20,22,10\\n' | neural predict runs/pizza-1 -")]
pub struct Predict {
    #[command(flatten)]
    trained: Trained,

    /// Pictures, tables or NPY files; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Turn light and dark around in pictures
    #[arg(long)]
    invert: bool,

    /// How many of the likeliest classes to show
    #[arg(long, default_value_t = 3, value_name = "N")]
    top: usize,

    /// A JSON object a row
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// A table with all figures, separated by commas
    #[arg(long)]
    csv: bool,
}

/// What an NPY file begins with.
const NPY: &[u8] = b"\x93NUMPY";

/// What a model said of one row.
struct Row<'a> {
    input: &'a str,
    /// The row's number in its file, from 0.
    number: usize,
    /// Whether the file has further rows.
    is_one_of_many: bool,
    /// What the table's column of ids says of the row.
    id: Option<String>,
    figures: Vec<f64>,
    class: Option<usize>,
}

impl Predict {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let model = self.trained.model()?;
        let description = &model.description;
        let source = self.trained.folder()?.recipe()?.data;
        let device = self.trained.open_device()?;
        // One batch, so that one program serves.
        let (mut sources, mut bytes, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for path in &self.files {
            let contents = read(path)?;
            let samples = if description.columns.is_empty() || contents.starts_with(NPY) {
                let samples = self.samples(path, &contents, description)?;
                ids.resize(ids.len() + samples.shape()[0], None);
                samples
            } else {
                let (samples, of_rows) = self.rows_of_table(path, &contents, &source, description)?;
                ids.extend(of_rows);
                samples
            };
            sources.push((path.to_string_lossy().into_owned(), samples.shape()[0]));
            bytes.extend_from_slice(samples.bytes());
        }
        let total = sources.iter().map(|(_, rows)| rows).sum();
        let samples =
            Array::from_bytes(description.dtype, &[&[total], &description.sample[..]].concat(), bytes)?;
        let outputs = model.predict(&device, &samples)?;
        let width = outputs.shape()[1];
        let answers = Answers::of(description, width).with_threshold(self.trained.threshold()?);

        let outputs = outputs.to_f64();
        let mut rows = Vec::new();
        let places = sources.iter().flat_map(|(input, rows)| (0..*rows).map(move |row| (input, row, *rows)));
        for (((input, number, of), outputs), id) in places.zip(outputs.chunks_exact(width.max(1))).zip(ids) {
            let figures = answers.figures(outputs);
            let class = answers.class(&figures);
            rows.push(Row { input, number, is_one_of_many: of > 1, id, figures, class });
        }
        let id = source.id.as_deref().filter(|_| rows.iter().any(|row| row.id.is_some()));
        let text = if self.json {
            rows.iter().map(|row| as_json(&answers, id, row).to_string() + "\n").collect()
        } else if self.csv {
            as_csv(&answers, id, &rows)?
        } else {
            self.as_text(&answers, id, &rows)
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    /// The samples in a file's contents, `[n, sample…]` as the model takes them.
    fn samples(&self, path: &Path, contents: &[u8], description: &Description) -> Result<Array> {
        let is_array = contents.starts_with(NPY);
        if self.invert && is_array {
            return Err(Error::value("--invert", "pictures", path.display()));
        }
        if is_array {
            return as_samples(path, npy::decode(path, contents)?, description);
        }
        let Description { dtype, sample, .. } = description;
        let form = match (dtype, &sample[..]) {
            (DType::U8, &[height, width]) => Form::of_sample(&[height, width, 1]),
            (DType::U8, sample) => Form::of_sample(sample),
            _ => None,
        };
        let Some(form) = form else {
            let message = format!(
                "expected an NPY array of {dtype} {}, as the model was trained on arrays that are no pictures",
                text::samples(sample)
            );
            return Err(Error::format(path, message));
        };
        let mut picture = images::decode(path, contents, form)?;
        if self.invert {
            let turned = picture.bytes().iter().map(|byte| 255 - byte).collect();
            picture = Array::from_bytes(DType::U8, picture.shape(), turned)?;
        }
        if is_turned_around(&picture, description) {
            let note = "light and dark are the other way around than in training, see --invert";
            // Nothing depends on whether it is read.
            let _ = writeln!(io::stderr(), "note: {}: {note}", path.display());
        }
        picture.reshape(&[&[1], &sample[..]].concat())
    }

    /// The rows of a table, read as the run's data was, with their ids if the run has a column of such.
    fn rows_of_table(
        &self,
        path: &Path,
        contents: &[u8],
        source: &Source,
        description: &Description,
    ) -> Result<(Array, Vec<Option<String>>)> {
        if self.invert {
            return Err(Error::value("--invert", "pictures", path.display()));
        }
        let (columns, id) = (&description.columns, source.id.as_deref());
        let layout = source.layout(columns.iter().map(|column| &column.name));
        let table =
            Table::parse_columns(path, contents, &layout, |header| Column::readings(header, columns, id))?;
        let encoded = table.try_encode(columns)?;
        if let Some((_, message)) = encoded.refused.into_iter().next() {
            return Err(Error::format(path, message));
        }
        for (column, rows) in encoded.unknown {
            let note = format!(
                "{rows} rows hold names in column \"{}\" that are in none of the training rows",
                shown(&column)
            );
            // Nothing depends on whether it is read.
            let _ = writeln!(io::stderr(), "note: {}: {note}", path.display());
        }
        let id = id.filter(|id| table.header().iter().any(|name| name == id));
        let of_row = |row| id.map(|id| Ok(table.text(row, id)?.into_owned())).transpose();
        Ok((encoded.features, (0..table.rows()).map(of_row).collect::<Result<_>>()?))
    }

    fn as_text(&self, answers: &Answers, id: Option<&str>, rows: &[Row]) -> String {
        let Some(first) = rows.first() else { return String::new() };
        let mut lines = vec![vec!["input".to_string()]];
        lines[0].extend(id.map(|id| shown(id).into_owned()));
        if first.class.is_some() {
            lines[0].extend(["class".into(), answers.figure.into()]);
            if self.top > 1 {
                lines[0].push("then".into());
            }
        } else if answers.names.len() == 1 {
            lines[0].push(answers.figure.into());
        } else {
            lines[0].extend(answers.names.iter().map(|name| format!("{} {name}", answers.figure)));
        }
        for row in rows {
            let input = match row.is_one_of_many {
                true => format!("{}[{}]", row.input, row.number),
                false => row.input.to_string(),
            };
            let mut line = vec![input];
            line.extend(id.map(|_| shown(row.id.as_deref().unwrap_or_default()).into_owned()));
            let Some(class) = row.class else {
                line.extend(row.figures.iter().map(|figure| answers.shown(*figure)));
                lines.push(line);
                continue;
            };
            let mut others: Vec<usize> = (0..row.figures.len()).filter(|i| *i != class).collect();
            others.sort_by(|a, b| row.figures[*b].total_cmp(&row.figures[*a]));
            let shown = |i: usize| answers.shown(row.figures[i]);
            let others = others.into_iter().take(self.top.saturating_sub(1));
            let others: Vec<String> = others.map(|i| format!("{} {}", answers.names[i], shown(i))).collect();
            line.extend([answers.names[class].clone(), shown(class), others.join(", ")]);
            lines.push(line);
        }
        let left = if first.class.is_some() { 4 } else { 1 };
        text::table(&lines, left + usize::from(id.is_some()))
    }
}

/// The whole of a file, a pipe, or standard input.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().lock().read_to_end(&mut contents),
        false => File::open(path).and_then(|mut file| file.read_to_end(&mut contents)),
    };
    read.map(|_| contents).map_err(|e| Error::io("read", path, e))
}

/// An array of one sample or of several as `[n, sample…]` in the model's type. Axes of one element may lack or abound.
fn as_samples(path: &Path, array: Array, description: &Description) -> Result<Array> {
    let sample = &description.sample;
    let long = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    let (given, one) = (long(array.shape()), long(sample));
    let fits = given == one || given.get(1..) == Some(&one);
    if !fits || array.is_empty() {
        let message = format!("expected samples {}, got {:?}", text::samples(sample), array.shape());
        return Err(Error::format(path, message));
    }
    let rows = array.len() / count(sample).max(1);
    let array = array.reshape(&[&[rows], &sample[..]].concat())?;
    let samples = description.samples(&array).map_err(|e| Error::format(path, e.to_string()))?;
    Ok(samples.into_owned())
}

/// Whether a picture is clearly light where the training pictures are clearly dark on the whole, or the other way
/// around. The scaling knows what those are only where it standardizes.
fn is_turned_around(picture: &Array, description: &Description) -> bool {
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let training = mean(description.scaling.mean.to_f64());
    let this = mean(picture.to_f64());
    training > 0.0 && ((training < 64.0 && this > 191.0) || (training > 191.0 && this < 64.0))
}

fn as_json(answers: &Answers, id: Option<&str>, row: &Row) -> Value {
    let mut object = Map::new();
    object.insert("input".into(), row.input.into());
    object.insert("row".into(), row.number.into());
    if let (Some(name), Some(id)) = (id, &row.id) {
        object.insert(name.into(), id.as_str().into());
    }
    match row.class {
        Some(class) => {
            object.insert("class".into(), answers.names[class].as_str().into());
            object.insert(answers.figure.into(), json!(row.figures[class]));
            let all = answers.names.iter().cloned().zip(row.figures.iter().map(|figure| json!(figure)));
            let many = if answers.figure == "score" { "scores" } else { "probabilities" };
            object.insert(many.into(), Value::Object(all.collect()));
        }
        None => {
            object.insert("outputs".into(), json!(row.figures));
        }
    }
    Value::Object(object)
}

fn as_csv(answers: &Answers, id: Option<&str>, rows: &[Row]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let is_class = rows.iter().any(|row| row.class.is_some());
    let mut header = vec!["input".to_string(), "row".into()];
    header.extend(id.map(String::from));
    if is_class {
        header.push("class".into());
    }
    header.extend(answers.names.iter().map(|name| format!("{}_{name}", answers.figure)));
    writer.write_record(&header)?;
    for row in rows {
        let mut cells = vec![row.input.to_string(), row.number.to_string()];
        cells.extend(id.map(|_| row.id.clone().unwrap_or_default()));
        cells.extend(row.class.map(|class| answers.names[class].clone()));
        cells.extend(row.figures.iter().map(ToString::to_string));
        writer.write_record(&cells)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
