//! A scene as PNG, at [`SCALE`] pixels a unit.

use super::color::{Color, WHITE};
use super::font;
use super::scene::{Anchor, Pixels, Point, Scene, Shape, Style};
use crate::error::{Error, Result};
use std::path::Path;
use tiny_skia::{
    FillRule, FilterQuality, LineJoin, Paint, PathBuilder, Pixmap, PixmapPaint, Rect, Stroke, StrokeDash,
    Transform,
};
use ttf_parser::OutlineBuilder;

/// Sharp on screens of today; on others the picture is shown at twice its size.
const SCALE: f32 = 2.0;
/// The max number of pixels of a picture, which take 4 bytes each while it is drawn.
const MOST: f64 = 1e8;

pub(super) fn write(scene: &Scene, path: &Path) -> Result<Vec<u8>> {
    let [width, height] = scene.size.map(|side| side * f64::from(SCALE));
    let sheet = if width * height <= MOST { Pixmap::new(width as u32, height as u32) } else { None };
    let Some(mut sheet) = sheet else {
        let got = format!("{width} x {height}; show less or save it as .svg");
        return Err(Error::value("picture", format!("at most {MOST} pixels for a PNG"), got));
    };
    for shape in &scene.shapes {
        draw(&mut sheet, shape);
    }
    sheet.encode_png().map_err(|e| Error::format(path, format!("the picture cannot be encoded: {e}")))
}

/// A raster alone, one pixel each; `None` when it is empty or too large for PNG.
pub(super) fn encode(pixels: &Pixels) -> Option<Vec<u8>> {
    pixmap(pixels)?.encode_png().ok()
}

fn pixmap(pixels: &Pixels) -> Option<Pixmap> {
    let mut map = Pixmap::new(u32::try_from(pixels.width).ok()?, u32::try_from(pixels.height).ok()?)?;
    for (to, color) in map.data_mut().chunks_exact_mut(4).zip(&pixels.colors) {
        let [r, g, b] = color.0;
        to.copy_from_slice(&[r, g, b, 255]);
    }
    Some(map)
}

/// Draws one shape. A shape without extent, such as a line of one point, leaves nothing behind.
fn draw(sheet: &mut Pixmap, shape: &Shape) {
    let scaled = Transform::from_scale(SCALE, SCALE);
    match shape {
        Shape::Rect { corner: [x, y], size: [w, h], fill } => {
            if let Some(rect) = Rect::from_xywh(*x as f32, *y as f32, *w as f32, *h as f32) {
                sheet.fill_rect(rect, &paint(*fill), scaled, None);
            }
        }
        Shape::Line { points, color, width, dashed } => {
            let mut line = PathBuilder::new();
            for (i, [x, y]) in points.iter().map(|p| p.map(|v| v as f32)).enumerate() {
                if i == 0 { line.move_to(x, y) } else { line.line_to(x, y) }
            }
            let dash = if *dashed { StrokeDash::new(vec![6.0, 4.0], 0.0) } else { None };
            let stroke =
                Stroke { width: *width as f32, line_join: LineJoin::Round, dash, ..Stroke::default() };
            if let Some(line) = line.finish() {
                sheet.stroke_path(&line, &paint(*color), &stroke, scaled, None);
            }
        }
        Shape::Dot { center: [x, y], radius, fill } => {
            if let Some(circle) = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32) {
                sheet.fill_path(&circle, &paint(*fill), FillRule::Winding, scaled, None);
                let rim = Stroke { width: 0.6, ..Stroke::default() };
                sheet.stroke_path(&circle, &paint(WHITE), &rim, scaled, None);
            }
        }
        Shape::Text { at, text, style } => {
            if let Some(letters) = outlines(text) {
                let place = placed(*at, text, *style).post_concat(scaled);
                sheet.fill_path(&letters, &paint(style.color), FillRule::Winding, place, None);
            }
        }
        Shape::Image { corner: [x, y], size: [w, h], pixels } => {
            let Some(image) = pixmap(pixels) else { return };
            let (across, down) = (*w as f32 / image.width() as f32, *h as f32 / image.height() as f32);
            let shrunk = across.min(down) * SCALE < 1.0;
            let quality = if shrunk { FilterQuality::Bicubic } else { FilterQuality::Nearest };
            let place = Transform::from_row(across, 0.0, 0.0, down, *x as f32, *y as f32).post_concat(scaled);
            let paint = PixmapPaint { quality, ..PixmapPaint::default() };
            sheet.draw_pixmap(0, 0, image.as_ref(), &paint, place, None);
        }
    }
}

fn paint(color: Color) -> Paint<'static> {
    let [r, g, b] = color.0;
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, 255);
    paint
}

/// Takes a line of text from the font's units, as [`outlines`] has them, to its place in the picture.
fn placed([x, y]: Point, text: &str, style: Style) -> Transform {
    let width = font::width(text, 1.0);
    let shift = match style.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -width / 2.0,
        Anchor::End => -width,
    };
    let turn = if style.turned { Transform::from_rotate(-90.0) } else { Transform::identity() };
    let size = style.size as f32;
    Transform::from_translate(shift as f32, 0.0)
        .post_scale(size, size)
        .post_concat(turn)
        .post_translate(x as f32, y as f32)
}

/// The letters side by side from the origin to the right, at a size of 1; `None` when none of them is seen.
fn outlines(text: &str) -> Option<tiny_skia::Path> {
    let face = font::face();
    let unit = 1.0 / f32::from(face.units_per_em());
    let mut pen = Pen { path: PathBuilder::new(), x: 0.0, unit };
    for letter in text.chars() {
        face.outline_glyph(face.glyph_index(letter).unwrap_or_default(), &mut pen);
        pen.x += font::advance(letter) as f32;
    }
    pen.path.finish()
}

/// Turns the outline of a glyph, y up, into a path, y down.
struct Pen {
    path: PathBuilder,
    x: f32,
    unit: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.unit, -y * self.unit)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
