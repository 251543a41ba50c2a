//! A data set in named tensors: a pair of inputs and targets, or a pair for each of training, validation and
//! test.

use super::rows::files::{Joined, Stored};
use super::{Ignored, Origins, Parts, TargetKind, Targets, Task, bytes, npy, place, safetensors};
use crate::array::{Array, DType, count};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The order of a picture's axes in arrays of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `[n, height, width, channels]`, as everything here has them.
    Nhwc,
    /// `[n, channels, height, width]`, as `PyTorch` has them.
    Nchw,
}

/// A place that holds tensors by name.
pub(crate) struct Tensors<'a> {
    path: &'a Path,
    names: Vec<String>,
    form: Form,
    read: Box<Read<'a>>,
    /// What opens inputs whose rows are to be read when they are needed.
    open: Option<Box<Open<'a>>>,
}

/// A tensor of inputs, in the form that a data set has it in.
pub(crate) enum Tensor {
    Memory(Array),
    Disk(Joined),
}

/// A tensor as it lies in a file.
enum Found {
    Memory(Array),
    /// The files of its rows, and its shape.
    Disk(Vec<Stored>, Vec<usize>),
}

impl Found {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Memory(array) => array.shape(),
            Self::Disk(_, shape) => shape,
        }
    }
}

/// Inputs and targets of one part, and the names of their tensors.
struct Rows {
    count: usize,
    x: Vec<Found>,
    y: Vec<Array>,
    origin: String,
    notes: Vec<String>,
}

/// Inputs, targets, the division of their rows, and notes.
pub(crate) type Loaded = (Vec<Tensor>, Vec<Array>, Parts, Vec<String>);

/// Reads the tensor of a name, if there is one.
type Read<'a> = dyn FnMut(&str) -> Result<Option<Array>> + 'a;

/// Opens the tensor of a name, if there is one, in one file or several.
type Open<'a> = dyn Fn(&str) -> Result<Option<Vec<Stored>>> + 'a;

impl<'a> Tensors<'a> {
    /// An `.npz` archive, or a folder of `.npy` files, of which a tensor may have several: its shards. Where the data stays
    /// `on disk`, inputs are opened and not read.
    pub(crate) fn npy(path: &'a Path, layout: Option<Layout>, is_on_disk: bool) -> Result<Self> {
        let form = Form { path: path.to_path_buf(), layout };
        if path.is_dir() {
            let entries = fs::read_dir(path).map_err(|e| Error::io("read", path, e))?;
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let mut names: Vec<String> =
                names.filter_map(|name| name.strip_suffix(".npy").map(String::from)).collect();
            names.sort();
            let all = names.clone();
            let files = move |name: &str| -> Result<Vec<PathBuf>> {
                let own = files_of(&all, name).map_err(|message| Error::format(path, message))?;
                Ok(own.into_iter().map(|file| path.join(format!("{file}.npy"))).collect())
            };
            let opened = files.clone();
            let read = move |name: &str| match &files(name)?[..] {
                [] => Ok(None),
                [one] => npy::read(one).map(Some),
                several => {
                    let arrays = several.iter().map(npy::read).collect::<Result<_>>()?;
                    bytes::concatenate(path, arrays).map(Some)
                }
            };
            let open: Box<Open> = Box::new(move |name| {
                let parts = opened(name)?.iter().map(|file| npy::open(file)).collect::<Result<Vec<_>>>()?;
                Ok(Some(parts).filter(|parts| !parts.is_empty()))
            });
            let open = is_on_disk.then_some(open);
            return Ok(Self { path, names, form, read: Box::new(read), open });
        }
        if path.extension().is_some_and(|extension| extension == "npy") {
            let message =
                "expected an .npz archive or a folder of .npy files with inputs and targets, got one array";
            return Err(Error::format(path, message));
        }
        if is_on_disk {
            let message =
                "expected a folder of .npy files, whose rows can be read alone, got an archive; unpack it";
            return Err(Error::format(path, message));
        }
        let mut archive = npy::Archive::open(path)?;
        let names = archive.names();
        Ok(Self { path, names, form, read: Box::new(move |name| archive.array(name)), open: None })
    }

    pub(crate) fn safetensors(path: &'a Path, layout: Option<Layout>, is_on_disk: bool) -> Result<Self> {
        let form = Form { path: path.to_path_buf(), layout };
        let (mut file, rows) = (safetensors::File::open(path)?, safetensors::File::open(path)?);
        let open: Box<Open> = Box::new(move |name| Ok(rows.open_rows(name)?.map(|one| vec![one])));
        let (names, open) = (file.names(), is_on_disk.then_some(open));
        Ok(Self { path, names, form, read: Box::new(move |name| file.array(name)), open })
    }

