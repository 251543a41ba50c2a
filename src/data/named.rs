//! Data sets with several inputs and several targets, each by its name.

use super::{Dataset, Scale, Scaling, Targets, check_inputs};
use crate::array::{Array, DType, count};
use crate::error::{Error, Result};
use crate::named;

/// An input beside the first one of a [`Dataset`].
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The input of the network that it is for.
    pub name: String,
    /// As [`Dataset::inputs`].
    pub values: Array,
    /// How the values were scaled.
    pub scaling: Scaling,
}

/// A target beside the first one of a [`Dataset`].
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The output of the network that it is for.
    pub name: String,
    /// One entry a row.
    pub targets: Targets,
    /// As [`Dataset::target_scaling`].
    pub scaling: Scaling,
}

/// One of the inputs of a [`Dataset`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct InputView<'a> {
    /// Empty where the data has one input.
    pub name: &'a str,
    /// `[rows, …]`
    pub values: &'a Array,
    /// How the values were scaled.
    pub scaling: &'a Scaling,
}

/// One of the targets of a [`Dataset`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TargetView<'a> {
    /// Empty where the data has one target.
    pub name: &'a str,
    /// One entry a row.
    pub targets: &'a Targets,
    /// How the targets were scaled.
    pub scaling: &'a Scaling,
}

impl<'a> InputView<'a> {
    /// The shape of one row.
    pub fn sample(&self) -> &'a [usize] {
        self.values.shape().get(1..).unwrap_or(&[])
    }
}

impl Dataset {
    /// Adds an input. The first one is called `input` unless [`Dataset::named`] names it.
    ///
    /// ```
    /// use neural::{Array, data::{Dataset, Scaling, Splits, Target, Targets}};
    /// let splits = Splits { train: vec![0, 1], ..Splits::default() };
    /// let pictures = Array::new(&[2, 2, 2, 1], vec![0u8; 8])?;
    /// let data = Dataset::new(pictures, Targets::numbered(vec![0, 1])?, splits)?
    ///     .with_input("table", Array::new(&[2, 1], vec![1f32, 2.0])?)?
    ///     .with_target("price", Targets::Values(Array::new(&[2, 1], vec![10f32, 20.0])?))?;
    /// let names: Vec<&str> = data.all_inputs().map(|input| input.name).collect();
    /// assert_eq!(names, ["input", "table"]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When it has another number of rows, a value that is not finite, or the name of another; where rows are read when
    /// needed, as one reader returns all inputs, see [`Dataset::from_named_rows`].
    pub fn with_input(mut self, name: &str, values: Array) -> Result<Self> {
        if !self.is_in_memory() {
            let expected = "inputs in memory beside it; rows that are read give all inputs, see Dataset::from_named_rows";
            return Err(Error::value(format!("input {name}"), expected, "rows that are read"));
        }
        if self.all_inputs().any(|input| input.name == name) {
            return Err(Error::value("inputs", "names that differ", name));
        }
        let rows = self.rows();
        let is_known = matches!(values.dtype(), DType::U8 | DType::I32 | DType::F32);
        if !is_known || values.shape().len() < 2 || values.is_empty() || values.shape()[0] != rows {
            let expected = format!("u8, i32 or f32 [{rows}, sample…] with no size of 0");
            return Err(Error::shape(name, expected, format!("{values:?}")));
        }
        check_inputs(None, &values).map_err(|e| e.at(name))?;
        self.more_inputs.push(Input { name: name.into(), values, scaling: Scaling::none() });
        Ok(self)
    }

    /// Adds a target.
    ///
    /// # Errors
    /// When it has another number of rows, or the name of another.
    pub fn with_target(mut self, name: &str, targets: Targets) -> Result<Self> {
        if self.all_targets().any(|target| target.name == name) {
            return Err(Error::value("targets", "names that differ", name));
        }
        if targets.rows().is_some_and(|rows| rows != self.rows()) {
            let got = targets.rows().unwrap_or(0);
            return Err(Error::shape(name, format!("one for each of {} inputs", self.rows()), got));
        }
        targets.check().map_err(|e| e.at(name))?;
        let targets = targets.without_padding(&self.inputs)?;
        self.more_targets.push(Target { name: name.into(), targets, scaling: Scaling::none() });
        Ok(self)
    }

