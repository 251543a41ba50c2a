//! `neural explain`

mod dependence;
mod gradients;
mod occlusion;
mod permutation;
mod pictures;
mod subject;
mod values;
mod words;

use super::evaluate::{as_in_training, as_trained};
use super::text;
use super::train::check_place;
use super::trained::{Answers, Trained};
use crate::array::Array;
use crate::error::Result;
use crate::model::Model;
use crate::plot;
use crate::runs::Folder;
use anyhow::bail;
use gradients::Gradients;
use occlusion::Occlusion;
use permutation::Permutation;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use subject::{Kind, Subject};

/// Show which columns, parts of pictures or words a model's answers depend on
#[derive(Debug, clap::Args)]
#[command(after_help = "Methods:
  permutation   tables: how much worse the model gets when the values of a column are shuffled among the rows. Columns that carry
                the same information share their importance, as the model can use either
  dependence    tables: the mean answer over the rows if all of them had the same value in a column, for a range of values
                (partial dependence). A curve says what the model does, also for rows that do not exist
  gradients     tables and pictures: what each column or pixel adds to the answer, from that for a baseline to that for the
                row (integrated gradients). The parts add up to the difference
  occlusion     pictures and texts: by how much the probability of the answer falls where a patch is covered in the mean
                colour, or where a word is replaced by an unknown one

Tables are explained by permutation, pictures and texts by occlusion, unless --method says otherwise. On sheets of pictures,
red supports the answer, blue opposes it. This describes the model, not cause and effect.

The rows are the test rows, without them the validation rows, and without these the training rows; at most 5000 of them.

Examples:
  neural explain runs/guests-1                                     the columns, the most important first
  neural explain runs/guests-1 --method dependence -o curves.svg   how answers move with each column
  neural explain runs/guests-1 --method gradients --samples 3      why these three rows got their answers
  neural explain runs/mnist-1                                      writes runs/mnist-1/explain.png
  neural explain runs/mnist-1 --method gradients --samples 3 -o seven.svg
  neural explain runs/reviews-1 --samples 5                        texts, their words marked")]
pub struct Explain {
    #[command(flatten)]
    trained: Trained,

    /// How to explain; see below
    #[arg(long, value_enum)]
    method: Option<Method>,

    /// Only this column of a table; may be given several times
    #[arg(long, value_name = "NAME")]
    column: Vec<String>,

    /// How many rows, pictures or texts to explain one by one, spread evenly over all [default: 12, for tables 5]
    #[arg(long, alias = "pictures", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    samples: Option<u16>,

    /// permutation: how often each column is shuffled [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    repeats: Option<u64>,

    /// permutation: the seed of the shuffles [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// dependence: at most this many values of a column [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1000))]
    grid: Option<u16>,

    /// gradients: where the path to a sample begins [default: mean for tables, zero (black) for pictures]
    #[arg(long, value_enum)]
    baseline: Option<Baseline>,

    /// gradients: points of the path; the more, the nearer the parts come to the difference [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    steps: Option<u16>,

    /// occlusion: the side of the patch in pixels [default: a seventh of the picture's]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..))]
    patch: Option<u16>,

    /// The picture to draw, in .png or .svg [default: explain.png in the run's folder for pictures, none for tables]
    #[arg(long, short, value_name = "FILE", value_parser = plot::file)]
    output: Option<PathBuf>,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    /// Shuffle the columns of a table
    Permutation,
    /// Give all rows of a table the same value
    Dependence,
    /// Add gradients up on the way from a baseline
    Gradients,
    /// Cover parts of pictures, or words
    Occlusion,
}

/// A sample without information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Baseline {
    /// The mean of the training rows, of pictures their mean colour
    Mean,
    /// All numbers 0, of pictures black
    Zero,
}

/// More rows than this are thinned out evenly.
const MOST_ROWS: usize = 5000;

