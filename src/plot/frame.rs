//! The frame of a plot with two axes: title, legend, ticks, labels and grid.

use super::axis::{Axis, Tick};
use super::color::{AXIS, Color, FAINT, INK, MUTED};
use super::font;
use super::scene::{Anchor, Point, Scene, Shape, Style};

const TITLE: f64 = 17.0;
/// The size of names and labels.
pub(super) const NAME: f64 = 13.0;
/// The size of ticks and captions.
pub(super) const TICK: f64 = 12.0;
/// White space at the edges of a picture.
pub(super) const EDGE: f64 = 16.0;
pub(super) const LEGEND_ROW: f64 = 22.0;
/// The line or dot before a name in the legend, and the space after the name.
const KEY: f64 = 24.0;
const KEY_GAP: f64 = 20.0;
const WIDEST_NAME: f64 = 300.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Line { dashed: bool },
    Dot,
}

/// An entry of the legend; one without a name is left out.
pub(super) struct Key<'a> {
    pub name: &'a str,
    pub color: Color,
    pub mark: Mark,
}

/// A plane to be drawn in a picture of this size, to which every row of the legend after the first adds its height.
pub(super) struct Frame<'a> {
    pub title: &'a str,
    pub x_label: &'a str,
    pub y_label: &'a str,
    pub x: Axis,
    pub y: Axis,
    pub legend: Vec<Key<'a>>,
    pub size: Point,
}

/// The picture with the frame in it, and where the data goes.
pub(super) struct Plane {
    pub scene: Scene,
    pub corner: Point,
    pub size: Point,
    x: Axis,
    y: Axis,
}

/// The height that a title takes.
pub(super) fn head(title: &str) -> f64 {
    if title.is_empty() { EDGE } else { EDGE + TITLE + 14.0 }
}

/// The room for a title, also in the wider fonts that a viewer of an SVG may have in place of ours.
pub(super) fn title_width(title: &str) -> f64 {
    1.2 * font::width(title, TITLE)
}

/// Writes the title of a picture, cut to the available width.
pub(super) fn write_title(scene: &mut Scene, left: f64, title: &str) {
    let text = font::fit(title, TITLE, scene.size[0] - left - EDGE);
    scene.text([left, EDGE + TITLE * 0.9], &text, Style::new(TITLE, INK, Anchor::Start));
}

impl Frame<'_> {
    pub fn draw(self) -> Plane {
        let named: Vec<&Key> = self.legend.iter().filter(|key| !key.name.is_empty()).collect();
        let head = head(self.title);
        let first_row = if named.is_empty() { 0.0 } else { LEGEND_ROW };
        let foot = 28.0 + if self.x_label.is_empty() { 4.0 } else { 26.0 };
        let height = self.size[1] - head - first_row - foot;

        let y_ticks = self.y.ticks((height / 50.0) as usize);
        let left = EDGE + if self.y_label.is_empty() { 0.0 } else { 24.0 } + widest(&y_ticks) + 8.0;
        let width = self.size[0] - left - EDGE - 8.0;
        let x_ticks = fitting(&self.x, width);

        let rows = legend_rows(&named, width);
        let extra = rows.saturating_sub(1) as f64 * LEGEND_ROW;
        let mut scene = Scene::new(self.title, [self.size[0], self.size[1] + extra]);
        write_title(&mut scene, left, self.title);
        legend(&mut scene, &named, [left, head], width);

        let corner = [left, head + first_row + extra];
        let mut plane = Plane { scene, corner, size: [width, height], x: self.x, y: self.y };
        plane.rule_x(&x_ticks);
        plane.rule_y(&y_ticks);
        let [right, bottom] = [left + width, corner[1] + height];
        plane.scene.line(vec![corner, [left, bottom], [right, bottom]], AXIS, 1.0);
        plane.label(self.x_label, self.y_label);
        plane
    }
}

impl Plane {
    /// The place of a point; `None` when one of its values has no place on its axis.
    pub fn at(&self, (x, y): (f64, f64)) -> Option<Point> {
        let (across, up) = (self.x.place(x)?, self.y.place(y)?);
        Some([self.corner[0] + across * self.size[0], self.corner[1] + (1.0 - up) * self.size[1]])
    }

