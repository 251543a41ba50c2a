//! A scene as SVG 1.1, one element a shape.

use super::font::FAMILY;
use super::png;
use super::scene::{Anchor, Pixels, Point, Scene, Shape, Style};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::fmt::Write;

pub(super) fn write(scene: &Scene) -> String {
    let [width, height] = scene.size.map(short);
    let mut svg = String::from(r#"<svg xmlns="http://www.w3.org/2000/svg""#);
    svg += &format!(r#" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img""#);
    svg += &format!(r#" font-family="{FAMILY}">"#);
    if !scene.title.is_empty() {
        svg += &format!("\n<title>{}</title>", escape(&scene.title));
    }
    for shape in &scene.shapes {
        svg.push('\n');
        svg += &element(shape);
    }
    svg + "\n</svg>\n"
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Rect { corner, size, fill } => format!(r#"<rect {} fill="{fill}"/>"#, area(*corner, *size)),
        Shape::Line { points, color, width, dashed } => {
            let mut line = String::from(r#"<polyline points=""#);
            for (i, [x, y]) in points.iter().map(|p| p.map(short)).enumerate() {
                let gap = if i == 0 { "" } else { " " };
                write!(line, "{gap}{x},{y}").expect("a string takes all that is written to it");
            }
            let dashes = if *dashed { r#" stroke-dasharray="6 4""# } else { "" };
            line + &format!(
                r#"" fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"{dashes}/>"#
            )
        }
        Shape::Dot { center, radius, fill } => {
            let [x, y] = center.map(short);
            let radius = short(*radius);
            format!(r##"<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}" stroke="#ffffff" stroke-width="0.6"/>"##)
        }
        Shape::Text { at, text, style } => label(*at, text, *style),
        Shape::Image { corner, size, pixels } => picture(*corner, *size, pixels),
    }
}

fn label(at: Point, text: &str, style: Style) -> String {
    let [x, y] = at.map(short);
    let turn = if style.turned { format!(r#" transform="rotate(-90 {x} {y})""#) } else { String::new() };
    let anchor = match style.anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let (size, color) = (style.size, style.color);
    format!(
        r#"<text x="{x}" y="{y}" font-size="{size}" fill="{color}" text-anchor="{anchor}"{turn}>{}</text>"#,
        escape(text)
    )
}

fn picture(corner: Point, size: Point, pixels: &Pixels) -> String {
    let Some(file) = png::encode(pixels) else { return String::new() };
    format!(
        r#"<image {} preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;base64,{}"/>"#,
        area(corner, size),
        BASE64_STANDARD.encode(file)
    )
}

fn area(corner: Point, size: Point) -> String {
    let ([x, y], [width, height]) = (corner.map(short), size.map(short));
    format!(r#"x="{x}" y="{y}" width="{width}" height="{height}""#)
}

/// To a hundredth of a unit; what is shorter is not seen. Adding 0 makes -0 plain.
fn short(value: f64) -> f64 {
    (value * 100.0).round() / 100.0 + 0.0
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