/// Changed pictures and texts that are computed at once.
const BATCH: usize = 128;

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let folder = self.trained.folder()?;
        let model = self.trained.model()?;
        let kind = Kind::of(&model.description, &folder)?;
        let method = self.method.unwrap_or(match kind {
            Kind::Table => Method::Permutation,
            Kind::Pictures | Kind::Texts => Method::Occlusion,
        });
        self.check(method, kind)?;
        let subject = self.subject(&folder, &model)?;
        if matches!(method, Method::Gradients | Method::Occlusion) {
            subject.check_single()?;
        }
        let device = self.trained.open_device()?;
        let title = |what: &str| format!("{what} {}", folder.name());
        let out = &mut io::stdout().lock();
        let mut object = json!({ "run": folder.path(), "part": subject.part, "rows": subject.rows.len() });
        let mut said = String::new();
        // The picture to draw: the named one, or a default.
        let default = (kind == Kind::Pictures).then(|| folder.file("explain.png"));
        let picture = self.output.clone().or(default);
        match (method, kind) {
            (Method::Permutation, _) => {
                let predictor = model.compile(&device, subject.rows.len())?;
                let repeats = self.repeats.unwrap_or(5);
                let permutation = Permutation { repeats, seed: self.seed.unwrap_or(1) };
                let found = permutation.measure(&subject, &predictor)?;
                let (base, columns) = found.json();
                extend(&mut object, json!({ "repeats": repeats, "base": base, "columns": columns }));
                said = found.text(subject.part, subject.rows.len());
                picture.iter().try_for_each(|path| found.picture(&title("Columns of")).save(path))?;
            }
            (Method::Dependence, _) => {
                let predictor = model.compile(&device, subject.rows.len())?;
                let found = dependence::measure(&subject, &predictor, self.grid.map_or(50, usize::from))?;
                let columns: Vec<Value> = found.iter().map(dependence::Dependence::json).collect();
                extend(&mut object, json!({ "names": dependence::names(&subject), "columns": columns }));
                said = dependence::text(&subject, &found);
                let sheet = || dependence::picture(&subject, &title("Partial dependence in"), &found);
                picture.iter().try_for_each(|path| sheet().save(path))?;
            }
            (Method::Gradients, _) => {
                let rows = self.spread(&subject, if kind == Kind::Table { 5 } else { 12 });
                let steps = self.steps.map_or(128, usize::from);
                let usual = if kind == Kind::Table { Baseline::Mean } else { Baseline::Zero };
                let baseline = gradients::baseline(&subject, self.baseline.unwrap_or(usual))?;
                let predictor = model.compile(&device, 1)?;
                let attributor = model.attributor(&device, steps)?;
                let gradients = Gradients { predictor: &predictor, attributor: &attributor, baseline };
                extend(&mut object, json!({ "steps": steps }));
                if kind == Kind::Table {
                    let found = gradients::rows(&subject, &gradients, &rows)?;
                    let all: Vec<Value> = found.iter().map(gradients::Row::json).collect();
                    extend(&mut object, json!({ "samples": all }));
                    said = gradients::text(&subject, &found);
                    let sheet = || gradients::picture(&subject, &title("What adds to answers of"), &found);
                    picture.iter().try_for_each(|path| sheet().save(path))?;
                } else {
                    let explain = |sample: &Array| gradients.picture(&subject, sample);
                    said = self.pictures(&subject, &folder, &rows, "parts", explain, &mut object)?;
                }
            }
            (Method::Occlusion, Kind::Texts) => {
                let rows = self.spread(&subject, 12);
                let predictor = model.compile(&device, BATCH)?;
                if let Some(vocabulary) = words::vocabulary(&subject) {
                    let found = words::explain(&subject, &predictor, vocabulary, &rows)?;
                    extend(
                        &mut object,
                        json!({ "texts": found.iter().map(words::Text::json).collect::<Vec<_>>() }),
                    );
                    said = found.iter().map(|one| one.text(&subject)).collect();
                }
            }
            (Method::Occlusion, _) => {
                let rows = self.spread(&subject, 12);
                let predictor = model.compile(&device, BATCH)?;
                let sample = &subject.description.sample;
                let longest = sample[0].max(sample[1]);
                let side = self.patch.map_or(longest.div_ceil(7), usize::from).min(longest);
                let fill = occlusion::mean_color(&subject.data, &subject.rows, subject.description.dtype)?;
                let occlusion = Occlusion { predictor: &predictor, answers: &subject.answers, side, fill };
                extend(&mut object, json!({ "patch": side }));
                let explain = |sample: &Array| occlusion.explain(sample);
                said = format!("patches of {side} x {side} pixels, in the mean colour\n");
                said += &self.pictures(&subject, &folder, &rows, "falls", explain, &mut object)?;
            }
        }
        if self.json {
            writeln!(out, "{object}")?;
            return Ok(ExitCode::SUCCESS);
        }
        write!(out, "{said}")?;
        if let Some(path) = picture {
            writeln!(out, "wrote {}", text::path(&path))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Checks that the method is for data of this kind, and that every setting is for the method.
    fn check(&self, method: Method, kind: Kind) -> anyhow::Result<()> {
        let (is_for, of) = match method {
            Method::Permutation => (kind == Kind::Table, "--method permutation is for tables"),
            Method::Dependence => (kind == Kind::Table, "--method dependence is for tables"),
            Method::Gradients => (kind != Kind::Texts, "--method gradients is for tables and pictures"),
            Method::Occlusion => (kind != Kind::Table, "--method occlusion is for pictures and texts"),
        };
        if !is_for {
            let got = match kind {
                Kind::Table => "a table",
                Kind::Pictures => "pictures",
                Kind::Texts => "texts",
            };
            bail!("{of}, and this run learned from {got}");
        }
        let permutation = [self.repeats.is_some(), self.seed.is_some()];
        let gradients = [self.baseline.is_some(), self.steps.is_some()];
        let one_by_one = matches!(method, Method::Gradients | Method::Occlusion);
        for (name, is_given, is_used) in [
            ("--repeats", permutation[0], method == Method::Permutation),
            ("--seed", permutation[1], method == Method::Permutation),
            ("--grid", self.grid.is_some(), method == Method::Dependence),
            ("--baseline", gradients[0], method == Method::Gradients),
            ("--steps", gradients[1], method == Method::Gradients),
            ("--patch", self.patch.is_some(), method == Method::Occlusion && kind == Kind::Pictures),
            ("--samples", self.samples.is_some(), one_by_one),
            ("--column", !self.column.is_empty(), kind == Kind::Table),
            ("--output", self.output.is_some(), kind != Kind::Texts),
        ] {
            if is_given && !is_used {
                bail!("{name} has no meaning here; see neural explain --help for what each method takes");
            }
        }
        Ok(())
    }

    fn subject(&self, folder: &Folder, model: &Model) -> anyhow::Result<Subject> {
        let description = model.description.clone();
        let recipe = folder.recipe()?;
        let source = as_trained(recipe.data.clone(), &description);
        check_place(&source.path)?;
        let data = as_in_training(&source, &recipe, &description)?;
        // The test rows if there are any, otherwise the validation rows, otherwise the training rows.
        let Some(part) = data.parts().last() else { bail!("the data has no rows") };
        let step = part.rows.len().div_ceil(MOST_ROWS).max(1);
        let rows: Vec<u32> = part.rows.iter().copied().step_by(step).collect();
        let part = part.name;
        let samples = data.samples(&rows)?;
        let saved = self.trained.saved()?;
        let threshold = saved.threshold(recipe.train.threshold);
        let answers = Answers::described(&description)?.swap_remove(0).with_threshold(threshold);
        Ok(Subject { description, answers, data, part, rows, samples, chosen: self.column.clone() })
    }

    /// The rows to explain one by one.
    fn spread(&self, subject: &Subject, usual: u16) -> Vec<u32> {
        let count = usize::from(self.samples.unwrap_or(usual));
        let step = (subject.rows.len() / count).max(1);
        subject.rows.iter().copied().step_by(step).take(count).collect()
    }

    /// Explains pictures, writes their sheet, and adds them to `object`, a number of each pixel under `key`.
    fn pictures(
        &self,
        subject: &Subject,
        folder: &Folder,
        rows: &[u32],
        key: &str,
        explain: impl Fn(&Array) -> Result<pictures::Explained>,
        object: &mut Value,
    ) -> anyhow::Result<String> {
        let one = |&row: &u32| {
            let sample = subject.data.samples(&[row])?;
            let explained = explain(&sample)?;
            Ok((row, sample, explained))
        };
        let all: Vec<_> = rows.iter().map(one).collect::<Result<_>>()?;
        let path = self.output.clone().unwrap_or_else(|| folder.file("explain.png"));
        let title = format!("What answers of {} depend on", folder.name());
        pictures::sheet(subject, &title, &all)?.save(&path)?;
        let width = subject.description.sample[1];
        let of = |(row, _, one): &(u32, Array, pictures::Explained)| {
            let pixels: Vec<&[f64]> = one.pixels.chunks_exact(width).collect();
            json!({ "row": row, "truth": subject.truth(*row), "answer": one.answer, "figure": one.figure, "baseline": one.baseline, key: pixels })
        };
        extend(object, json!({ "picture": path, "pictures": all.iter().map(of).collect::<Vec<_>>() }));
        let gaps = all
            .iter()
            .filter_map(|(.., one)| Some(one.figure - one.baseline? - one.pixels.iter().sum::<f64>()));
        let gap = gaps.map(f64::abs).reduce(f64::max);
        Ok(gap.map_or_else(String::new, |gap| gradients::within(subject, gap)))
    }
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