    /// [`Dataset::scaled`] of the input of this name.
    ///
    /// ```
    /// use neural::{Array, data::{Dataset, Scale, Splits, Targets}};
    /// let splits = Splits { train: vec![0, 1], ..Splits::default() };
    /// let pictures = Array::new(&[2, 2, 2, 1], vec![0u8; 8])?;
    /// let data = Dataset::new(pictures, Targets::numbered(vec![0, 1])?, splits)?
    ///     .with_input("table", Array::new(&[2, 1], vec![1f32, 3.0])?)?
    ///     .scaled_input_named("table", Scale::Standardize)?;
    /// assert_eq!(data.more_inputs[0].scaling.mean.to_f64(), [2.0]);
    /// assert!(data.scaled_input_named("picture", Scale::Unit).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When no input has this name, and see [`Scaling::fit`].
    pub fn scaled_input_named(mut self, name: &str, scale: Scale) -> Result<Self> {
        let place = place_of(name, "input", self.all_inputs().map(|input| input.name))?;
        let scaling = self.fit_input(place, scale)?;
        match place.checked_sub(1) {
            None => self.scaling = scaling,
            Some(other) => self.more_inputs[other].scaling = scaling,
        }
        Ok(self)
    }

    /// [`Dataset::scaled_target`] of the target of this name.
    ///
    /// # Errors
    /// When no target has this name, and as [`Dataset::scaled_target`].
    pub fn scaled_target_named(mut self, name: &str, scale: Scale) -> Result<Self> {
        let place = place_of(name, "target", self.all_targets().map(|target| target.name))?;
        let scaling = self.fit_target(place, scale)?;
        match place.checked_sub(1) {
            None => self.target_scaling = scaling,
            Some(other) => self.more_targets[other].scaling = scaling,
        }
        Ok(self)
    }

    /// Names the first input and the first target.
    #[must_use]
    pub fn named(self, input: &str, target: &str) -> Self {
        Self { input: input.into(), target: target.into(), ..self }
    }

    /// The name of the first input.
    pub fn input_name(&self) -> &str {
        if self.input.is_empty() { "input" } else { &self.input }
    }

    /// The inputs, the first one first.
    pub fn all_inputs(&self) -> impl Iterator<Item = InputView<'_>> {
        let first = InputView { name: self.input_name(), values: &self.inputs, scaling: &self.scaling };
        let more = self.more_inputs.iter();
        std::iter::once(first).chain(more.map(|Input { name, values, scaling }| InputView {
            name,
            values,
            scaling,
        }))
    }

    /// The targets, the first one first.
    pub fn all_targets(&self) -> impl Iterator<Item = TargetView<'_>> {
        let first = TargetView { name: &self.target, targets: &self.targets, scaling: &self.target_scaling };
        let more = self.more_targets.iter();
        std::iter::once(first).chain(more.map(|Target { name, targets, scaling }| TargetView {
            name,
            targets,
            scaling,
        }))
    }

    /// The shape of one row of each input, by their names.
    pub fn sample_shapes(&self) -> Vec<(&str, &[usize])> {
        self.all_inputs().map(|input| (input.name, input.sample())).collect()
    }
}

/// Some rows of an array `[n, …]`.
pub(crate) fn gather(values: &Array, rows: &[u32]) -> Result<Array> {
    let (total, shape) = match values.shape() {
        [total, sample @ ..] => (*total, [&[rows.len()], sample].concat()),
        [] => (0, vec![rows.len()]),
    };
    if let Some(row) = rows.iter().find(|&&row| row as usize >= total) {
        return Err(Error::value("row", format!("a number below {total}"), row));
    }
    let width = count(&shape[1..]) * values.dtype().size();
    let mut bytes = Vec::with_capacity(rows.len() * width);
    for &row in rows {
        bytes.extend_from_slice(&values.bytes()[row as usize * width..][..width]);
    }
    Array::from_bytes(values.dtype(), &shape, bytes)
}

fn place_of<'a>(name: &str, kind: &str, names: impl Iterator<Item = &'a str>) -> Result<usize> {
    let names: Vec<&str> = names.collect();
    names.iter().position(|known| *known == name).ok_or_else(|| {
        Error::value(kind, format!("one of the data's, {}", names.join(", ")), named::got(name, &names))
    })
}