    /// The tensors `inputs` and `targets`; or where they are not there, those with `_train`, and with `_validation` (or
    /// `_val`, `_valid`) and `_test` as far as these are there. `x_train` may also be written `train_x`.
    pub(crate) fn load(mut self, inputs: &[&str], targets: &[&str]) -> Result<Loaded> {
        let plain = |name: &str| name.to_string();
        if let Some(rows) = self.rows(inputs, targets, &plain)? {
            let count = rows.count;
            let x = rows.x.into_iter().map(|x| self.whole(vec![x])).collect::<Result<_>>()?;
            return Ok((x, rows.y, Parts::undivided(count), rows.notes));
        }
        let Some(train) = self.part(inputs, targets, &["train"])? else {
            self.names.sort();
            let there = if self.names.is_empty() { "none".to_string() } else { self.names.join(", ") };
            let all = || inputs.iter().chain(targets);
            let names = all().copied().collect::<Vec<_>>().join(" and ");
            let parts = all().map(|name| format!("{name}_train")).collect::<Vec<_>>().join(" and ");
            let message = format!(
                "expected the tensors {names}, or {parts}, got {there}; name the correct ones as inputs and target"
            );
            return Err(Error::format(self.path, message));
        };
        let validation = self.part(inputs, targets, &["validation", "val", "valid"])?;
        let test = self.part(inputs, targets, &["test"])?;

        let rows = |part: &Option<Rows>| part.as_ref().map_or(0, |rows| rows.count);
        let origin = |part: &Option<Rows>| part.as_ref().map_or("", |rows| &rows.origin).to_string();
        let parts = Parts {
            train: train.count,
            validation: rows(&validation),
            test: rows(&test),
            origins: Origins {
                train: train.origin.clone(),
                validation: origin(&validation),
                test: origin(&test),
            },
        };
        let notes = train.notes.clone();
        let mut x: Vec<Vec<Found>> = inputs.iter().map(|_| Vec::new()).collect();
        let mut y = vec![Vec::new(); targets.len()];
        for rows in [Some(train), validation, test].into_iter().flatten() {
            x.iter_mut().zip(rows.x).for_each(|(parts, part)| parts.push(part));
            y.iter_mut().zip(rows.y).for_each(|(parts, part)| parts.push(part));
        }
        let x = x.into_iter().map(|parts| self.whole(parts)).collect::<Result<_>>()?;
        let y = y.into_iter().map(|parts| bytes::concatenate(self.path, parts)).collect::<Result<_>>()?;
        Ok((x, y, parts, notes))
    }

    /// The parts of an input, one after another.
    fn whole(&self, parts: Vec<Found>) -> Result<Tensor> {
        let (mut arrays, mut files) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Found::Memory(array) => arrays.push(array),
                Found::Disk(more, _) => files.extend(more),
            }
        }
        if files.is_empty() {
            return bytes::concatenate(self.path, arrays).map(Tensor::Memory);
        }
        let form = self.form.clone();
        Ok(Tensor::Disk(Joined::new(files, Box::new(move |array| form.of(array, "inputs")))))
    }
}

/// In which form inputs are wanted.
#[derive(Clone)]
struct Form {
    path: PathBuf,
    layout: Option<Layout>,
}

impl Form {
    /// Inputs as a data set has them.
    fn of(&self, x: Array, name: &str) -> Result<Array> {
        let x = stored(x).map_err(|e| Error::format(&self.path, format!("{name}: {e}")))?;
        let x = self.laid_out(x, name)?;
        // A vector is a sample of one number each.
        let shape = if let &[n] = x.shape() { vec![n, 1] } else { x.shape().to_vec() };
        x.reshape(&shape)
    }

    /// Inputs with their channels last. Without a layout, what looks as if they were first is refused: it could be
    /// trained on, as pictures of few rows and many channels.
    fn laid_out(&self, x: Array, name: &str) -> Result<Array> {
        let few = |size: usize| matches!(size, 1 | 3 | 4);
        match (self.layout, x.shape()) {
            (Some(Layout::Nchw), [_, _, _, _]) => channels_last(x),
            (Some(Layout::Nchw), shape) => {
                let message = format!(
                    "{name}: expected [n, channels, height, width] for layout \"nchw\", got {shape:?}"
                );
                Err(Error::format(&self.path, message))
            }
            (None, &[_, channels, height, width]) if few(channels) && !few(width) && height > 4 => {
                let message = format!(
                    "{name}: expected pictures [n, height, width, channels], got {:?}, which looks like channels first; \
                     set layout = \"nchw\" if it is, or layout = \"nhwc\" if these are pictures of {channels} x {height} \
                     with {width} channels",
                    x.shape()
                );
                Err(Error::format(&self.path, message))
            }
            _ => Ok(x),
        }
    }
}

