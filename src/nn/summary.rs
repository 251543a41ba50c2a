//! The table of a model's layers.

use crate::array::DType;
use std::fmt;

/// One layer of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The path of the layer, such as `2` or `3.layers.0`.
    pub path: String,
    /// The layer's name in a recipe.
    pub kind: String,
    /// Its name in files of weights, where it is a part of an [`Architecture`](super::Architecture); otherwise empty.
    pub name: String,
    /// The shape of its result, the batch first.
    pub output: Vec<usize>,
    /// Numbers that training moves.
    pub parameters: usize,
    /// Numbers that the layer keeps without training them.
    pub statistics: usize,
}

/// A model's layers, the shapes of their results, and how many numbers they hold.
///
/// ```
/// use neural::{DType, nn};
/// let text = nn::sequential([nn::dense(5)]).summary(DType::F32, &[3])?.to_string();
/// assert!(text.ends_with("20 parameters, 80 bytes as f32"));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// A row a layer; the parts of a layer follow it.
    pub rows: Vec<Row>,
    /// The type of the parameters.
    pub dtype: DType,
    /// Remarks for the user of such a model.
    pub notes: Vec<String>,
}

impl Summary {
    /// How many numbers training moves.
    pub fn parameters(&self) -> usize {
        self.top().map(|row| row.parameters).sum()
    }

    /// How many numbers the model keeps that no gradient moves, such as running means.
    pub fn statistics(&self) -> usize {
        self.top().map(|row| row.statistics).sum()
    }

    /// The layers that are not parts of others.
    fn top(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.path.contains('.'))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = |row: &Row| {
            let rest = row.output.iter().skip(1).map(|n| format!(" x {n}"));
            std::iter::once("batch".to_string()).chain(rest).collect::<String>()
        };
        let mut lines: Vec<[String; 5]> =
            vec![["", "layer", "output", "parameters", "in files"].map(String::from)];
        for row in &self.rows {
            let parameters = grouped(row.parameters);
            lines.push([row.path.clone(), row.kind.clone(), shape(row), parameters, row.name.clone()]);
        }
        if self.rows.iter().all(|row| row.name.is_empty()) {
            lines[0][4].clear();
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        for line in &lines {
            let [path, kind, output, parameters, name] = line;
            let text = format!(
                "{path:<0$}  {kind:<1$}  {output:<2$}  {parameters:>3$}  {name}",
                widths[0], widths[1], widths[2], widths[3]
            );
            writeln!(f, "{}", text.trim_end())?;
        }
        let (parameters, statistics) = (self.parameters(), self.statistics());
        let bytes = (parameters + statistics) * self.dtype.size();
        write!(f, "{} parameters", grouped(parameters))?;
        if statistics > 0 {
            write!(f, ", {} statistics", grouped(statistics))?;
        }
        write!(f, ", {} bytes as {}", grouped(bytes), self.dtype)?;
        self.notes.iter().try_for_each(|note| write!(f, "\nnote: {note}"))
    }
}

/// 1234567 as 1,234,567.
pub(crate) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
