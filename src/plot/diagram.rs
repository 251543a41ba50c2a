//! A graph of boxes and arrows, from top to bottom.

use super::color::{AXIS, Color, FAINT, INK, MUTED, WHITE};
use super::font;
use super::frame::{EDGE, NAME, TICK, head, title_width, write_title};
use super::layers::{Laid, lay};
use super::scene::{Anchor, Point, Scene, Style};
use super::svg;
use crate::error::{Error, Result};
use std::path::Path;

const LINE: f64 = 19.0;
const HEADING: f64 = 24.0;
const INSIDE: f64 = 10.0;
/// The indentation of a row relative to the one that it is a part of.
const INDENT: f64 = 14.0;
const COLUMN: f64 = 18.0;
const WIDEST: [f64; 3] = [220.0, 180.0, 90.0];
const LEAST_WIDTH: f64 = 90.0;
const ARROW: f64 = 4.0;

/// The role of a block, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// The network reads it.
    Input,
    /// Layers, or a node.
    Part,
    /// The network answers with it.
    Output,
}

/// A box of a [`Diagram`]: a heading and rows of three columns.
#[derive(Clone, Debug)]
pub struct Block {
    heading: String,
    role: Role,
    rows: Vec<(usize, [String; 3])>,
}

impl Block {
    /// A block without lines or arrows yet.
    pub fn new(heading: impl Into<String>, role: Role) -> Self {
        Self { heading: heading.into(), role, rows: Vec::new() }
    }

    /// A row; one with a `depth` above 0 is a part of the row above it.
    #[must_use]
    pub fn row(mut self, depth: usize, columns: [String; 3]) -> Self {
        self.rows.push((depth, columns));
        self
    }

    /// The widths of the columns.
    fn columns(&self) -> [f64; 3] {
        [0, 1, 2].map(|column| {
            let width = |(depth, cells): &(usize, [String; 3])| {
                let before = if column == 0 { INDENT * *depth as f64 } else { 0.0 };
                before + font::width(&cells[column], TICK)
            };
            self.rows.iter().map(width).fold(0.0, f64::max).min(WIDEST[column])
        })
    }

    fn size(&self) -> Point {
        let columns = self.columns();
        let gaps = columns.iter().filter(|width| **width > 0.0).count().saturating_sub(1) as f64 * COLUMN;
        let widest = f64::max(columns.iter().sum::<f64>() + gaps, font::width(&self.heading, NAME));
        let rows = if self.rows.is_empty() { 0.0 } else { LINE * self.rows.len() as f64 + 8.0 };
        [f64::max(widest + 2.0 * INSIDE, LEAST_WIDTH), HEADING + rows]
    }

    fn draw(&self, scene: &mut Scene, corner: Point, size: Point) {
        let [x, y] = corner;
        let color = match self.role {
            Role::Input => Color::series(2),
            Role::Part => Color::series(0),
            Role::Output => Color::series(1),
        };
        scene.rect(corner, size, WHITE);
        scene.rect(corner, [size[0], HEADING], color.toward(WHITE, 0.82));
        let middle = y + HEADING / 2.0;
        let style = Style::new(NAME, INK, Anchor::Middle);
        let heading = font::fit(&self.heading, NAME, size[0] - 2.0 * INSIDE);
        scene.text([x + size[0] / 2.0, middle + style.drop()], &heading, style);

        let columns = self.columns();
        let right = x + size[0] - INSIDE;
        // The first column is at the left edge, the last at the right one.
        let second = x + INSIDE + columns[0] + COLUMN;
        for (i, (depth, cells)) in self.rows.iter().enumerate() {
            let middle = y + HEADING + 4.0 + (i as f64 + 0.5) * LINE;
            let indent = INDENT * *depth as f64;
            for level in 0..*depth {
                let x = x + INSIDE + 3.0 + INDENT * level as f64;
                scene.line(vec![[x, middle - LINE / 2.0], [x, middle + LINE / 2.0]], AXIS, 1.0);
            }
            let mut write = |x: f64, text: &str, room: f64, color: Color, anchor: Anchor| {
                let style = Style::new(TICK, color, anchor);
                scene.text([x, middle + style.drop()], &font::fit(text, TICK, room), style);
            };
            write(x + INSIDE + indent, &cells[0], columns[0] - indent, INK, Anchor::Start);
            write(second, &cells[1], columns[1], MUTED, Anchor::Start);
            write(right, &cells[2], columns[2], MUTED, Anchor::End);
        }
        let [right, bottom] = [x + size[0], y + size[1]];
        let frame = vec![[x, y], [right, y], [right, bottom], [x, bottom], [x, y]];
        scene.line(frame, color.toward(WHITE, 0.25), 1.2);
    }
}