impl Tensors<'_> {
    /// The rows of a part under one of the names that it goes by.
    fn part(&mut self, inputs: &[&str], targets: &[&str], names: &[&str]) -> Result<Option<Rows>> {
        for part in names {
            let rows = match self.rows(inputs, targets, &|name| format!("{name}_{part}"))? {
                None => self.rows(inputs, targets, &|name| format!("{part}_{name}"))?,
                rows => rows,
            };
            if rows.is_some() {
                return Ok(rows);
            }
        }
        Ok(None)
    }

    /// Inputs u8, i32 or f32 `[n, sample...]` and targets `[n, ...]` of as many rows, under names that `called` makes.
    fn rows(
        &mut self,
        inputs: &[&str],
        targets: &[&str],
        called: &dyn Fn(&str) -> String,
    ) -> Result<Option<Rows>> {
        let names: Vec<String> = inputs.iter().chain(targets).map(|name| called(name)).collect();
        let found = |(i, name): (usize, &String)| match &self.open {
            Some(open) if i < inputs.len() => Ok(open(name)?.map(|parts| {
                let shape = joined_shape(&parts);
                Found::Disk(parts, shape)
            })),
            _ => Ok((self.read)(name)?.map(Found::Memory)),
        };
        let arrays = names.iter().enumerate().map(found).collect::<Result<Vec<_>>>()?;
        let is_there = |wanted: bool| arrays.iter().position(|array| array.is_some() == wanted);
        if let (Some(lacking), Some(there)) = (is_there(false), is_there(true)) {
            let (lacking, there) = (&names[lacking], &names[there]);
            let message = format!("expected the tensor {lacking} that belongs to {there}, got none");
            return Err(Error::format(self.path, message));
        }
        let arrays: Vec<Found> = arrays.into_iter().flatten().collect();
        let Some(first) = arrays.first() else { return Ok(None) };
        let count = first.shape().first().copied();
        if let Some(other) =
            arrays.iter().position(|array| count.is_none() || array.shape().first() != count.as_ref())
        {
            let other = if other == 0 { arrays.len() - 1 } else { other };
            let message = format!(
                "expected {}[n, ...] and {}[n, ...] of as many rows, got {:?} and {:?}",
                names[0],
                names[other],
                first.shape(),
                arrays[other].shape()
            );
            return Err(Error::format(self.path, message));
        }
        let mut x = arrays;
        let y = x.split_off(inputs.len()).into_iter().map(|found| match found {
            Found::Memory(array) => Ok(array),
            Found::Disk(..) => Err(Error::format(self.path, "expected targets in memory")),
        });
        let y = y.collect::<Result<_>>()?;
        let mut notes = Vec::new();
        let input = |(x, name): (Found, &String)| match x {
            Found::Memory(array) => {
                notes.extend(rounded(&array, name));
                self.form.of(array, name).map(Found::Memory)
            }
            disk @ Found::Disk(..) => Ok(disk),
        };
        let x = x.into_iter().zip(&names).map(input).collect::<Result<_>>()?;
        Ok(Some(Rows { count: count.unwrap_or(0), x, y, origin: names.join(" and "), notes }))
    }
}

/// The shape of arrays one after another.
fn joined_shape(parts: &[Stored]) -> Vec<usize> {
    let mut shape = parts.first().map_or_else(Vec::new, |part| part.shape.clone());
    if let Some(rows) = shape.first_mut() {
        *rows = parts.iter().map(|part| part.shape.first().copied().unwrap_or(0)).sum();
    }
    shape
}

/// The files of a tensor among `all`: the one of its name, or else its shards in the order of their numbers.
///
/// # Errors
/// A message, when two shards have the same number, or there are others than `-of-N` says.
fn files_of<'f>(all: &'f [String], name: &str) -> std::result::Result<Vec<&'f str>, String> {
    if let Some(whole) = all.iter().find(|file| *file == name) {
        return Ok(vec![whole]);
    }
    let mut shards: Vec<_> = all.iter().filter_map(|file| Some((shard(file, name)?, &file[..]))).collect();
    shards.sort_unstable();
    for pair in shards.windows(2) {
        let [((one, _), first), ((other, _), second)] = [pair[0], pair[1]];
        if one == other {
            return Err(format!("expected one shard {one} of {name}, got {first}.npy and {second}.npy"));
        }
    }
    if let Some((of, file)) = shards.iter().find_map(|((_, of), file)| Some(((*of)?, file)))
        && (shards.len() as u64 != of || shards.iter().any(|((_, other), _)| *other != Some(of)))
    {
        let got = shards.iter().filter(|((_, other), _)| *other == Some(of)).count();
        return Err(format!(
            "expected {of} shards of {name} that end in -of-{of}, as {file}.npy says, and no others, got {got} in {} files",
            shards.len()
        ));
    }
    Ok(shards.into_iter().map(|(_, file)| file).collect())
}

