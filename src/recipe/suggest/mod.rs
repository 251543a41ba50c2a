//! A suggested recipe for undescribed data: the target, the inputs and the model.

mod columns;
mod network;
mod text;

use super::Recipe;
use crate::data::images::{COMMON_SIZE, Color};
use crate::data::table::{Column, ColumnKind, Kind, shown};
use crate::data::{Dataset, Format, Scale, Source, Task};
use crate::error::{Error, Result};
use columns::Columns;
use network::Plan;
use std::path::Path;

/// Classes with fewer rows than this cannot be split in proportion.
const FEW_ROWS: usize = 3;

/// A recipe that fits some data, with the reasons for its choices.
///
/// ```
/// use neural::data::{Format, Source};
/// use neural::recipe::{Recipe, suggest};
/// let suggestion = suggest(Source::new(Format::Table, "data/pizza.txt"))?;
/// let recipe = Recipe::parse(&suggestion.text("data/pizza.txt".as_ref()), "pizza.toml".as_ref())?;
/// assert_eq!(recipe.data.target.as_deref(), Some("Police"));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Suggestion {
    source: Source,
    task: Task,
    plan: Plan,
    /// Comments on keys of `[data]`.
    comments: Vec<(&'static str, String)>,
    /// The assumptions of the recipe, a sentence each.
    pub assumed: Vec<String>,
}

/// Examines the data and chooses everything that `source` leaves open: the target, the feature columns, splits and
/// scaling, the loss, the model, and the length of training. The same data gives the same recipe.
///
/// # Errors
/// When the data cannot be read, its form has no obvious model (texts, sequences of ids), or nothing in it can be a target.
pub fn suggest(source: Source) -> Result<Suggestion> {
    let mut choice = match source.format {
        Format::Table => Columns::choose(source)?,
        Format::Text => return Err(no_obvious_model(&source.path, "a text")),
        _ => Columns { source, task: Task::Classes, assumed: Vec::new(), comments: Vec::new() },
    };
    let mut data = load(&mut choice)?;
    if data.targets.values().is_none() && data.targets.labels().is_none() {
        return Err(no_obvious_model(&choice.source.path, "a target for each position"));
    }
    if data.targets.is_classes() {
        choice.task = Task::Classes;
    } else {
        choice.task = Task::Values;
        choice.source.scale_target = Scale::Standardize;
        choice.comment(
            "scale_target",
            "The loss is of scaled targets; figures and predictions keep the target's unit.",
        );
    }
    divide(&mut choice, &data);
    scale(&mut choice, &data);
    // Finds out what only the training rows tell, and checks that all keys fit together.
    let task = Some(choice.task);
    data = choice.source.load_for(task)?;
    let Columns { mut source, task, mut assumed, comments } = choice;
    for Column { name, kind } in &data.columns {
        // The number of tokens found is the number of rows of the embedding.
        if let (ColumnKind::Text(vocabulary), Some(Kind::Text(text))) = (kind, source.columns.get_mut(name)) {
            text.vocabulary = vocabulary.size();
        }
    }
    assumed.extend(balance(&data));
    assumed.extend(data.notes.iter().cloned());
    Ok(Suggestion { source, task, plan: Plan::of(&data), comments, assumed })
}

impl Suggestion {
    /// The recipe as a file with comments; `data` is the path of the data as the file is to have it.
    pub fn text(&self, data: &Path) -> String {
        text::write(self, data)
    }

    /// The recipe itself.
    ///
    /// # Errors
    /// None that the data can cause: the text is a recipe.
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::parse(&self.text(&self.source.path), Path::new("the suggested recipe"))
    }
}

/// Loads all rows, with pictures of different sizes resized to one.
fn load(choice: &mut Columns) -> Result<Dataset> {
    let is_table = choice.source.format == Format::Table;
    let error = match choice.source.load_for(is_table.then_some(choice.task)) {
        Ok(data) => return Ok(data),
        Err(error) => error,
    };
    if choice.source.format != Format::Images || choice.source.size.is_some() {
        return Err(error);
    }
    choice.source.size = Some(COMMON_SIZE);
    choice.source.color.get_or_insert(Color::Rgb);
    // The first error reports every other fault.
    let data = choice.source.load().map_err(|_| error)?;
    let [height, width] = COMMON_SIZE;
    choice.assume(format!(
        "the pictures have different sizes or colours: all are brought to {height} x {width}"
    ));
    choice.comment(
        "size",
        "Height and width that all pictures are brought to: larger shows more and takes longer.",
    );
    Ok(data)
}

/// Rows to choose the best epoch by, and rows to measure with.
fn divide(choice: &mut Columns, data: &Dataset) {
    let counts = data.class_counts(&data.splits.train);
    choice.source.stratify = !counts.is_empty() && counts.iter().all(|&count| count >= FEW_ROWS);
    if choice.source.stratify {
        choice.comment("stratify", "Every class has the same share in each part.");
    }
    if data.splits.test.is_empty() && choice.source.test_fraction.is_none() {
        choice.source.test_fraction = Some(0.15);
        choice.comment(
            "test_fraction",
            "Rows that training never sees: expect figures like theirs on new rows.",
        );
    }
    let has_validation = !data.splits.validation.is_empty() || choice.source.folds.is_some();
    if !has_validation && choice.source.validation_fraction.is_none() {
        choice.source.validation_fraction = Some(if data.splits.train.len() < 20_000 { 0.15 } else { 0.1 });
        choice.comment("validation_fraction", "Rows that the best epoch is chosen by.");
    }
}

fn scale(choice: &mut Columns, data: &Dataset) {
    let is_of_features = data.columns.is_empty() || !data.feature_names().is_empty();
    if choice.source.scale != Scale::None || !is_of_features {
        return;
    }
    let is_vector = data.sample_shape().len() == 1 || !data.columns.is_empty();
    choice.source.scale = if is_vector { Scale::StandardizeFeatures } else { Scale::Standardize };
    let comment = if is_vector {
        "Each feature gets mean 0 and deviation 1, by the training rows: otherwise large numbers drown small ones."
    } else {
        "Mean 0 and deviation 1 over all pixels of the training rows."
    };
    choice.comment("scale", comment);
}

/// How evenly rows are divided among the classes.
fn balance(data: &Dataset) -> Option<String> {
    let rows: Vec<u32> = (0..data.rows() as u32).collect();
    let counts = data.class_counts(&rows);
    let (least, most) = (counts.iter().min()?, counts.iter().max()?);
    let percent = |count: usize| 100.0 * count as f64 / rows.len() as f64;
    let share = match data.targets.names() {
        names if names.len() <= 5 => {
            let each = names.iter().zip(&counts);
            let each: Vec<String> =
                each.map(|(name, &count)| format!("{} {:.1} %", shown(name), percent(count))).collect();
            each.join(", ")
        }
        names => format!("{} classes with {least} to {most} rows each", names.len()),
    };
    let always = percent(*most);
    Some(format!(
        "classes: {share}; always answering the most frequent one is correct in {always:.1} % of the rows"
    ))
}

fn no_obvious_model(path: &Path, what: &str) -> Error {
    let message = format!(
        "expected a class or a value for each row, got {what}, for which there is no one obvious model; scripts/recipes/networks \
         has recipes to begin with"
    );
    Error::format(path, message)
}
