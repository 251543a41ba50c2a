use super::axis;
use super::color::{Color, FAINT, INK, MUTED, NOT_FINITE};
use super::font;
use super::frame::{EDGE, TICK, head, title_width, write_title};
use super::scene::{Anchor, Pixels, Point, Scene, Style};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use std::path::Path;

/// The longest side that small images are magnified to, by a whole number, and that large ones are shrunk to.
const SMALL: f64 = 112.0;
const LARGE: f64 = 224.0;
const GAP: f64 = 16.0;
const LINE: f64 = 16.0;
const MOST_LINES: usize = 3;
const WIDEST_CAPTION: f64 = 140.0;
/// The target ratio of a sheet's width to its height, as closely as whole columns allow.
const RATIO: f64 = 1.5;
const BAR: Point = [200.0, 10.0];

/// A sheet of images with a caption under each, such as samples with their predictions, or the weights of each class.
///
/// Bytes are shown from 0, black, to 255, white; booleans from false to true; all other types from the min to the max
/// on the sheet. Values that are not finite are pink.
///
/// ```
/// use neural::{Array, plot::Grid};
/// # let path = std::env::temp_dir().join(format!("neural-doc-grid-{}.png", std::process::id()));
/// let digit = Array::new(&[2, 2], vec![0u8, 255, 128, 0])?;
/// Grid::new("Mistakes").image(&digit, "4 taken for 9, 98 %").save(&path)?;
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Grid {
    title: String,
    images: Vec<(Array, String)>,
    /// A value for each pixel of an image, by the image's place.
    tints: Vec<(usize, Vec<f64>)>,
    columns: Option<usize>,
    diverging: bool,
}

/// The mapping of values to colours, over all the images of a sheet.
enum Shades {
    /// Black at the first value, white at the second.
    Gray(f64, f64),
    /// Blue at the negative of this value, white at 0, vermilion at the value.
    Diverging(f64),
}

/// A sheet's measures.
struct Layout {
    /// Width and height that each image is shown in.
    shown: Vec<Point>,
    captions: Vec<Vec<String>>,
    columns: usize,
    cell: Point,
    /// The height that is left for the image in a cell.
    image: f64,
}

impl Grid {
    /// A sheet without pictures.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), images: Vec::new(), tints: Vec::new(), columns: None, diverging: false }
    }

    /// Adds an image: `[height, width]`, `[height, width, 1]` or, in red, green and blue, `[height, width, 3]`. A
    /// caption has up to three lines.
    #[must_use]
    pub fn image(mut self, image: &Array, caption: impl Into<String>) -> Self {
        self.images.push((image.clone(), caption.into()));
        self
    }

    /// Adds an image in grey with a tint for each pixel, from -1, blue, to 1, vermilion.
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn tinted(mut self, image: &Array, tints: Vec<f64>) -> Self {
        self.tints.push((self.images.len(), tints));
        self.image(image, "")
    }

    /// Sets the number of images side by side; by default the sheet is somewhat wider than high.
    #[must_use]
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = Some(columns);
        self
    }

    /// Shows negative values in blue, 0 in white and positive values in vermilion, on one scale for all images.
    #[must_use]
    pub fn diverging(mut self) -> Self {
        self.diverging = true;
        self
    }

    /// Writes the picture as SVG or PNG, by the ending of the name.
    ///
    /// # Errors
    /// When there is no image, an array is no image or a coloured one on a diverging sheet, the number of columns is
    /// 0, the ending is another, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.scene()?.save(path.as_ref())
    }

    fn scene(&self) -> Result<Scene> {
        self.check()?;
        let shades = self.shades();
        let layout = self.layout();
        let [cell_width, cell_height] = layout.cell;
        let rows = self.images.len().div_ceil(layout.columns);
        let spread = |count: usize, side: f64| count as f64 * (side + GAP) - GAP;

        let top = head(&self.title);
        let bar = if self.diverging { BAR[1] + 36.0 } else { 0.0 };
        let width = spread(layout.columns, cell_width);
        let wide =
            width.max(title_width(&self.title).min(640.0)).max(if self.diverging { BAR[0] } else { 0.0 });
        let high = top + spread(rows, cell_height) + bar;
        let mut scene = Scene::new(&self.title, [wide + 2.0 * EDGE, high + EDGE]);
        write_title(&mut scene, EDGE, &self.title);

        for (i, (array, _)) in self.images.iter().enumerate() {
            let (row, column) = (i / layout.columns, i % layout.columns);
            let left = EDGE + column as f64 * (cell_width + GAP);
            let above = top + row as f64 * (cell_height + GAP);
            let shown = layout.shown[i];
            let corner = [left + (cell_width - shown[0]) / 2.0, above + (layout.image - shown[1]) / 2.0];
            scene.rect(corner.map(|v| v - 1.0), shown.map(|v| v + 2.0), FAINT);
            let mut pixels = shades.pixels(array);
            let tints = self.tints.iter().filter(|(place, _)| *place == i).flat_map(|(_, tints)| tints);
            pixels.colors.iter_mut().zip(tints).for_each(|(color, tint)| *color = color.tinted(*tint));
            scene.image(corner, shown, pixels);
            let style = Style::new(TICK, INK, Anchor::Middle);
            for (line, text) in layout.captions[i].iter().enumerate() {
                let at = [left + cell_width / 2.0, above + layout.image + LINE * (line as f64 + 1.0)];
                scene.text(at, text, style);
            }
        }
        if let Shades::Diverging(largest) = shades {
            diverging_bar(&mut scene, [EDGE, high - BAR[1] - 16.0], largest);
        }
        Ok(scene)
    }

    fn check(&self) -> Result<()> {
        if self.images.is_empty() {
            return Err(Error::value(format!("images of the grid {:?}", self.title), "one or more", "none"));
        }
        if self.columns == Some(0) {
            return Err(Error::value("columns", "a whole number above 0", 0));
        }
        for (i, (array, _)) in self.images.iter().enumerate() {
            let fits = match array.shape() {
                [_, _] | [_, _, 1] => true,
                [_, _, 3] => !self.diverging,
                _ => false,
            };
            if !fits || array.is_empty() {
                let colored = if self.diverging { "" } else { " or [height, width, 3]" };
                let got = format!("{}{:?}", array.dtype(), array.shape());
                return Err(Error::shape(
                    format!("image {i} of the grid"),
                    format!("[height, width]{colored}"),
                    got,
                ));
            }
        }
        Ok(())
    }

    fn shades(&self) -> Shades {
        let mut ends = (f64::INFINITY, f64::NEG_INFINITY);
        for (array, _) in &self.images {
            if self.diverging || !matches!(array.dtype(), DType::U8 | DType::Bool) {
                let finite = array.to_f64().into_iter().filter(|v| v.is_finite());
                ends = finite.fold(ends, |(low, high), v| (low.min(v), high.max(v)));
            }
        }
        let (low, high) = ends;
        if self.diverging {
            let largest = high.max(-low);
            return Shades::Diverging(if largest > 0.0 { largest } else { 1.0 });
        }
        Shades::Gray(low, high)
    }

    fn layout(&self) -> Layout {
        let shown: Vec<Point> = self.images.iter().map(|(array, _)| shown(array)).collect();
        let widest = |widths: &mut dyn Iterator<Item = f64>| widths.fold(0.0, f64::max);
        let image = widest(&mut shown.iter().map(|side| side[1]));
        let caption = widest(&mut self.images.iter().map(|(_, text)| font::width(text, TICK)));
        let width = widest(&mut shown.iter().map(|side| side[0])).max(caption.min(WIDEST_CAPTION)).ceil();
        let captions: Vec<_> =
            self.images.iter().map(|(_, text)| font::wrap(text, TICK, width, MOST_LINES)).collect();
        let lines = captions.iter().map(Vec::len).max().unwrap_or(0);
        let cell = [width, image + lines as f64 * LINE + if lines > 0 { 4.0 } else { 0.0 }];
        let columns = self.columns.unwrap_or_else(|| columns(self.images.len(), cell));
        Layout { shown, captions, columns: columns.min(self.images.len()), cell, image }
    }
}

