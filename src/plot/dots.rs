use super::axis::{Axis, Scale};
use super::color::{AXIS, Color, FAINT, INK, MUTED};
use super::font;
use super::frame::{
    EDGE, Key, LEGEND_ROW, Mark, NAME, TICK, fitting, head, legend, legend_rows, title_width, write_title,
};
use super::scene::{Anchor, Point, Scene, Style};
use crate::error::{Error, Result};
use std::path::Path;

const ROW: f64 = 24.0;
const WIDEST_NAME: f64 = 280.0;
/// The width of the plane, without the names.
const WIDTH: f64 = 360.0;

/// A row for each name with a dot at each of its values, such as the importance of columns: Cleveland's dot plot.
///
/// ```
/// use neural::plot::Dots;
/// # let path = std::env::temp_dir().join(format!("neural-doc-dots-{}.svg", std::process::id()));
/// Dots::new("Importance").x_label("accuracy falls by").row("age", &[0.12]).row("city", &[0.03]).save(&path)?;
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Dots {
    title: String,
    x_label: String,
    series: Vec<String>,
    rows: Vec<(String, Vec<f64>)>,
}

impl Dots {
    /// A plot without rows.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Sets the label below the horizontal axis.
    #[must_use]
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// Sets the names of the values of each row, for the legend.
    #[must_use]
    pub fn series(mut self, names: &[impl AsRef<str>]) -> Self {
        self.series = names.iter().map(|name| name.as_ref().to_string()).collect();
        self
    }

    /// Adds a row below the others. A value that is not finite has no dot.
    #[must_use]
    pub fn row(mut self, name: impl Into<String>, values: &[f64]) -> Self {
        self.rows.push((name.into(), values.to_vec()));
        self
    }

    /// Writes the picture as SVG or PNG, by the ending of the name.
    ///
    /// # Errors
    /// When no value has a place on the axis, the ending is another, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.scene()?.save(path.as_ref())
    }

    pub(super) fn scene(&self) -> Result<Scene> {
        let values = self.rows.iter().flat_map(|(_, values)| values).copied();
        // Dots are read from a line at 0, so that it is on the axis.
        let Some(axis) = Axis::around(Scale::Linear, values.clone().chain([0.0]), 0.03)
            .filter(|_| values.clone().any(|value| Scale::Linear.holds(value)))
        else {
            return Err(Error::value(format!("values of the plot {:?}", self.title), "a finite one", "none"));
        };
        let names: Vec<String> =
            self.rows.iter().map(|(name, _)| font::fit(name, NAME, WIDEST_NAME)).collect();
        let widest = names.iter().map(|name| font::width(name, NAME)).fold(0.0, f64::max);
        let left = EDGE + widest + 10.0;
        let key = |(number, name)| Key { name, color: Color::series(number), mark: Mark::Dot };
        let keys: Vec<Key> = self
            .series
            .iter()
            .map(String::as_str)
            .enumerate()
            .map(key)
            .filter(|k| !k.name.is_empty())
            .collect();
        let keys: Vec<&Key> = keys.iter().collect();
        let legend_height = legend_rows(&keys, WIDTH) as f64 * LEGEND_ROW;
        let top = head(&self.title) + legend_height;
        let high = self.rows.len() as f64 * ROW;
        let foot = 28.0 + if self.x_label.is_empty() { 4.0 } else { 26.0 };
        let wide = (left + WIDTH).max(EDGE + title_width(&self.title).min(left + WIDTH)) + EDGE + 8.0;
        let mut scene = Scene::new(&self.title, [wide, top + high + foot]);
        write_title(&mut scene, EDGE, &self.title);
        legend(&mut scene, &keys, [left, head(&self.title)], WIDTH);

        let bottom = top + high;
        for tick in fitting(&axis, WIDTH) {
            let Some(label) = &tick.label else { continue };
            let x = left + tick.at * WIDTH;
            scene.line(vec![[x, top], [x, bottom]], FAINT, 1.0);
            scene.text([x, bottom + 19.0], label, Style::new(TICK, MUTED, Anchor::Middle));
        }
        if let Some(zero) = axis.place(0.0) {
            let x = left + zero * WIDTH;
            scene.line(vec![[x, top], [x, bottom]], AXIS, 1.0);
        }
        let style = Style::new(NAME, INK, Anchor::End);
        for (i, (name, (_, values))) in names.iter().zip(&self.rows).enumerate() {
            let middle = top + (i as f64 + 0.5) * ROW;
            scene.line(vec![[left, middle], [left + WIDTH, middle]], FAINT, 0.5);
            scene.text([left - 10.0, middle + style.drop()], name, style);
            for (number, value) in values.iter().enumerate() {
                if let Some(place) = axis.place(*value) {
                    scene.dot([left + place * WIDTH, middle], 5.0, Color::series(number));
                }
            }
        }
        let at: Point = [left + WIDTH / 2.0, bottom + 41.0];
        let label = font::fit(&self.x_label, NAME, WIDTH);
        scene.text(at, &label, Style::new(NAME, INK, Anchor::Middle));
        Ok(scene)
    }
}