/// The number of a shard of a tensor, and of how many it is one where the name of the file says so: `x-000`,
/// `x-00001-of-00010`, `x_3`. `None` for other files.
fn shard(file: &str, name: &str) -> Option<(u64, Option<u64>)> {
    let rest = file.strip_prefix(name)?.strip_prefix(['-', '_'])?;
    let number =
        |part: &str| -> Option<u64> { part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())? };
    match rest.split_once("-of-") {
        Some((index, of)) => Some((number(index)?, Some(number(of)?))),
        None => Some((number(rest)?, None)),
    }
}

/// Inputs in one of the types that a data set holds: whole numbers as u8 or i32, others as f32.
fn stored(x: Array) -> Result<Array> {
    match x.dtype() {
        DType::U8 | DType::I32 | DType::F32 => Ok(x),
        DType::Bool => Ok(x.cast(DType::U8)),
        DType::BF16 | DType::F64 => Ok(x.cast(DType::F32)),
        DType::U32 | DType::I64 | DType::U64 => {
            let range = f64::from(i32::MIN)..=f64::from(i32::MAX);
            if let Some((i, value)) = x.find(|value| !range.contains(&value)) {
                let expected = "whole numbers that i32 holds; store amounts beyond them as float32";
                return Err(Error::value("values", expected, format!("{value} in {}", place(x.shape(), i))));
            }
            Ok(x.cast(DType::I32))
        }
    }
}

/// The narrowest range of a feature, in steps of f32, in which f32 tells enough values apart.
const STEPS: f64 = 4096.0;

/// A note on the first feature whose values lie so close together for their size that many become equal in f32, in
/// which they are scaled.
fn rounded(x: &Array, name: &str) -> Option<String> {
    if !matches!(x.dtype(), DType::F64 | DType::I64 | DType::I32 | DType::U32 | DType::U64) {
        return None;
    }
    let features = count(x.shape().get(1..)?);
    let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY, true); features];
    for (i, value) in x.values().enumerate() {
        let (least, greatest, is_exact) = &mut ranges[i % features];
        (*least, *greatest) = (least.min(value), greatest.max(value));
        *is_exact &= f64::from(value as f32) == value;
    }
    let (feature, (least, greatest, step)) = ranges.into_iter().enumerate().find_map(|(i, range)| {
        let (least, greatest, is_exact) = range;
        let step = f64::from(f32::EPSILON) * least.abs().max(greatest.abs()).log2().floor().exp2();
        let is_near = least < greatest && greatest - least < STEPS * step;
        (!is_exact && is_near).then_some((i, (least, greatest, step)))
    })?;
    let which = if features == 1 { String::new() } else { format!("feature {feature} ") };
    Some(format!(
        "{name}: {which}from {least} to {greatest} is rounded to multiples of {step} by f32, in which it is scaled; subtract \
         its mean before saving it"
    ))
}

/// Arrays `[n, channels, …]` as `[n, …, channels]`.
pub(crate) fn channels_last(x: Array) -> Result<Array> {
    let &[n, channels, ref rest @ ..] = x.shape() else {
        return Err(Error::shape("layout", "[n, channels, height, width]", format!("{:?}", x.shape())));
    };
    let shape = [&[n], rest, &[channels]].concat();
    let (dtype, size, pixels) = (x.dtype(), x.dtype().size(), count(rest));
    let mut bytes = x.into_bytes();
    let mut planes = vec![0; channels * pixels * size];
    for sample in bytes.chunks_exact_mut(planes.len().max(1)) {
        planes.copy_from_slice(sample);
        for (i, element) in sample.chunks_exact_mut(size).enumerate() {
            let from = (i % channels * pixels + i / channels) * size;
            element.copy_from_slice(&planes[from..from + size]);
        }
    }
    Array::from_bytes(dtype, &shape, bytes)
}

