use super::axis::{self, Axis};
use super::chart::dots;
use super::color::{Color, FAINT, WHITE};
use super::frame::{Frame, Key, Mark};
use super::scene::{Pixels, Point, Scene};
use crate::array::Array;
use crate::error::{Error, Result};
use std::path::Path;

const SIZE: Point = [720.0, 560.0];
/// The intensity of a class's colour in its area: where the classifier is undecided, and where it is certain.
const TINT: [f64; 2] = [0.15, 0.55];

/// A part of the plane, cut into cells at whose centres a classifier is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The ends of the first column's values, the lower one first.
    pub x: [f64; 2],
    /// The ends of the second column's values, the lower one first.
    pub y: [f64; 2],
    /// Cells across.
    pub columns: usize,
    /// Cells down.
    pub rows: usize,
}

impl Area {
    /// The area with all these points and some space around them, 320 x 240 cells.
    pub fn around(points: &[(f64, f64)]) -> Self {
        let ends = |value: fn(&(f64, f64)) -> f64| axis::interval(points.iter().map(value), 0.08);
        Self { x: ends(|p| p.0), y: ends(|p| p.1), columns: 320, rows: 240 }
    }

    /// The centres of the cells, row-major from the top left, where x is min and y is max.
    ///
    /// ```
    /// use neural::plot::Area;
    /// let area = Area { x: [0.0, 4.0], y: [0.0, 1.0], columns: 2, rows: 1 };
    /// assert_eq!(area.centers(), [(1.0, 0.5), (3.0, 0.5)]);
    /// ```
    pub fn centers(&self) -> Vec<(f64, f64)> {
        let along = |[low, high]: [f64; 2], i: usize, cells: usize| {
            low + (high - low) * ((i as f64 + 0.5) / cells as f64)
        };
        let row = |down: usize| {
            let y = along(self.y, self.rows - 1 - down, self.rows);
            (0..self.columns).map(move |i| (along(self.x, i, self.columns), y))
        };
        (0..self.rows).flat_map(row).collect()
    }
}

/// The decision boundary of a classifier of two columns: its answers over an area, and the points to classify.
///
/// Each cell has the colour of its class, paler where the classifier is less certain.
///
/// ```
/// use neural::Array;
/// use neural::plot::{Area, Boundary};
/// # let path = std::env::temp_dir().join(format!("neural-doc-boundary-{}.svg", std::process::id()));
/// let (left, right) = ([(0.0, 1.0), (1.0, 0.0)], [(3.0, 1.0), (4.0, 0.5)]);
/// let area = Area::around(&[left, right].concat());
/// let sigmoid = |x: f64| 1.0 / (1.0 + (2.0 - x).exp());
/// let answers: Vec<f64> = area.centers().into_iter().map(|(x, _)| sigmoid(x)).collect();
/// Boundary::new("Left or right", area, &Array::vector(&answers))
///     .x_label("x")
///     .y_label("y")
///     .points("left", &left)
///     .points("right", &right)
///     .save(&path)?;
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Boundary {
    title: String,
    x_label: String,
    y_label: String,
    area: Area,
    answers: Array,
    classes: Vec<(String, Vec<(f64, f64)>)>,
}

impl Boundary {
    /// `answers` holds the classifier's answers at [`Area::centers`], in that order, in any shape: for each cell one
    /// whole number, its class; or one float, the probability of class 1 against class 0; or, along the last axis, the
    /// probability of every class.
    pub fn new(title: impl Into<String>, area: Area, answers: &Array) -> Self {
        let (x_label, y_label) = (String::new(), String::new());
        Self { title: title.into(), x_label, y_label, area, answers: answers.clone(), classes: Vec::new() }
    }

    /// The label below the horizontal axis.
    #[must_use]
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// The label along the vertical axis.
    #[must_use]
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.y_label = label.into();
        self
    }

    /// Adds the points (x, y) of the next class, starting with class 0. Points outside the area are left out.
    #[must_use]
    pub fn points(mut self, class: impl Into<String>, points: &[(f64, f64)]) -> Self {
        self.classes.push((class.into(), points.to_vec()));
        self
    }

    /// Writes the picture as SVG or PNG, by the ending of the name.
    ///
    /// # Errors
    /// When the area is empty or not finite, the answers are not for its cells, the ending is another, or the file
    /// cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.scene()?.save(path.as_ref())
    }

    fn scene(&self) -> Result<Scene> {
        let Area { x, y, columns, rows } = self.area;
        let (Some(across), Some(up)) = (Axis::between(x), Axis::between(y)) else {
            return Err(Error::value(
                "area",
                "two finite ends on each axis, the lower one first",
                format!("{x:?}, {y:?}"),
            ));
        };
        let pixels = Pixels { width: columns, height: rows, colors: self.colors()? };
        let legend = self.classes.iter().enumerate().map(|(class, (name, _))| Key {
            name,
            color: Color::series(class),
            mark: Mark::Dot,
        });
        let frame = Frame {
            title: &self.title,
            x_label: &self.x_label,
            y_label: &self.y_label,
            x: across,
            y: up,
            legend: legend.collect(),
            size: SIZE,
        };
        let mut plane = frame.draw();
        plane.scene.image(plane.corner, plane.size, pixels);
        for (class, (_, points)) in self.classes.iter().enumerate() {
            let inside = |(px, py): &(f64, f64)| (x[0]..=x[1]).contains(px) && (y[0]..=y[1]).contains(py);
            let points: Vec<_> = points.iter().copied().filter(inside).collect();
            dots(&mut plane, &points, Color::series(class));
        }
        Ok(plane.scene)
    }

    /// The colour of every cell.
    fn colors(&self) -> Result<Vec<Color>> {
        let Area { columns, rows, .. } = self.area;
        let refuse = |expected: String| {
            let got = format!("{}{:?}", self.answers.dtype(), self.answers.shape());
            Err(Error::shape("answers of the boundary", expected, got))
        };
        let cells = columns.checked_mul(rows).filter(|cells| *cells > 0);
        let Some(cells) =
            cells.filter(|cells| !self.answers.is_empty() && self.answers.len().is_multiple_of(*cells))
        else {
            return refuse(format!("one or more for each of {rows} x {columns} cells"));
        };
        let width = self.answers.len() / cells;
        if width > 1 && self.answers.shape().last() != Some(&width) {
            return refuse(format!("{width} probabilities of each cell as the last axis"));
        }
        let whole = !self.answers.dtype().is_float();
        Ok(self.answers.to_f64().chunks_exact(width).map(|answer| color(answer, whole)).collect())
    }
}

fn color(answer: &[f64], whole: bool) -> Color {
    if !answer.iter().all(|v| v.is_finite()) {
        return FAINT;
    }
    let (class, sure) = match *answer {
        [class] if whole => (class.max(0.0) as usize, 1.0),
        [second] => (usize::from(second > 0.5), (2.0 * second - 1.0).abs()),
        _ => {
            let best = (0..answer.len()).fold(0, |best, i| if answer[i] > answer[best] { i } else { best });
            let even = 1.0 / answer.len() as f64;
            (best, (answer[best] - even) / (1.0 - even))
        }
    };
    WHITE.toward(Color::series(class), TINT[0] + (TINT[1] - TINT[0]) * sure.clamp(0.0, 1.0))
}
