use super::color::{Color, FAINT, INK, MUTED, WHITE};
use super::font;
use super::frame::{EDGE, NAME, TICK, head, title_width, write_title};
use super::scene::{Anchor, Pixels, Point, Scene, Style};
use crate::error::{Error, Result};
use std::path::Path;

/// The side of all the cells together, as long as a cell is neither too small nor too large for that.
const SIDE: f64 = 520.0;
const CELL: [f64; 2] = [3.0, 72.0];
/// A cell smaller than this shows no count, whose letters are never smaller than `LEAST_SIZE`.
const SMALL: f64 = 12.0;
const LEAST_SIZE: f64 = 8.0;
const WIDEST_NAME: f64 = 140.0;
const BAR: f64 = 12.0;
/// The depth of colour of a cell that is next to nothing, but not empty.
const FAINTEST: f64 = 0.08;

/// A confusion matrix: how often each class, a row, was taken for each other, a column.
///
/// The colour of a cell is its part of its row, blue on the diagonal and vermilion off it, so that rare classes show
/// as well as frequent ones. It grows with the square root of the part, since mistakes are few. Counts are written
/// where the cells have room.
///
/// ```
/// use neural::plot::Matrix;
/// # let path = std::env::temp_dir().join(format!("neural-doc-matrix-{}.svg", std::process::id()));
/// Matrix::new("Cats and dogs", &["cat", "dog"], &[48, 2, 5, 45]).save(&path)?;
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Matrix {
    title: String,
    names: Vec<String>,
    counts: Vec<usize>,
}

impl Matrix {
    /// `counts` is `[classes, classes]`, row-major: true classes down, predicted ones across.
    pub fn new(title: impl Into<String>, names: &[impl AsRef<str>], counts: &[usize]) -> Self {
        let names = names.iter().map(|name| name.as_ref().to_string()).collect();
        Self { title: title.into(), names, counts: counts.to_vec() }
    }

