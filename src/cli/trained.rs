//! A trained model named on the command line, and the meaning of its outputs.

use super::DeviceArguments;
use crate::array::DType;
use crate::error::Result;
use crate::metric::Conformal;
use crate::model::{Answer, Description, Link, Model, class_name};
use crate::runs::{Folder, Saved, Which};
use crate::runtime::Device;
use std::path::PathBuf;

/// Which model, and where it is to run.
#[derive(Clone, Debug, clap::Args)]
pub struct Trained {
    /// The run's folder, such as runs/mnist-1
    pub run: PathBuf,

    #[command(flatten)]
    pub checkpoint: CheckpointArguments,

    #[command(flatten)]
    pub device: DeviceArguments,
}

/// Which of a run's checkpoints.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct CheckpointArguments {
    /// Take the model of this checkpoint instead of the one after the best epoch: last or, where they are kept, epoch-N
    #[arg(long, value_name = "CHECKPOINT")]
    from: Option<Which>,

    /// The same as --from last
    #[arg(long, conflicts_with = "from")]
    last: bool,
}

impl CheckpointArguments {
    /// `None` for the usual one, see [`Folder::best`].
    pub fn which(self) -> Option<Which> {
        if self.last { Some(Which::Last) } else { self.from }
    }
}

impl Trained {
    pub fn folder(&self) -> Result<Folder> {
        Folder::open(&self.run)
    }

    pub fn saved(&self) -> Result<Saved> {
        self.folder()?.chosen(self.checkpoint.which())
    }

    pub fn model(&self) -> Result<Model> {
        self.saved()?.model()
    }

    pub fn open_device(&self) -> Result<Device> {
        self.device.open()
    }
}

/// How to read the output of [`Model::predict`] for a row.
pub(super) struct Answers {
    /// The prefix of the columns of figures, where there are several answers.
    pub prefix: String,
    /// The names of the classes, or of the outputs where they are values.
    pub names: Vec<String>,
    pub figure: &'static str,
    /// The name of the answer.
    pub target: String,
    pub is_class: bool,
    /// Whether there is a class at each of several positions.
    pub is_at_positions: bool,
    /// Whether the only output stands for the second of two classes.
    is_single: bool,
    /// The probability above which the second of two classes is chosen.
    threshold: f64,
    /// The margins that widen an answer to a set or an interval.
    conformal: Option<Conformal>,
}

impl Answers {
    /// The columns of a model's only answer, by the numbers of a row.
    pub fn of(description: &Description, width: usize) -> Self {
        Self::of_each(description, &[&[width]]).swap_remove(0)
    }

    /// One for each of a model's answers, with the shapes from its layers.
    ///
    /// # Errors
    /// When the layers do not fit the samples.
    pub fn described(description: &Description) -> Result<Vec<Self>> {
        let (_, _, shapes) = description.layers.declare(DType::F32, &description.sample_shapes())?;
        let names = description.layers.outputs();
        let shape = |answer: Answer| {
            let place = names.iter().position(|name| *name == answer.output);
            place.and_then(|place| shapes.get(place)).map_or(&[][..], Vec::as_slice)
        };
        let shapes: Vec<&[usize]> = description.answers().into_iter().map(shape).collect();
        Ok(Self::of_each(description, &shapes))
    }

    /// One for each of a model's answers, which have these shapes for a row.
    pub fn of_each(description: &Description, shapes: &[&[usize]]) -> Vec<Self> {
        let answers = description.answers();
        let is_only = answers.len() == 1;
        answers.iter().zip(shapes).map(|(answer, shape)| Self::of_answer(answer, shape, is_only)).collect()
    }