    fn rule_x(&mut self, ticks: &[Tick]) {
        let ([left, top], [width, height]) = (self.corner, self.size);
        let bottom = top + height;
        for tick in ticks {
            let x = left + tick.at * width;
            self.scene.line(vec![[x, top], [x, bottom]], FAINT, rule(tick));
            let Some(label) = &tick.label else { continue };
            self.scene.line(vec![[x, bottom], [x, bottom + 4.0]], AXIS, 1.0);
            let middle = x.min(self.scene.size[0] - 2.0 - font::width(label, TICK) / 2.0);
            self.scene.text([middle, bottom + 19.0], label, Style::new(TICK, MUTED, Anchor::Middle));
        }
    }

    fn rule_y(&mut self, ticks: &[Tick]) {
        let ([left, top], [width, height]) = (self.corner, self.size);
        let style = Style::new(TICK, MUTED, Anchor::End);
        for tick in ticks {
            let y = top + (1.0 - tick.at) * height;
            self.scene.line(vec![[left, y], [left + width, y]], FAINT, rule(tick));
            let Some(label) = &tick.label else { continue };
            self.scene.line(vec![[left - 4.0, y], [left, y]], AXIS, 1.0);
            self.scene.text([left - 8.0, y + style.drop()], label, style);
        }
    }

    fn label(&mut self, x: &str, y: &str) {
        let ([left, top], [width, height]) = (self.corner, self.size);
        let style = Style::new(NAME, INK, Anchor::Middle);
        let below = self.scene.size[1] - 14.0;
        self.scene.text([left + width / 2.0, below], &font::fit(x, NAME, width), style);
        let side = [EDGE + 10.0, top + height / 2.0];
        self.scene.text(side, &font::fit(y, NAME, height), style.turned());
    }
}

/// The width of a line of the grid.
fn rule(tick: &Tick) -> f64 {
    if tick.label.is_some() { 1.0 } else { 0.5 }
}

fn widest(ticks: &[Tick]) -> f64 {
    ticks.iter().filter_map(|t| t.label.as_ref()).map(|l| font::width(l, TICK)).fold(0.0, f64::max)
}

/// The ticks whose labels fit side by side.
pub(super) fn fitting(axis: &Axis, width: f64) -> Vec<Tick> {
    let crowded = |ticks: &Vec<Tick>| {
        let labelled = || ticks.iter().filter(|tick| tick.label.is_some());
        let gaps = labelled().zip(labelled().skip(1)).map(|(a, b)| (b.at - a.at) * width);
        gaps.fold(f64::INFINITY, f64::min) < widest(ticks) + 12.0
    };
    (4..=10).rev().map(|most| axis.ticks(most)).find(|ticks| !crowded(ticks)).unwrap_or_else(|| axis.ticks(3))
}

/// The name as the legend shows it, and the width of its entry.
fn entry(key: &Key) -> (String, f64) {
    let name = font::fit(key.name, NAME, WIDEST_NAME);
    let width = KEY + font::width(&name, NAME) + KEY_GAP;
    (name, width)
}

/// The row and left edge of each entry: side by side, as long as there is room.
fn legend_places(keys: &[&Key], width: f64) -> Vec<(usize, f64)> {
    let (mut row, mut left) = (0, 0.0);
    let mut places = Vec::new();
    for key in keys {
        let (_, wide) = entry(key);
        if left > 0.0 && left + wide - KEY_GAP > width {
            (row, left) = (row + 1, 0.0);
        }
        places.push((row, left));
        left += wide;
    }
    places
}

pub(super) fn legend_rows(keys: &[&Key], width: f64) -> usize {
    legend_places(keys, width).last().map_or(0, |(row, _)| row + 1)
}

pub(super) fn legend(scene: &mut Scene, keys: &[&Key], [left, top]: Point, width: f64) {
    for (key, (row, along)) in keys.iter().zip(legend_places(keys, width)) {
        let (x, middle) = (left + along, top + row as f64 * LEGEND_ROW + 6.0);
        match key.mark {
            Mark::Dot => scene.dot([x + 9.0, middle], 4.5, key.color),
            Mark::Line { dashed } => {
                let points = vec![[x, middle], [x + 18.0, middle]];
                scene.shapes.push(Shape::Line { points, color: key.color, width: 2.5, dashed });
            }
        }
        let style = Style::new(NAME, INK, Anchor::Start);
        scene.text([x + KEY, middle + style.drop()], &entry(key).0, style);
    }
}