impl Shades {
    fn pixels(&self, array: &Array) -> Pixels {
        let shape = array.shape();
        let channels = shape.get(2).copied().unwrap_or(1);
        let values = array.to_f64();
        let colors = values.chunks_exact(channels).map(|pixel| self.color(pixel, array.dtype())).collect();
        Pixels { width: shape[1], height: shape[0], colors }
    }

    fn color(&self, pixel: &[f64], dtype: DType) -> Color {
        if !pixel.iter().all(|v| v.is_finite()) {
            return NOT_FINITE;
        }
        let (low, high) = match self {
            Shades::Diverging(largest) => return Color::diverging(pixel[0] / largest),
            Shades::Gray(..) if dtype == DType::U8 => (0.0, 255.0),
            Shades::Gray(..) if dtype == DType::Bool => (0.0, 1.0),
            Shades::Gray(low, high) => (*low, *high),
        };
        // Halves, since the difference of two values may be beyond f64.
        let span = high / 2.0 - low / 2.0;
        let part = |v: f64| if span > 0.0 { (v / 2.0 - low / 2.0) / span } else { 0.5 };
        match *pixel {
            [r, g, b] => Color([r, g, b].map(|v| Color::gray(part(v)).0[0])),
            _ => Color::gray(part(pixel[0])),
        }
    }
}

/// Width and height that an image is shown in.
fn shown(array: &Array) -> Point {
    let [height, width] = [0, 1].map(|axis| array.shape()[axis] as f64);
    let longest = width.max(height);
    let factor = if longest <= SMALL { (SMALL / longest).floor() } else { (LARGE / longest).min(1.0) };
    [width * factor, height * factor]
}

/// The number of columns that comes closest to [`RATIO`], with few places left empty.
fn columns(count: usize, cell: Point) -> usize {
    let badness = |columns: usize| {
        let rows = count.div_ceil(columns);
        let ratio = columns as f64 * (cell[0] + GAP) / (rows as f64 * (cell[1] + GAP));
        let empty = (rows * columns - count) as f64 / columns as f64;
        (ratio / RATIO).ln().abs() + empty
    };
    (1..=count).min_by(|a, b| badness(*a).total_cmp(&badness(*b))).unwrap_or(1)
}

fn diverging_bar(scene: &mut Scene, corner: Point, largest: f64) {
    let half = 50;
    let colors = (-half..=half).map(|i| Color::diverging(f64::from(i) / f64::from(half))).collect();
    scene.image(corner, BAR, Pixels { width: 2 * half as usize + 1, height: 1, colors });
    for (part, anchor) in [(0.0, Anchor::Start), (0.5, Anchor::Middle), (1.0, Anchor::End)] {
        let text = axis::rounded((2.0 * part - 1.0) * largest);
        let at = [corner[0] + part * BAR[0], corner[1] + BAR[1] + 14.0];
        scene.text(at, &text, Style::new(TICK, MUTED, anchor));
    }
}