    fn of_answer(answer: &Answer, shape: &[usize], is_only: bool) -> Self {
        let (classes, width) = (answer.classes, shape.last().copied().unwrap_or(1));
        let is_class = !classes.is_empty();
        let is_single = is_class && width == 1;
        let figure = match (answer.link, is_class) {
            (Link::Identity, true) => "score",
            (Link::Identity, false) => "output",
            (Link::Softmax | Link::Sigmoid, _) => "probability",
        };
        let is_at_positions = is_class && shape.len() > 1;
        let width = if is_class { width } else { shape.iter().product() };
        let count = if is_single { 2 } else { width };
        let name = |i: usize| class_name(classes, i);
        let target = match answer.target {
            "" if is_class => "class".to_string(),
            "" => "output".to_string(),
            // Names of columns that the table of predictions has for any target.
            name @ ("input" | "row" | "probability" | "probabilities" | "score" | "scores") => {
                format!("predicted {name}")
            }
            name => name.to_string(),
        };
        Self {
            prefix: if is_only { String::new() } else { format!("{}_", answer.name) },
            names: (0..count).map(name).collect(),
            figure,
            target,
            is_class,
            is_at_positions,
            is_single,
            threshold: 0.5,
            conformal: None,
        }
    }

    /// The same with this threshold.
    pub fn with_threshold(self, threshold: f64) -> Self {
        Self { threshold, ..self }
    }

    /// The same with the margins that widen answers.
    pub fn with_conformal(self, conformal: Option<Conformal>) -> Self {
        Self { conformal: conformal.filter(|_| !self.is_at_positions), ..self }
    }

    /// The set of plausible classes, if answers are widened.
    pub fn set(&self, figures: &[f64]) -> Option<Vec<&str>> {
        let conformal = self.conformal.as_ref().filter(|_| self.is_class)?;
        Some(conformal.set(figures).into_iter().map(|class| self.names[class].as_str()).collect())
    }

    /// The ends between which each value may well be, if answers are widened.
    pub fn intervals(&self, values: &[f64]) -> Option<Vec<[f64; 2]>> {
        let conformal = self.conformal.as_ref().filter(|_| !self.is_class)?;
        Some(values.iter().enumerate().map(|(output, value)| conformal.interval(output, *value)).collect())
    }

    /// The names of the columns of sets or intervals.
    pub fn widened_columns(&self) -> Vec<String> {
        match &self.conformal {
            None => Vec::new(),
            Some(_) if self.is_class => vec![format!("{}set", self.prefix)],
            Some(_) => self
                .columns()
                .iter()
                .flat_map(|name| ["low", "high"].map(|end| format!("{name}_{end}")))
                .collect(),
        }
    }

    /// How many outputs there are for each class, or two classes.
    pub fn width(&self) -> usize {
        if self.is_single { 1 } else { self.names.len() }
    }

    /// One figure for each of the names.
    pub fn figures(&self, outputs: &[f64]) -> Vec<f64> {
        match *outputs {
            [yes] if self.is_single => vec![1.0 - yes, yes],
            _ => outputs.to_vec(),
        }
    }

    /// The names of the columns of figures; for values the target's.
    pub fn columns(&self) -> Vec<String> {
        match &self.names[..] {
            [_] if !self.is_class => vec![self.target.clone()],
            names if self.is_class || self.figure == "probability" => {
                names.iter().map(|name| format!("{}{}_{name}", self.prefix, self.figure)).collect()
            }
            names => names.iter().map(|name| format!("{}_{name}", self.target)).collect(),
        }
    }

    /// The class with the largest figure, the first of equals; `None` where they are values.
    pub fn class(&self, figures: &[f64]) -> Option<usize> {
        if let ([_, second], "probability", true) = (figures, self.figure, self.is_class) {
            return Some(usize::from(*second > self.threshold));
        }
        let largest = |best: usize, i: usize| if figures[i] > figures[best] { i } else { best };
        (self.is_class && !figures.is_empty()).then(|| (0..figures.len()).fold(0, largest))
    }

    /// A figure as people read it.
    pub fn shown(&self, figure: f64) -> String {
        if self.figure == "probability" { super::text::percent(figure) } else { super::text::number(figure) }
    }
}
