//! A scene as SVG, one element a shape.

use super::font::FAMILY;
use super::png;
use super::scene::{Anchor, Pixels, Point, Scene, Shape, Style};
use base64::prelude::{BASE64_STANDARD, Engine};

pub(super) fn write(scene: &Scene) -> String {
    let [width, height] = scene.size.map(short);
    let size = format!(r#"width="{width}" height="{height}" viewBox="0 0 {width} {height}""#);
    let space = "http://www.w3.org/2000/svg";
    let mut lines = vec![format!(r#"<svg xmlns="{space}" {size} role="img" font-family="{FAMILY}">"#)];
    if !scene.title.is_empty() {
        lines.push(format!("<title>{}</title>", escape(&scene.title)));
    }
    lines.extend(scene.shapes.iter().map(element));
    lines.push("</svg>\n".to_string());
    lines.join("\n")
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Rect { corner, size, fill } => format!(r#"<rect {} fill="{fill}"/>"#, area(*corner, *size)),
        Shape::Line { points, color, width, dashed } => {
            let places: Vec<String> =
                points.iter().map(|p| p.map(short)).map(|[x, y]| format!("{x},{y}")).collect();
            let places = places.join(" ");
            let dashes = if *dashed { r#" stroke-dasharray="6 4""# } else { "" };
            let look =
                format!(r#"fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round""#);
            format!(r#"<polyline points="{places}" {look}{dashes}/>"#)
        }
        Shape::Dot { center, radius, fill } => {
            let [x, y] = center.map(short);
            let radius = short(*radius);
            format!(
                r##"<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}" stroke="#ffffff" stroke-width="0.6"/>"##
            )
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
    // Viewers that do not know the CSS word fall back on SVG's.
    let sharp = r#" image-rendering="optimizeSpeed" style="image-rendering:pixelated""#;
    let sharp = if size[0] < pixels.width as f64 { "" } else { sharp };
    let (area, file) = (area(corner, size), BASE64_STANDARD.encode(file));
    format!(r#"<image {area} preserveAspectRatio="none"{sharp} href="data:image/png;base64,{file}"/>"#)
}

fn area(corner: Point, size: Point) -> String {
    let ([x, y], [width, height]) = (corner.map(short), size.map(short));
    format!(r#"x="{x}" y="{y}" width="{width}" height="{height}""#)
}

/// Rounds to a hundredth of a unit; smaller differences are invisible. Adding 0 turns -0 into 0.
fn short(value: f64) -> f64 {
    (value * 100.0).round() / 100.0 + 0.0
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
