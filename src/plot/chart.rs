use super::axis::{Axis, Scale};
use super::color::{self, Color};
use super::frame::{Frame, Key, Mark, Plane};
use super::scene::{Point, Scene, Shape};
use crate::error::{Error, Result};
use std::path::Path;

const SIZE: Point = [800.0, 500.0];
/// A line of more points than this, about one a unit, is thin.
const DENSE: usize = 1000;

/// Curves and points over an axis, such as losses over epochs or a fitted line through its data.
///
/// The picture is 800 units wide and 500 high, and grows by each row of the legend after the first. A line has a gap
/// where a value has no place: where it is not finite, beyond 1e280, or, on a logarithmic axis, not above 0. Series
/// have the colours of Okabe and Ito in their order.
///
/// ```
/// use neural::plot::Chart;
/// # let path = std::env::temp_dir().join(format!("neural-doc-chart-{}.png", std::process::id()));
/// Chart::new("Learning rate finder")
///     .x_label("learning rate")
///     .y_label("loss")
///     .log_x()
///     .line("loss", &[(1e-5, 2.3), (1e-4, 2.2), (1e-3, 1.1), (1e-2, 0.6), (1e-1, 4.0)])
///     .points("steepest", &[(1e-3, 1.1)])
///     .save(&path)?;
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Chart {
    title: String,
    x_label: String,
    y_label: String,
    x_scale: Scale,
    y_scale: Scale,
    series: Vec<Series>,
    size: Option<Point>,
    /// Values that the y axis includes besides the points'.
    room: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    mark: Mark,
}

impl Chart {
    /// A chart without lines.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Sets the label below the horizontal axis.
    #[must_use]
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// Sets the label along the vertical axis.
    #[must_use]
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.y_label = label.into();
        self
    }

    /// Makes the x axis logarithmic.
    #[must_use]
    pub fn log_x(mut self) -> Self {
        self.x_scale = Scale::Log;
        self
    }

    /// Makes the y axis logarithmic.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.y_scale = Scale::Log;
        self
    }

    /// Adds a line through these points (x, y), in their order. A series with an empty name is not in the legend.
    #[must_use]
    pub fn line(self, name: impl Into<String>, points: &[(f64, f64)]) -> Self {
        let dashed = color::round(self.series.len()) % 2 == 1;
        self.with(name.into(), points, Mark::Line { dashed })
    }

    /// Adds these points (x, y), one dot each.
    #[must_use]
    pub fn points(self, name: impl Into<String>, points: &[(f64, f64)]) -> Self {
        self.with(name.into(), points, Mark::Dot)
    }

    fn with(mut self, name: String, points: &[(f64, f64)], mark: Mark) -> Self {
        self.series.push(Series { name, points: points.to_vec(), mark });
        self
    }

    /// Writes the picture as SVG or PNG, by the ending of the name.
    ///
    /// # Errors
    /// When no point has a place on the axes, the ending is another, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.scene()?.save(path.as_ref())
    }

    /// Includes these values in the y axis, so that several charts have one scale.
    #[must_use]
    pub fn y_room(mut self, values: &[f64]) -> Self {
        self.room = values.to_vec();
        self
    }

    /// The same in another size than the usual one.
    pub(super) fn sized(self, size: Point) -> Self {
        Self { size: Some(size), ..self }
    }

    pub(super) fn scene(&self) -> Result<Scene> {
        let seen: Vec<(f64, f64)> = self
            .series
            .iter()
            .flat_map(|series| &series.points)
            .copied()
            .filter(|(x, y)| self.x_scale.holds(*x) && self.y_scale.holds(*y))
            .collect();
        let x = Axis::around(self.x_scale, seen.iter().map(|p| p.0), 0.02);
        let high = seen.iter().map(|p| p.1).chain(self.room.iter().copied());
        let y = Axis::around(self.y_scale, high, 0.05);
        let (Some(x), Some(y)) = (x, y) else {
            let got = self.series.iter().map(|series| series.points.len()).sum::<usize>();
            let got =
                if got == 0 { "none".to_string() } else { format!("{got} without a place on the axes") };
            let name = format!("points of the chart {:?}", self.title);
            return Err(Error::value(name, "a finite one, above 0 where an axis is logarithmic", got));
        };
        let legend = self.series.iter().enumerate().map(|(number, series)| Key {
            name: &series.name,
            color: Color::series(number),
            mark: series.mark,
        });
        let frame = Frame {
            title: &self.title,
            x_label: &self.x_label,
            y_label: &self.y_label,
            x,
            y,
            legend: legend.collect(),
            size: self.size.unwrap_or(SIZE),
        };
        let mut plane = frame.draw();
        for (number, series) in self.series.iter().enumerate() {
            match series.mark {
                Mark::Line { dashed } => curve(&mut plane, &series.points, Color::series(number), dashed),
                Mark::Dot => dots(&mut plane, &series.points, Color::series(number)),
            }
        }
        Ok(plane.scene)
    }
}

/// A line with its gaps; a point between two gaps is a dot.
fn curve(plane: &mut Plane, points: &[(f64, f64)], color: Color, dashed: bool) {
    let places: Vec<Option<Point>> = points.iter().map(|p| plane.at(*p)).collect();
    let width = if places.len() > DENSE { 1.0 } else { 2.0 };
    for run in places.split(Option::is_none) {
        let run: Vec<Point> = run.iter().copied().flatten().collect();
        match run[..] {
            [] => {}
            [point] => plane.scene.dot(point, 3.5, color),
            _ => plane.scene.shapes.push(Shape::Line { points: run, color, width, dashed }),
        }
    }
}

/// A dot for each point that has a place; the more, the smaller.
pub(super) fn dots(plane: &mut Plane, points: &[(f64, f64)], color: Color) {
    let radius = (4.5 - 0.5 * (points.len().max(1) as f64).log10()).max(2.0);
    let places: Vec<Point> = points.iter().filter_map(|p| plane.at(*p)).collect();
    for place in places {
        plane.scene.dot(place, radius, color);
    }
}