/// The meaning of an array's numbers: classes or values.
pub(crate) fn targets(
    path: &Path,
    array: &Array,
    kind: Option<TargetKind>,
    task: Option<Task>,
    ignored: Option<Ignored>,
) -> Result<Targets> {
    let rows = array.shape()[0];
    let width = array.len().checked_div(rows).unwrap_or(0);
    let is_value = kind.map_or(task == Some(Task::Values), |kind| kind == TargetKind::Value);
    let values = || {
        let values = array.cast(DType::F32).reshape(&[rows, width])?;
        match ignored {
            Some(ignored) => Targets::partial(&values, ignored),
            None => Ok(Targets::Values(values)),
        }
    };
    if is_value {
        return values();
    }
    let refuse = |message: String| Err(Error::format(path, message));
    let numbers = array.to_f64();
    let fraction = numbers.iter().position(|number| number.fract() != 0.0);
    let is_one_hot = width > 1 && numbers.chunks_exact(width).all(is_one_hot);
    // A whole number at each position.
    let many_axes = array.shape().len() > 2;
    if width > 1
        && fraction.is_none()
        && (task == Some(Task::Classes) || kind == Some(TargetKind::Class))
        && (many_axes || !is_one_hot)
    {
        return Targets::at_positions(array, ignored).map_err(|e| Error::format(path, e.to_string()));
    }
    let is_class = match (kind, task) {
        (Some(_), _) => true,
        (None, Some(Task::Classes)) => width == 1 || is_one_hot,
        (None, Some(Task::Labels)) => width == 1 && fraction.is_none(),
        (None, None | Some(Task::Values)) if array.dtype().is_float() => {
            width == 1 && numbers.iter().all(|number| matches!(number, 0.0 | 1.0))
        }
        (None, None | Some(Task::Values)) => width == 1,
    };
    if !is_class {
        return values();
    }
    if ignored.is_some() {
        return refuse(format!(
            "expected values, or classes at positions [n, positions…], beside ignored, got one class a row in {:?}",
            array.shape()
        ));
    }
    if is_one_hot {
        let class =
            |row: &[f64]| row.iter().position(|&number| number == 1.0).map_or(0, |class| class as i32);
        let labels = numbers.chunks_exact(width).map(class).collect();
        return Ok(Targets::Classes { labels, names: (0..width).map(|class| class.to_string()).collect() });
    }
    if width != 1 {
        return refuse(format!(
            "expected one class a row, a number or a row of zeros with a single one, got targets of shape {:?}",
            array.shape()
        ));
    }
    if let Some(row) = fraction {
        return refuse(format!(
            "expected classes as whole numbers, got {} in row {row} of the targets; for a target of values, choose a loss \
             of values, such as mean-squared-error",
            numbers[row]
        ));
    }
    // `as` saturates far beyond the numbers that f64 tells apart.
    let labels: Vec<i64> = numbers.into_iter().map(|number| number as i64).collect();
    Targets::of_labels(&labels).map_err(|e| Error::format(path, e.to_string()))
}

/// Whether a row is zeros with a single one.
fn is_one_hot(row: &[f64]) -> bool {
    row.iter().all(|number| matches!(number, 0.0 | 1.0)) && row.iter().sum::<f64>() == 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_one_file_or_all_of_its_shards_in_their_order() {
        let of = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(ToString::to_string).collect();
            files_of(&files, "x").map(|own| own.join(" "))
        };
        for (files, expected) in [
            (&["x-1", "x-10", "x-2", "y-1"][..], "x-1 x-2 x-10"),
            (&["x", "x_2", "x-3"], "x"),
            (&["x_b", "x-", "x_test", "xx-1", "x-1-of-", "x--1"], ""),
            (&["x-00002-of-00002", "x-00001-of-00002"], "x-00001-of-00002 x-00002-of-00002"),
        ] {
            assert_eq!(of(files).as_deref(), Ok(expected), "{files:?}");
        }
        for (files, words) in [
            (&["x-1", "x_01"][..], "expected one shard 1 of x, got x-1.npy and x_01.npy"),
            (&["x-0-of-3", "x-2-of-3"], "expected 3 shards of x"),
            (&["x-0-of-2", "x-1-of-2", "x-2-of-2"], "got 3 in 3 files"),
            (&["x-0-of-1", "x-1"], "got 1 in 2 files"),
            (&["x-0-of-2", "x-1"], "expected 2 shards of x"),
            (&["x-0-of-2", "x-1-of-3"], "as x-0-of-2.npy says"),
        ] {
            let refused = of(files).expect_err("refused");
            assert!(refused.contains(words), "{files:?}: {refused}");
        }
    }
}
