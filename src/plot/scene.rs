//! A picture as a list of shapes, the later ones over the earlier. Positions are in units from the top left corner.

use super::color::{Color, WHITE};
use super::{png, svg};
use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

pub(super) type Point = [f64; 2];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How letters look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub size: f64,
    pub color: Color,
    pub anchor: Anchor,
    /// Whether the text reads from below to above.
    pub turned: bool,
}

impl Style {
    pub fn new(size: f64, color: Color, anchor: Anchor) -> Self {
        Self { size, color, anchor, turned: false }
    }

    pub fn turned(self) -> Self {
        Self { turned: true, ..self }
    }

    /// How far the baseline lies below the middle of figures and capitals.
    pub fn drop(&self) -> f64 {
        self.size * 0.36
    }
}

/// A raster of colours, row by row.
#[derive(Clone, Debug)]
pub(super) struct Pixels {
    pub width: usize,
    pub height: usize,
    pub colors: Vec<Color>,
}

#[derive(Clone, Debug)]
pub(super) enum Shape {
    Rect {
        corner: Point,
        size: Point,
        fill: Color,
    },
    Line {
        points: Vec<Point>,
        color: Color,
        width: f64,
        dashed: bool,
    },
    /// A disc with a thin white rim, which keeps neighbours apart.
    Dot {
        center: Point,
        radius: f64,
        fill: Color,
    },
    /// One line of text, anchored at its baseline.
    Text {
        at: Point,
        text: String,
        style: Style,
    },
    /// Pixels as sharp rectangles.
    Image {
        corner: Point,
        size: Point,
        pixels: Pixels,
    },
}

/// A white sheet and its shapes.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub title: String,
    pub size: Point,
    pub shapes: Vec<Shape>,
}

impl Scene {
    /// `title` describes the picture to those who cannot see it.
    pub fn new(title: &str, size: Point) -> Self {
        let size = size.map(f64::ceil);
        let sheet = Shape::Rect { corner: [0.0; 2], size, fill: WHITE };
        Self { title: printable(title), size, shapes: vec![sheet] }
    }

    pub fn rect(&mut self, corner: Point, size: Point, fill: Color) {
        self.shapes.push(Shape::Rect { corner, size, fill });
    }

    pub fn line(&mut self, points: Vec<Point>, color: Color, width: f64) {
        self.shapes.push(Shape::Line { points, color, width, dashed: false });
    }

    pub fn dot(&mut self, center: Point, radius: f64, fill: Color) {
        self.shapes.push(Shape::Dot { center, radius, fill });
    }

    pub fn text(&mut self, at: Point, text: &str, style: Style) {
        if !text.is_empty() {
            self.shapes.push(Shape::Text { at, text: printable(text), style });
        }
    }

    pub fn image(&mut self, corner: Point, size: Point, pixels: Pixels) {
        self.shapes.push(Shape::Image { corner, size, pixels });
    }

    /// Writes the picture in the format of the name's extension.
    pub fn save(&self, path: &Path) -> Result<()> {
        let contents = match Form::of(path)? {
            Form::Svg => svg::write(self).into_bytes(),
            Form::Png => png::write(self, path)?,
        };
        fs::write(path, contents).map_err(|e| Error::io("write", path, e))
    }
}

enum Form {
    Svg,
    Png,
}

impl Form {
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "svg" => Ok(Form::Svg),
            "png" => Ok(Form::Png),
            _ => Err(Error::value("picture", "a file name that ends in .svg or .png", path.display())),
        }
    }
}

/// Checks the name of a picture's file, before the work for it begins.
///
/// ```
/// assert!(neural::plot::file("loss.svg").is_ok());
/// let error = neural::plot::file("loss.gif").unwrap_err();
/// assert_eq!(error.to_string(), "picture: expected a file name that ends in .svg or .png, got loss.gif");
/// ```
///
/// # Errors
/// When it ends in anything but `.svg` or `.png`.
pub fn file(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    Form::of(&path).map(|_| path)
}

/// The text with characters that XML or the font cannot show replaced by blanks.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c })
        .collect()
}