    /// Writes the picture as SVG or PNG, by the ending of the name.
    ///
    /// ```
    /// use neural::plot::Matrix;
    /// let folder = tempfile::tempdir()?;
    /// Matrix::new("Pets", &["cat", "dog"], &[9, 1, 2, 8]).save(folder.path().join("matrix.svg"))?;
    /// assert!(std::fs::read_to_string(folder.path().join("matrix.svg"))?.contains("dog"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When there is no class, the counts are not one for each pair of classes, the ending is another, or the file
    /// cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.scene()?.save(path.as_ref())
    }

    fn scene(&self) -> Result<Scene> {
        let classes = self.names.len();
        if classes == 0 || Some(self.counts.len()) != classes.checked_mul(classes) {
            let got = format!("{} counts for {classes} classes", self.counts.len());
            return Err(Error::shape("confusion matrix", "a count for each pair of one class or more", got));
        }
        let cell = (SIDE / classes as f64).clamp(CELL[0], CELL[1]).floor();
        let side = cell * classes as f64;
        let names: Vec<String> = self.names.iter().map(|name| font::fit(name, TICK, WIDEST_NAME)).collect();
        let widest = names.iter().map(|name| font::width(name, TICK)).fold(0.0, f64::max);
        let upright = widest <= cell - 6.0;

        let (left, top) = (EDGE + 24.0 + widest + 8.0, head(&self.title));
        let foot = if upright { 22.0 } else { widest + 12.0 } + 26.0;
        let bar_height = side.clamp(140.0, 260.0);
        let wide = (left + side + 24.0 + 2.0 * BAR + 60.0).max(left + title_width(&self.title).min(640.0));
        let high = (top + side + foot).max(top + 24.0 + bar_height);
        let mut scene = Scene::new(&self.title, [wide + EDGE, high + EDGE]);
        write_title(&mut scene, left, &self.title);
        self.cells(&mut scene, [left, top], cell);

        let apart = (14.0 / cell).ceil().max(1.0) as usize;
        for (i, name) in names.iter().enumerate().step_by(apart) {
            let middle = (i as f64 + 0.5) * cell;
            let style = Style::new(TICK, INK, Anchor::End);
            scene.text([left - 8.0, top + middle + style.drop()], name, style);
            if upright {
                let style = Style { anchor: Anchor::Middle, ..style };
                scene.text([left + middle, top + side + 18.0], name, style);
            } else {
                let at = [left + middle + style.drop(), top + side + 8.0];
                scene.text(at, name, style.turned());
            }
        }
        let style = Style::new(NAME, MUTED, Anchor::Middle);
        scene.text([left + side / 2.0, top + side + foot - 6.0], "predicted class", style);
        scene.text([EDGE + 10.0, top + side / 2.0], "true class", style.turned());
        bar(&mut scene, [left + side + 24.0, top], bar_height);
        Ok(scene)
    }

    /// Draws the cells side by side; small ones as a raster, without gaps and counts.
    fn cells(&self, scene: &mut Scene, [left, top]: Point, cell: f64) {
        let classes = self.names.len();
        let colors = self.colors();
        if cell < SMALL {
            let pixels = Pixels { width: classes, height: classes, colors };
            return scene.image([left, top], [cell * classes as f64; 2], pixels);
        }
        let digits = self.counts.iter().max().map_or(1, |most| most.to_string().len());
        let size = NAME.min((cell - 6.0) / (digits as f64 * font::advance('0')));
        let side = cell - 1.0;
        for (i, (count, fill)) in self.counts.iter().zip(colors).enumerate() {
            let [x, y] = [left + (i % classes) as f64 * cell, top + (i / classes) as f64 * cell];
            scene.rect([x, y], [side; 2], fill);
            if size < LEAST_SIZE {
                continue;
            }
            let color = match count {
                0 => MUTED.toward(WHITE, 0.55),
                _ if fill.is_dark() => WHITE,
                _ => INK,
            };
            let style = Style::new(size, color, Anchor::Middle);
            scene.text([x + side / 2.0, y + side / 2.0 + style.drop()], &count.to_string(), style);
        }
    }

    /// The colours of the cells, row-major.
    fn colors(&self) -> Vec<Color> {
        let rows = self.counts.chunks_exact(self.names.len()).enumerate();
        rows.flat_map(|(row, counts)| {
            let total = counts.iter().map(|count| *count as f64).sum::<f64>().max(1.0);
            let part = move |count: &usize| *count as f64 / total;
            counts.iter().enumerate().map(move |(column, count)| shade(row == column, part(count)))
        })
        .collect()
    }
}

/// The colour of a cell with this part of its row.
fn shade(right: bool, part: f64) -> Color {
    if part == 0.0 {
        return FAINT.toward(WHITE, 0.5);
    }
    let depth = FAINTEST + (1.0 - FAINTEST) * part.sqrt();
    Color::diverging(if right { -depth } else { depth })
}

/// The legend of the colours, on the diagonal and off it, side by side.
fn bar(scene: &mut Scene, [left, top]: Point, height: f64) {
    scene.text([left, top + 9.0], "part of the row", Style::new(TICK, MUTED, Anchor::Start));
    let (top, height) = (top + 24.0, height - 4.0);
    let steps = 100;
    for (right, left) in [(true, left), (false, left + BAR)] {
        let parts = (0..steps).rev().map(|i| (f64::from(i) / f64::from(steps - 1)).powi(2));
        let colors: Vec<Color> = parts.map(|part| shade(right, part)).collect();
        scene.image([left, top], [BAR, height], Pixels { width: 1, height: colors.len(), colors });
    }
    for percent in [0, 1, 10, 25, 50, 100] {
        let y = top + height * (1.0 - (f64::from(percent) / 100.0).sqrt());
        let style = Style::new(11.0, MUTED, Anchor::Start);
        scene.text([left + 2.0 * BAR + 6.0, y + style.drop()], &format!("{percent} %"), style);
    }
}