/// Boxes and the arrows between them, such as the nodes of a model. Each box is below all that lead to it.
///
/// ```
/// use neural::plot::{Block, Diagram, Role};
/// let folder = tempfile::tempdir()?;
/// let layer = Block::new("hidden", Role::Part).row(0, ["dense", "16", "80"].map(String::from));
/// Diagram::new("A network")
///     .block(Block::new("input", Role::Input))
///     .block(layer)
///     .arrow(0, 1)
///     .save(folder.path().join("network.svg"))?;
/// assert!(std::fs::read_to_string(folder.path().join("network.svg"))?.contains("hidden"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Diagram {
    title: String,
    blocks: Vec<Block>,
    arrows: Vec<(usize, usize)>,
}

impl Diagram {
    /// A diagram without blocks yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new(), arrows: Vec::new() }
    }

    /// Appends a block.
    #[must_use]
    pub fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// An arrow between two blocks, by their places from 0.
    #[must_use]
    pub fn arrow(mut self, from: usize, to: usize) -> Self {
        self.arrows.push((from, to));
        self
    }

    /// Writes the picture as SVG or PNG, by the extension of the name.
    ///
    /// # Errors
    /// When an arrow leads from or to a missing block, arrows form a cycle, the extension is another one, or the file
    /// cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.scene()?.save(path.as_ref())
    }

    /// The picture as the text of an SVG file.
    ///
    /// # Errors
    /// When an arrow leads from or to a missing block, or arrows form a cycle.
    pub fn svg(&self) -> Result<String> {
        Ok(svg::write(&self.scene()?))
    }

    fn scene(&self) -> Result<Scene> {
        let count = self.blocks.len();
        if let Some(arrow) = self.arrows.iter().find(|(from, to)| *from >= count || *to >= count) {
            return Err(Error::value("arrow", format!("places of {count} blocks"), format!("{arrow:?}")));
        }
        let sizes: Vec<Point> = self.blocks.iter().map(Block::size).collect();
        let Laid { corners, arrows, size } = lay(&sizes, &self.arrows)?;
        let width = f64::max(size[0], title_width(&self.title)) + 2.0 * EDGE;
        let (left, top) = ((width - size[0]) / 2.0, head(&self.title));
        let mut scene = Scene::new(&self.title, [width, top + size[1] + EDGE]);
        write_title(&mut scene, EDGE, &self.title);
        let moved = |[x, y]: Point| [x + left, y + top];
        for way in arrows {
            let way: Vec<Point> = way.into_iter().map(moved).collect();
            if let Some(&[x, y]) = way.last() {
                let tip = vec![[x - ARROW, y - 1.6 * ARROW], [x, y], [x + ARROW, y - 1.6 * ARROW]];
                scene.line(tip, MUTED, 1.4);
            }
            scene.line(way, MUTED.toward(FAINT, 0.25), 1.4);
        }
        for ((block, size), corner) in self.blocks.iter().zip(&sizes).zip(corners) {
            block.draw(&mut scene, moved(corner), *size);
        }
        Ok(scene)
    }
}
