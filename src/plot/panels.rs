use super::frame::{EDGE, head, write_title};
use super::scene::{Scene, Shape};
use super::{Chart, Dots};
use crate::error::{Error, Result};
use std::path::Path;

/// Several charts and dot plots on one sheet, side by side.
///
/// ```
/// use neural::plot::{Chart, Dots, Panels};
/// # let path = std::env::temp_dir().join(format!("neural-doc-panels-{}.svg", std::process::id()));
/// Panels::new("What the price depends on", 2)
///     .chart(Chart::new("area").line("", &[(20.0, 150.0), (90.0, 480.0)]))
///     .dots(Dots::new("city").row("Bern", &[310.0]).row("Basel", &[290.0]))
///     .save(&path)?;
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Panels {
    title: String,
    columns: usize,
    parts: Vec<Panel>,
}

#[derive(Clone, Debug)]
enum Panel {
    Chart(Chart),
    Dots(Dots),
}

impl Panels {
    /// A sheet with this number of columns.
    pub fn new(title: impl Into<String>, columns: usize) -> Self {
        Self { title: title.into(), columns, parts: Vec::new() }
    }

    /// Adds a chart.
    #[must_use]
    pub fn chart(mut self, chart: Chart) -> Self {
        self.parts.push(Panel::Chart(chart.sized([520.0, 340.0])));
        self
    }

    /// Adds a dot plot.
    #[must_use]
    pub fn dots(mut self, dots: Dots) -> Self {
        self.parts.push(Panel::Dots(dots));
        self
    }

    /// Writes the picture as SVG or PNG, by the ending of the name.
    ///
    /// # Errors
    /// When there is no panel or no column, a panel has nothing to show, the ending is another, or the file cannot be
    /// written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let scene = |panel: &Panel| match panel {
            Panel::Chart(chart) => chart.scene(),
            Panel::Dots(dots) => dots.scene(),
        };
        let scenes: Vec<Scene> = self.parts.iter().map(scene).collect::<Result<_>>()?;
        if scenes.is_empty() || self.columns == 0 {
            let name = format!("panels of {:?}", self.title);
            return Err(Error::value(name, "one or more, in one or more columns", "none"));
        }
        let largest = |heights: &mut dyn Iterator<Item = f64>| heights.fold(0.0, f64::max);
        let width = largest(&mut scenes.iter().map(|scene| scene.size[0]));
        let columns = self.columns.min(scenes.len());
        let heights: Vec<f64> =
            scenes.chunks(columns).map(|row| largest(&mut row.iter().map(|scene| scene.size[1]))).collect();
        let top = head(&self.title);
        let size = [width * columns as f64, top + heights.iter().sum::<f64>()];
        let mut sheet = Scene::new(&self.title, size);
        write_title(&mut sheet, EDGE, &self.title);
        let mut above = top;
        for (row, height) in scenes.chunks(columns).zip(heights) {
            for (column, scene) in row.iter().enumerate() {
                let by = [column as f64 * width, above];
                sheet.shapes.extend(scene.shapes.iter().map(|shape| moved(shape.clone(), by)));
            }
            above += height;
        }
        sheet.save(path.as_ref())
    }
}

fn moved(mut shape: Shape, by: [f64; 2]) -> Shape {
    let shift = |point: &mut [f64; 2]| point.iter_mut().zip(by).for_each(|(at, by)| *at += by);
    match &mut shape {
        Shape::Rect { corner: at, .. }
        | Shape::Dot { center: at, .. }
        | Shape::Text { at, .. }
        | Shape::Image { corner: at, .. } => shift(at),
        Shape::Line { points, .. } => points.iter_mut().for_each(shift),
    }
    shape
}
