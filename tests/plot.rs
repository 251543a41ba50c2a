//! Pictures are read back as XML and PNG, and compared with the request.

use base64::prelude::{BASE64_STANDARD, Engine};
use neural::plot::{Area, Boundary, Chart, Grid, Matrix};
use neural::{Array, Error, Result};
use roxmltree::{Document, Node};
use std::fs;
use std::path::{Path, PathBuf};

/// Blue, vermilion and bluish green as Okabe and Ito give them, and their reddish purple.
const BLUE: [u8; 3] = [0, 114, 178];
const VERMILION: [u8; 3] = [213, 94, 0];
const PURPLE: [u8; 3] = [204, 121, 167];
const WHITE: [u8; 3] = [255; 3];

/// A file that is gone at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("neural-plot-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn svg(name: &str, save: impl Fn(&Path) -> Result<()>) -> String {
    let file = Scratch::new(&format!("{name}.svg"));
    save(&file.0).unwrap();
    fs::read_to_string(&file.0).unwrap()
}

/// A decoded PNG.
struct Png {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Png {
    fn decode(file: &[u8]) -> Self {
        let image = image::load_from_memory_with_format(file, image::ImageFormat::Png).unwrap().to_rgb8();
        let (width, height) = (image.width() as usize, image.height() as usize);
        Self { width, height, pixels: image.pixels().map(|pixel| pixel.0).collect() }
    }

    /// The colour at a place of the picture, of which a unit is two pixels.
    fn at(&self, x: f64, y: f64) -> [u8; 3] {
        self.pixels[(y * 2.0) as usize * self.width + (x * 2.0) as usize]
    }

    /// The pixels that differ from white in a box of the picture: left, top, right and bottom.
    fn ink(&self, [left, top, right, bottom]: [usize; 4]) -> Option<[usize; 4]> {
        let dark = |x: &usize, y: &usize| self.pixels[y * self.width + x] != WHITE;
        let columns: Vec<usize> = (left..right).filter(|x| (top..bottom).any(|y| dark(x, &y))).collect();
        let rows: Vec<usize> = (top..bottom).filter(|y| (left..right).any(|x| dark(&x, y))).collect();
        Some([*columns.first()?, *rows.first()?, columns.last()? + 1, rows.last()? + 1])
    }
}

fn png(name: &str, save: impl Fn(&Path) -> Result<()>) -> Png {
    let file = Scratch::new(&format!("{name}.png"));
    save(&file.0).unwrap();
    Png::decode(&fs::read(&file.0).unwrap())
}

fn all<'a>(picture: &'a Document, tag: &'a str) -> Vec<Node<'a, 'a>> {
    picture.descendants().filter(|node| node.has_tag_name(tag)).collect()
}

fn number(node: &Node, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

fn text<'a>(picture: &'a Document, words: &str) -> Node<'a, 'a> {
    let found: Vec<_> = all(picture, "text").into_iter().filter(|node| node.text() == Some(words)).collect();
    assert_eq!(found.len(), 1, "{words:?}");
    found[0]
}

/// The numbers written below (`along` is "x", in the middle of their place) or beside (`along` is "y", right-aligned)
/// an axis, and where.
fn ticks(picture: &Document, along: &str) -> Vec<(f64, f64)> {
    let anchor = if along == "x" { "middle" } else { "end" };
    let labels =
        all(picture, "text").into_iter().filter(|node| node.attribute("text-anchor") == Some(anchor));
    labels
        .filter_map(|node| {
            let value = node.text()?.replace('−', "-").parse().ok()?;
            Some((value, number(&node, along)))
        })
        .collect()
}

/// Where a value is on a linear axis, by the first and the last of its ticks.
fn place(ticks: &[(f64, f64)], value: f64) -> f64 {
    let ((a, from), (b, to)) = (ticks[0], *ticks.last().unwrap());
    from + (value - a) / (b - a) * (to - from)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.1
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn points_of(line: &Node) -> Vec<(f64, f64)> {
    let pairs = line.attribute("points").unwrap().split(' ').map(|pair| pair.split_once(',').unwrap());
    pairs.map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).collect()
}

#[test]
fn points_are_where_the_ticks_say() {
    let points = [(0.5, -3.0), (2.0, 12.5), (9.25, 40.0)];
    let source = svg("points", |path| Chart::new("").x_label("x").points("", &points).save(path));
    let picture = Document::parse(&source).unwrap();
    assert_eq!(
        (number(&picture.root_element(), "width"), number(&picture.root_element(), "height")),
        (800.0, 500.0)
    );
    let (across, up) = (ticks(&picture, "x"), ticks(&picture, "y"));
    assert!((4..=11).contains(&across.len()) && (4..=11).contains(&up.len()), "{across:?} {up:?}");
    let dots = all(&picture, "circle");
    assert_eq!(dots.len(), points.len());
    for (dot, (x, y)) in dots.iter().zip(points) {
        assert!(close(number(dot, "cx"), place(&across, x)));
        // A label beside the axis stands a little below its tick, all by as much.
        let below = up[0].1 - rule_near(&picture, up[0].1);
        assert!(close(number(dot, "cy"), place(&up, y) - below));
        assert_eq!(dot.attribute("fill"), Some(hex(BLUE).as_str()));
    }
}

/// The height of the horizontal line of the grid that is nearest.
fn rule_near(picture: &Document, y: f64) -> f64 {
    let lines = all(picture, "polyline").into_iter().map(|line| points_of(&line));
    let level =
        lines.filter(|points| points.len() == 2 && points[0].1 == points[1].1).map(|points| points[0].1);
    level.min_by(|a, b| (a - y).abs().total_cmp(&(b - y).abs())).unwrap()
}

#[test]
fn whole_numbers_get_whole_ticks() {
    let losses = [(1.0, 0.9), (2.0, 0.5), (3.0, 0.4)];
    let source = svg("whole", |path| Chart::new("").line("", &losses).save(path));
    let picture = Document::parse(&source).unwrap();
    let values: Vec<f64> = ticks(&picture, "x").iter().map(|tick| tick.0).collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);

    let thousand: Vec<(f64, f64)> = (0..=1000).map(|i| (f64::from(i), f64::from(i) * 1e-3)).collect();
    let source = svg("thousand", |path| Chart::new("").line("", &thousand).save(path));
    let picture = Document::parse(&source).unwrap();
    let labels: Vec<&str> = all(&picture, "text").iter().filter_map(Node::text).collect();
    let axes: Vec<_> = all(&picture, "polyline").iter().map(points_of).filter(|p| p.len() == 3).collect();
    assert!(close(axes[0][0].0, place(&ticks(&picture, "x"), 0.0)), "no room below 0");
    for label in ["0", "200", "400", "600", "800", "1000", "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"] {
        assert!(labels.contains(&label), "{label} in {labels:?}");
    }
}

#[test]
fn large_and_small_values_are_written_short() {
    let source =
        svg("scientific", |path| Chart::new("").points("", &[(-2e-9, 0.0), (2e-9, 1.5e12)]).save(path));
    let picture = Document::parse(&source).unwrap();
    for label in ["−2e-9", "−1e-9", "0", "1e-9", "2e-9"] {
        text_at_least_once(&picture, label);
    }
    for label in ["2e11", "1e12", "1.2e12"] {
        text_at_least_once(&picture, label);
    }
}

fn text_at_least_once(picture: &Document, words: &str) {
    let labels: Vec<&str> = all(picture, "text").iter().filter_map(Node::text).collect();
    assert!(labels.contains(&words), "{words} in {labels:?}");
}

#[test]
fn on_a_logarithmic_axis_equal_ratios_are_equally_far() {
    let points = [(1e-6, 1.0), (0.0, 2.0), (1e-3, 3.0), (-1.0, 2.0), (1.0, 5.0)];
    let source = svg("log", |path| Chart::new("").log_x().points("", &points).save(path));
    let picture = Document::parse(&source).unwrap();
    let dots: Vec<f64> = all(&picture, "circle").iter().map(|dot| number(dot, "cx")).collect();
    assert_eq!(dots.len(), 3, "what is not above 0 has no place");
    assert!(close(dots[1] - dots[0], dots[2] - dots[1]));

    let decades = ticks(&picture, "x");
    let values: Vec<f64> = decades.iter().map(|tick| tick.0).collect();
    assert_eq!(values, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]);
    for (decade, place) in &decades {
        let expected = dots[0] + (decade.log10() + 6.0) / 6.0 * (dots[2] - dots[0]);
        assert!(close(*place, expected), "{decade}");
    }
    text(&picture, "1e-6");
    text(&picture, "0.001");
}

#[test]
fn a_short_logarithmic_axis_has_ticks_between_the_decades() {
    let narrow = [(0.3, 0.02), (0.8, 1.0)];
    let source = svg("narrow", |path| Chart::new("").log_x().log_y().points("", &narrow).save(path));
    let picture = Document::parse(&source).unwrap();
    let dots: Vec<f64> = all(&picture, "circle").iter().map(|dot| number(dot, "cx")).collect();
    for (value, at) in ticks(&picture, "x") {
        let part = (value / 0.3).ln() / (0.8f64 / 0.3).ln();
        assert!(close(at, dots[0] + part * (dots[1] - dots[0])), "{value}");
    }
    for label in ["0.4", "0.5", "0.02", "0.05", "0.1", "0.2"] {
        text_at_least_once(&picture, label);
    }
}

#[test]
fn a_line_has_gaps_and_a_lone_point_is_a_dot() {
    let nan = f64::NAN;
    let values = [1.0, 2.0, nan, 3.0, f64::INFINITY, 2.0, 1.5, 1.0];
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect();
    let source = svg("gaps", |path| Chart::new("").line("", &points).save(path));
    let picture = Document::parse(&source).unwrap();
    let blue = hex(BLUE);
    let lines: Vec<usize> = all(&picture, "polyline")
        .iter()
        .filter(|line| line.attribute("stroke") == Some(blue.as_str()))
        .map(|line| points_of(line).len())
        .collect();
    assert_eq!(lines, [2, 3]);
    assert_eq!(all(&picture, "circle").len(), 1);
}

#[test]
fn the_legend_names_each_series_in_its_colour() {
    let points = [(0.0, 1.0), (1.0, 2.0)];
    let source = svg("legend", |path| {
        Chart::new("Losses")
            .line("training", &points)
            .line("validation", &points)
            .points("", &points)
            .save(path)
    });
    let picture = Document::parse(&source).unwrap();
    assert_eq!(all(&picture, "title")[0].text(), Some("Losses"));
    text(&picture, "Losses");
    for (name, color) in [("training", BLUE), ("validation", VERMILION)] {
        let label = text(&picture, name);
        let key = all(&picture, "polyline")
            .into_iter()
            .filter(|line| line.attribute("stroke") == Some(hex(color).as_str()))
            .find(|line| (points_of(line)[0].1 - number(&label, "y")).abs() < 10.0);
        let ends = points_of(&key.expect("a line before the name"));
        assert!(ends[1].0 < number(&label, "x"));
    }
    // The third is without a name: its dots are in the plane alone.
    assert_eq!(all(&picture, "circle").len(), 2);
}

#[test]
fn a_long_legend_makes_the_picture_higher() {
    let mut chart = Chart::new("");
    for i in 0..20 {
        chart = chart.line(format!("a series with the number {i}"), &[(0.0, f64::from(i)), (1.0, 0.0)]);
    }
    let source = svg("long-legend", |path| chart.save(path));
    let picture = Document::parse(&source).unwrap();
    assert!(number(&picture.root_element(), "height") > 500.0);
    inside(&picture);
    let dashed = all(&picture, "polyline").into_iter().filter(|line| line.has_attribute("stroke-dasharray"));
    // Seven colours, then the same dashed, then solid again; each in the legend and in the plane.
    assert_eq!(dashed.count(), 14);
}

/// All that is drawn has a finite place inside the picture.
fn inside(picture: &Document) {
    let root = picture.root_element();
    let (width, height) = (number(&root, "width"), number(&root, "height"));
    let check = |x: f64, y: f64| {
        assert!((0.0..=width).contains(&x) && (0.0..=height).contains(&y), "{x}, {y} in {width} x {height}");
    };
    for node in root.children().filter(Node::is_element) {
        match node.tag_name().name() {
            "circle" => check(number(&node, "cx"), number(&node, "cy")),
            "polyline" => points_of(&node).into_iter().for_each(|(x, y)| check(x, y)),
            "rect" | "image" => {
                let (x, y) = (number(&node, "x"), number(&node, "y"));
                check(x, y);
                check(x + number(&node, "width"), y + number(&node, "height"));
            }
            "text" => check(number(&node, "x"), number(&node, "y")),
            other => assert_eq!(other, "title"),
        }
    }
}

#[test]
fn odd_values_and_names_make_a_picture_all_the_same() {
    let max = f64::MAX;
    let odd: [&[(f64, f64)]; 13] = [
        &[(5.0, 1e9)],
        &[(0.0, 0.0)],
        &[(1.0, 2.0), (1.0, 2.0)],
        &[(0.0, 1.0), (1.0, 1.0 + f64::EPSILON)],
        &[(0.0, 5e-324), (1.0, 1e-310)],
        &[(-1e280, -1e280), (1e280, 1e280)],
        &[(max, max), (-max, -max), (1.0, 1.0)],
        &[(0.0, 1e-300), (1.0, 1e300), (2.0, 3.0)],
        &[(f64::NAN, 1.0), (1.0, f64::NAN), (2.0, 2.0)],
        &[(1e15, 1.0), (1e15 + 2.0, 2.0)],
        &[(-0.0, -1e-290), (1e-290, 1e-281)],
        &[(-1e308, 1e308), (1e308, -1e308), (1.0, 1.0)],
        &[(1.7e9, 0.1), (1.7e9 + 100.0, 0.3)],
    ];
    let name = format!("<&>\"'\u{0}\u{1b}\u{ffff}\n ж 你 {}", "long ".repeat(1000));
    for (i, points) in odd.into_iter().enumerate() {
        for (log_x, log_y) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut chart =
                Chart::new(&name).x_label(&name).y_label(&name).line(&name, points).points(&name, points);
            chart = if log_x { chart.log_x() } else { chart };
            chart = if log_y { chart.log_y() } else { chart };
            let file = Scratch::new(&format!("odd-{i}-{log_x}-{log_y}.svg"));
            match chart.save(&file.0) {
                Ok(()) => {
                    let source = fs::read_to_string(&file.0).unwrap();
                    let picture = Document::parse(&source).unwrap();
                    inside(&picture);
                    assert!(!ticks(&picture, "x").is_empty() && !ticks(&picture, "y").is_empty());
                    if !log_x && !log_y {
                        chart.save(&Scratch::new(&format!("odd-{i}.png")).0).unwrap();
                    }
                }
                // Only the second to have no positive point may be without one.
                Err(error) => assert!((log_x || log_y) && matches!(error, Error::Value { .. }), "{error}"),
            }
        }
    }
}

#[test]
fn names_are_written_as_they_are() {
    let source = svg("escaped", |path| Chart::new("a < b & \"c\"").points("]]>", &[(0.0, 0.0)]).save(path));
    let picture = Document::parse(&source).unwrap();
    text(&picture, "a < b & \"c\"");
    text(&picture, "]]>");
}

#[test]
fn refusals_say_what_is_wrong() {
    let chart = Chart::new("Loss").points("", &[(0.0, 0.0)]);
    let error = chart.save("loss.pdf").unwrap_err().to_string();
    assert_eq!(error, "picture: expected a file name that ends in .svg or .png, got loss.pdf");
    assert!(chart.save("loss").is_err());

    let nowhere = std::env::temp_dir().join("no such folder").join("loss.svg");
    let error = chart.save(&nowhere).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == nowhere), "{error}");

    let empty = Chart::new("Loss").line("a", &[]).save("loss.svg").unwrap_err().to_string();
    assert!(empty.starts_with("points of the chart \"Loss\": expected a finite one"), "{empty}");
    assert!(empty.ends_with("got none"), "{empty}");
    let nan = Chart::new("Loss").line("a", &[(f64::NAN, 0.0)]).save("loss.svg").unwrap_err().to_string();
    assert!(nan.ends_with("got 1 without a place on the axes"), "{nan}");
    assert!(Chart::new("").log_y().points("", &[(1.0, -1.0)]).save("loss.svg").is_err());

    assert!(Grid::new("").save("grid.svg").is_err());
    let pixel = Array::new(&[1, 1], vec![0u8]).unwrap();
    assert!(Grid::new("").columns(0).image(&pixel, "").save("grid.svg").is_err());
    let flat = Grid::new("").image(&pixel, "").image(&Array::vector(&[1u8, 2]), "").save("grid.svg");
    let error = flat.unwrap_err().to_string();
    assert_eq!(error, "image 1 of the grid: expected [height, width] or [height, width, 3], got u8[2]");
    let color = Array::new(&[1, 1, 3], vec![0f32; 3]).unwrap();
    assert!(Grid::new("").diverging().image(&color, "").save("grid.svg").is_err());

    let error = Matrix::new("", &["a", "b"], &[1, 2, 3]).save("matrix.svg").unwrap_err().to_string();
    assert!(error.ends_with("got 3 counts for 2 classes"), "{error}");
    assert!(Matrix::new("", &[""; 0], &[]).save("matrix.svg").is_err());

    let area = Area { x: [0.0, 1.0], y: [0.0, 1.0], columns: 2, rows: 2 };
    let answers = Array::vector(&[0i32; 4]);
    for wrong in [
        Area { x: [1.0, 0.0], ..area },
        Area { y: [0.0, f64::NAN], ..area },
        Area { y: [2.0, 2.0], ..area },
        Area { rows: 3, ..area },
        Area { rows: 0, ..area },
        Area { rows: usize::MAX, ..area },
    ] {
        assert!(Boundary::new("", wrong, &answers).save("boundary.svg").is_err(), "{wrong:?}");
    }
    let six = Array::new(&[3, 4], vec![0f32; 12]).unwrap();
    assert!(Boundary::new("", area, &six).save("boundary.svg").is_err(), "three classes across, not down");
    assert!(Boundary::new("", area, &Array::vector::<f32>(&[])).save("boundary.svg").is_err());
}

#[test]
fn a_picture_too_large_for_a_png_is_refused() {
    let image = Array::new(&[1, 1], vec![0u8]).unwrap();
    let sheet = (0..2000).fold(Grid::new("").columns(1), |sheet, _| sheet.image(&image, "pixel"));
    let source = svg("long", |path| sheet.save(path));
    assert_eq!(all(&Document::parse(&source).unwrap(), "image").len(), 2000);
    let error = sheet.save("long.png").unwrap_err().to_string();
    assert!(error.contains("at most 100000000 pixels") && error.contains("save it as .svg"), "{error}");
}

#[test]
fn a_png_shows_what_the_svg_says() {
    let chart = Chart::new("").points("", &[(0.0, 0.0), (1.0, 1.0)]).line("", &[(0.0, 0.5), (1.0, 0.5)]);
    let source = svg("same", |path| chart.save(path));
    let picture = Document::parse(&source).unwrap();
    let image = png("same", |path| chart.save(path));
    assert_eq!((image.width, image.height), (1600, 1000));
    for dot in all(&picture, "circle") {
        let (x, y) = (number(&dot, "cx"), number(&dot, "cy"));
        assert_eq!(image.at(x, y), BLUE);
        assert_ne!(image.at(x, y - number(&dot, "r") - 2.0), BLUE);
    }
    let line = all(&picture, "polyline")
        .into_iter()
        .find(|line| line.attribute("stroke") == Some(hex(VERMILION).as_str()))
        .unwrap();
    let ends = points_of(&line);
    assert_eq!(image.at(ends[0].0.midpoint(ends[1].0), ends[0].1), VERMILION);
    assert_eq!(image.at(2.0, 2.0), WHITE);
}

#[test]
fn letters_in_a_png_have_the_measures_of_the_font() {
    // Open Sans: capitals are 1462 of 2048 units high, and the left edge of H is 201 from its origin.
    let title = |title: &'static str| {
        let chart = Chart::new(title).points("", &[(0.0, 0.0)]);
        let source = svg(title, |path| chart.save(path));
        let picture = Document::parse(&source).unwrap();
        let node = text(&picture, title);
        let (size, x, y) = (number(&node, "font-size"), number(&node, "x"), number(&node, "y"));
        (png(title, |path| chart.save(path)).ink([0, 0, 1600, 80]), size, x, y)
    };
    let (ink, size, x, y) = title("H");
    let [left, top, _, bottom] = ink.expect("a letter");
    let unit = size * 2.0 / 2048.0;
    assert!((bottom as f64 - y * 2.0).abs() <= 1.0, "it stands on its line");
    assert!(((bottom - top) as f64 - 1462.0 * unit).abs() <= 1.5);
    assert!((left as f64 - (x * 2.0 + 201.0 * unit)).abs() <= 1.5);
    // 1511 units lie between the origins of two Hs.
    let [two_left, _, two_right, _] = title("HH").0.unwrap();
    let [_, _, right, _] = ink.unwrap();
    assert!(((two_right - two_left) as f64 - (right - left) as f64 - 1511.0 * unit).abs() <= 1.5);
}

#[test]
fn the_label_of_the_y_axis_reads_upwards() {
    let chart = Chart::new("").y_label("HHHHHHHHHH").points("", &[(0.0, 0.0)]);
    let source = svg("turned", |path| chart.save(path));
    let picture = Document::parse(&source).unwrap();
    let label = text(&picture, "HHHHHHHHHH");
    let (x, y) = (number(&label, "x"), number(&label, "y"));
    assert_eq!(label.attribute("transform"), Some(format!("rotate(-90 {x} {y})").as_str()));

    let image = png("turned", |path| chart.save(path));
    let [left, top, right, bottom] = image.ink([0, 0, 60, 1000]).unwrap();
    assert!(bottom - top > 5 * (right - left));
    let upright = png("upright", |path| Chart::new("").points("", &[(0.0, 0.0)]).save(path));
    assert!(upright.ink([0, 100, 30, 900]).is_none());
}

#[test]
fn long_names_end_in_an_ellipsis_inside_the_picture() {
    // Somewhat longer than there is room for, and much.
    for times in [6, 40] {
        let long = "a name without an end ".repeat(times);
        let chart = Chart::new(&long).x_label(&long).y_label(&long).points(&long, &[(0.0, 0.0)]);
        let source = svg("ellipsis", |path| chart.save(path));
        let picture = Document::parse(&source).unwrap();
        let names: Vec<&str> =
            all(&picture, "text").iter().filter_map(Node::text).filter(|t| t.len() > 9).collect();
        assert_eq!(names.len(), 4, "title, legend and two labels");
        for name in names {
            let kept = name.strip_suffix('…').expect("an ellipsis");
            assert!(kept.len() > 20 && long.starts_with(kept), "{name}");
        }
        let image = png("ellipsis", |path| chart.save(path));
        let [left, top, right, bottom] = image.ink([0, 0, 1600, 1000]).unwrap();
        assert!(left >= 16 && top >= 16 && right <= 1584 && bottom <= 992);
        let [_, _, title, _] = image.ink([0, 0, 1600, 72]).unwrap();
        assert!(title > 1500, "as much of it as there is room for");
    }

    let long = "a name without an end ".repeat(40);
    let pixel = Array::new(&[1, 1], vec![0u8]).unwrap();
    let source = svg("captions", |path| Grid::new("").image(&pixel, &long).save(path));
    let picture = Document::parse(&source).unwrap();
    let lines: Vec<&str> = all(&picture, "text").iter().filter_map(Node::text).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[2].ends_with('…') && long.starts_with(lines.join(" ").trim_end_matches('…')), "{lines:?}");
}

/// The pixels of an image that is inside an SVG.
fn embedded(image: &Node) -> Png {
    let data = image.attribute("href").unwrap().strip_prefix("data:image/png;base64,").unwrap();
    Png::decode(&BASE64_STANDARD.decode(data).unwrap())
}

#[test]
fn a_sheet_holds_every_image_and_caption() {
    let bytes: Vec<u8> = (0..28 * 28).map(|i| (i % 251) as u8).collect();
    let digit = Array::new(&[28, 28], bytes.clone()).unwrap();
    let color: Vec<u8> = (0..4 * 6 * 3).map(|i| i as u8 * 3).collect();
    let picture = Array::new(&[4, 6, 3], color.clone()).unwrap();
    let sheet =
        (0..7).fold(Grid::new("Mistakes").columns(3), |sheet, i| sheet.image(&digit, format!("is {i}")));
    let sheet = sheet.image(&picture, "a picture whose caption is so long that it takes two lines");

    let source = svg("sheet", |path| sheet.save(path));
    let document = Document::parse(&source).unwrap();
    inside(&document);
    let images = all(&document, "image");
    assert_eq!(images.len(), 8);
    let first = embedded(&images[0]);
    assert_eq!((first.width, first.height), (28, 28));
    assert_eq!(first.pixels, bytes.iter().map(|v| [*v; 3]).collect::<Vec<_>>());
    let last = embedded(&images[7]);
    assert_eq!((last.width, last.height), (6, 4));
    assert_eq!(last.pixels.as_flattened(), color);

    let middle = |image: &Node| number(image, "x") + number(image, "width") / 2.0;
    for (i, image) in images.iter().take(7).enumerate() {
        assert_eq!(
            (number(image, "width"), number(image, "height")),
            (112.0, 112.0),
            "four times its pixels"
        );
        let caption = text(&document, &format!("is {i}"));
        assert!(close(number(&caption, "x"), middle(image)));
        assert!(number(&caption, "y") > number(image, "y") + 112.0);
        assert!(close(middle(image), middle(&images[i % 3])), "three columns");
    }
    assert!(number(&images[3], "y") > number(&text(&document, "is 0"), "y"));
    let lines =
        all(&document, "text").into_iter().filter(|node| close(number(node, "x"), middle(&images[7])));
    let lines: Vec<&str> = lines.filter_map(|node| node.text()).collect();
    assert!(lines.len() >= 4 && lines.join(" ").ends_with("takes two lines"), "{lines:?}");

    let drawn = png("sheet", |path| sheet.save(path));
    let (x, y) = (number(&images[4], "x"), number(&images[4], "y"));
    for (row, column) in [(0, 0), (3, 9), (27, 27)] {
        let value = bytes[row * 28 + column];
        assert_eq!(drawn.at(x + column as f64 * 4.0 + 2.0, y + row as f64 * 4.0 + 2.0), [value; 3]);
    }
}

#[test]
fn floats_are_spread_over_the_sheet_and_what_is_not_finite_is_pink() {
    let dark = Array::new(&[1, 3], vec![-1f32, 0.0, f32::NAN]).unwrap();
    let bright = Array::new(&[1, 2, 1], vec![3f32, 1.0]).unwrap();
    let bits = Array::new(&[1, 2], vec![false, true]).unwrap();
    let source =
        svg("floats", |path| Grid::new("").image(&dark, "").image(&bright, "").image(&bits, "").save(path));
    let document = Document::parse(&source).unwrap();
    let pixels: Vec<_> = all(&document, "image").iter().map(|image| embedded(image).pixels).collect();
    assert_eq!(pixels[0], [[0; 3], [64; 3], PURPLE]);
    assert_eq!(pixels[1], [WHITE, [128; 3]]);
    assert_eq!(pixels[2], [[0; 3], WHITE]);

    let flat = Array::new(&[1, 1], vec![7f64]).unwrap();
    let huge = Array::new(&[1, 2], vec![f64::MIN, f64::MAX]).unwrap();
    let empty = Array::new(&[1, 1], vec![f32::NAN]).unwrap();
    let one = |image: &Array, name: &str| {
        let source = svg(name, |path| Grid::new("").image(image, "").save(path));
        embedded(&all(&Document::parse(&source).unwrap(), "image")[0]).pixels
    };
    assert_eq!(one(&flat, "flat"), [[128; 3]]);
    assert_eq!(one(&huge, "huge"), [[0; 3], WHITE]);
    assert_eq!(one(&empty, "not-finite"), [PURPLE]);
}

#[test]
fn weights_are_blue_below_zero_and_vermilion_above() {
    let weights = Array::new(&[1, 3], vec![-0.5f32, 0.0, 0.25]).unwrap();
    let more = Array::new(&[1, 1], vec![0.4f32]).unwrap();
    let sheet = Grid::new("").diverging().image(&weights, "0").image(&more, "1");
    let source = svg("weights", |path| sheet.save(path));
    let document = Document::parse(&source).unwrap();
    inside(&document);
    let images = all(&document, "image");
    assert_eq!(images.len(), 3, "the third is the scale");
    let pixels = embedded(&images[0]).pixels;
    assert_eq!(pixels[..2], [BLUE, WHITE]);
    // Half the way from white to vermilion.
    assert_eq!(pixels[2], [234, 175, 128]);
    // On the same scale, four fifths of the way.
    assert_eq!(embedded(&images[1]).pixels, [[221, 126, 51]]);
    let scale = embedded(&images[2]).pixels;
    assert_eq!((scale[0], scale[scale.len() / 2], scale[scale.len() - 1]), (BLUE, WHITE, VERMILION));
    text(&document, "−0.50");
    text(&document, "0.50");

    let zeros = Array::new(&[1, 1], vec![0f32]).unwrap();
    let source = svg("zeros", |path| Grid::new("").diverging().image(&zeros, "").save(path));
    assert_eq!(embedded(&all(&Document::parse(&source).unwrap(), "image")[0]).pixels, [WHITE]);
}

#[test]
fn large_images_are_shrunk() {
    let photo = Array::new(&[600, 900, 3], [200u8, 100, 50].repeat(600 * 900)).unwrap();
    let sheet = Grid::new("").image(&photo, "");
    let source = svg("photo", |path| sheet.save(path));
    let document = Document::parse(&source).unwrap();
    let image = all(&document, "image")[0];
    assert_eq!(number(&image, "width"), 224.0);
    assert!(close(number(&image, "height"), 224.0 / 1.5));
    let drawn = png("photo", |path| sheet.save(path));
    let near = |a: u8, b: u8| a.abs_diff(b) <= 1;
    let [r, g, b] = drawn.at(number(&image, "x") + 100.0, number(&image, "y") + 50.0);
    assert!(near(r, 200) && near(g, 100) && near(b, 50));
}

/// The cells of a confusion matrix: the squares, in their order.
fn cells<'a>(picture: &'a Document) -> Vec<Node<'a, 'a>> {
    all(picture, "rect").into_iter().skip(1).collect()
}

#[test]
fn a_matrix_has_a_cell_for_each_pair_of_classes() {
    let (names, counts) = (["cat", "dog", "a horse"], [90, 7, 3, 0, 50, 11, 1, 2, 997]);
    let matrix = Matrix::new("Animals", &names, &counts);
    let source = svg("matrix", |path| matrix.save(path));
    let picture = Document::parse(&source).unwrap();
    inside(&picture);
    let cells = cells(&picture);
    assert_eq!(cells.len(), 9);
    let middle = |cell: &Node| {
        let half = number(cell, "width") / 2.0;
        (number(cell, "x") + half, number(cell, "y") + half)
    };
    for (i, (cell, count)) in cells.iter().zip(counts).enumerate() {
        let (x, y) = middle(cell);
        let written = text(&picture, &count.to_string());
        assert!(close(number(&written, "x"), x));
        assert!((number(&written, "y") - y).abs() < 8.0);
        assert!(
            close(x, middle(&cells[i % 3]).0) && close(y, middle(&cells[i / 3 * 3]).1),
            "rows and columns"
        );
    }
    for (i, name) in names.into_iter().enumerate() {
        let labels: Vec<_> = all(&picture, "text").into_iter().filter(|n| n.text() == Some(name)).collect();
        assert_eq!(labels.len(), 2, "{name} beside and below");
        let (x, y) = middle(&cells[4 * i]);
        assert!(
            labels
                .iter()
                .any(|l| (number(l, "y") - y).abs() < 8.0 && number(l, "x") < number(&cells[0], "x"))
        );
        assert!(
            labels.iter().any(|l| (number(l, "x") - x).abs() < 8.0 && number(l, "y") > middle(&cells[8]).1)
        );
    }
    text(&picture, "true class");
    text(&picture, "predicted class");

    let image = png("matrix", |path| matrix.save(path));
    for cell in &cells {
        let (x, y) = (number(cell, "x") + 3.0, number(cell, "y") + 3.0);
        assert_eq!(hex(image.at(x, y)), cell.attribute("fill").unwrap());
    }
}

#[test]
fn a_cell_is_coloured_by_its_part_of_the_row() {
    let fills = |counts: &[usize], classes: usize| -> Vec<[u8; 3]> {
        let names: Vec<String> = (0..classes).map(|i| i.to_string()).collect();
        let source = svg(&format!("fills-{counts:?}"), |path| Matrix::new("", &names, counts).save(path));
        let picture = Document::parse(&source).unwrap();
        let channel = |fill: &str, i: usize| u8::from_str_radix(&fill[1 + 2 * i..3 + 2 * i], 16).unwrap();
        let fill = |cell: &Node| [0, 1, 2].map(|i| channel(cell.attribute("fill").unwrap(), i));
        cells(&picture).iter().map(fill).collect()
    };
    let [a, b, c, d] = fills(&[9, 1, 100, 900], 2)[..] else { panic!("four cells") };
    assert_eq!((a, b), (d, c), "the same parts of rows of different totals");
    assert_eq!(fills(&[5, 0, 0, 7], 2)[0], BLUE);
    assert_eq!(fills(&[0, 5, 5, 0], 2)[1], VERMILION);
    let shades = fills(&[100, 1, 10, 50, 0, 0, 0, 0, 0], 3);
    let light = |[r, g, b]: [u8; 3]| u32::from(r) + u32::from(g) + u32::from(b);
    assert!(light(shades[1]) > light(shades[2]));
    let empty = shades[8];
    assert_eq!(shades[4..], [empty; 5], "a row without a sample is empty");
    assert!(shades[..4].iter().all(|shade| *shade != empty));
}

#[test]
fn many_classes_become_a_raster() {
    let names: Vec<String> = (0..100).map(|i| format!("class {i}")).collect();
    let counts: Vec<usize> = (0..10_000).map(|i| usize::from(i % 101 == 0)).collect();
    let source = svg("hundred", |path| Matrix::new("", &names, &counts).save(path));
    let picture = Document::parse(&source).unwrap();
    inside(&picture);
    let raster = embedded(&all(&picture, "image")[0]);
    assert_eq!((raster.width, raster.height), (100, 100));
    for (i, pixel) in raster.pixels.iter().enumerate() {
        assert_eq!(*pixel == BLUE, i % 101 == 0);
    }
}

#[test]
fn a_boundary_shows_answers_and_points_in_one_plane() {
    let area = Area { x: [0.0, 10.0], y: [-1.0, 1.0], columns: 40, rows: 20 };
    let centers = area.centers();
    assert_eq!((centers.len(), centers[0], centers[799]), (800, (0.125, 0.95), (9.875, -0.95)));
    // Class 1 where x + 5 y > 5, sure of it by the distance.
    let score = |(x, y): (f64, f64)| x + 5.0 * y - 5.0;
    let answers: Vec<f32> = centers.iter().map(|c| (1.0 / (1.0 + (-score(*c)).exp())) as f32).collect();
    let (no, yes) = ([(1.0, 0.0), (3.0, -0.5), (99.0, 0.0)], [(9.0, 0.5)]);
    let boundary = Boundary::new("Two kinds", area, &Array::new(&[800, 1], answers).unwrap())
        .x_label("first")
        .y_label("second")
        .points("no", &no)
        .points("yes", &yes);
    let source = svg("boundary", |path| boundary.save(path));
    let picture = Document::parse(&source).unwrap();
    inside(&picture);
    for words in ["Two kinds", "first", "second", "no", "yes"] {
        text(&picture, words);
    }
    let image = all(&picture, "image")[0];
    let raster = embedded(&image);
    assert_eq!((raster.width, raster.height), (40, 20));
    let (left, top) = (number(&image, "x"), number(&image, "y"));
    let (width, height) = (number(&image, "width"), number(&image, "height"));
    let at = |(x, y): (f64, f64)| (left + x / 10.0 * width, top + (1.0 - y) / 2.0 * height);

    let dots = all(&picture, "circle");
    let inner: Vec<_> = dots.iter().filter(|dot| number(dot, "cy") > top).collect();
    assert_eq!((dots.len(), inner.len()), (5, 3), "two in the legend, and one point is outside");
    for (dot, (point, color)) in inner.iter().zip([(no[0], BLUE), (no[1], BLUE), (yes[0], VERMILION)]) {
        let (x, y) = at(point);
        assert!(close(number(dot, "cx"), x) && close(number(dot, "cy"), y));
        assert_eq!(dot.attribute("fill"), Some(hex(color).as_str()));
    }
    for (value, place) in ticks(&picture, "x") {
        assert!(close(place, at((value, 0.0)).0), "{value}");
    }

    let drawn = png("boundary", |path| boundary.save(path));
    for point in [(9.9, 0.9), (9.9, -0.5), (0.2, 0.9), (5.0, -0.9), (4.0, 0.9), (6.0, 0.9)] {
        let [r, _, b] = {
            let (x, y) = at(point);
            drawn.at(x, y)
        };
        assert_eq!(r > b, score(point) > 0.0, "{point:?}");
    }
    let paleness = |point| {
        let (x, y) = at(point);
        drawn.at(x, y).into_iter().min().unwrap()
    };
    assert!(paleness((9.9, 0.9)) < paleness((6.0, 0.0)), "paler where it is less sure");
}

#[test]
fn a_boundary_takes_classes_and_probabilities_of_all_classes() {
    let area = Area { x: [0.0, 3.0], y: [0.0, 1.0], columns: 3, rows: 1 };
    let colors = |answers: &Array, name: &str| {
        let source = svg(name, |path| Boundary::new("", area, answers).save(path));
        embedded(&all(&Document::parse(&source).unwrap(), "image")[0]).pixels
    };
    let classes = colors(&Array::vector(&[0i32, 1, 2]), "classes");
    let sure = Array::new(&[1, 3, 3], vec![1f32, 0., 0., 0., 1., 0., 0., 0., 1.]).unwrap();
    assert_eq!(classes, colors(&sure, "sure"));
    assert_eq!(classes[..2], colors(&Array::vector(&[0f32, 1., f32::NAN]), "binary")[..2]);
    let hue = |[r, g, b]: [u8; 3]| {
        if r > g {
            0
        } else if b > g {
            2
        } else {
            1
        }
    };
    assert_eq!([hue(classes[0]), hue(classes[1]), hue(classes[2])], [2, 0, 1], "blue, vermilion, green");
    let torn = Array::new(&[3, 3], vec![0.4f32, 0.3, 0.3, 0.1, 0.5, 0.4, 0.2, 0.2, 0.6]).unwrap();
    for (pale, full) in colors(&torn, "torn").into_iter().zip(classes) {
        assert_eq!(hue(pale), hue(full));
        assert!(pale.into_iter().min() > full.into_iter().min());
    }
}

#[test]
fn an_area_holds_its_points_whatever_they_are() {
    let area = Area::around(&[(1.0, -5.0), (3.0, 5.0), (f64::NAN, 2.0)]);
    assert!(area.x[0] < 1.0 && area.x[1] > 3.0 && area.y[0] < -5.0 && area.y[1] > 5.0);
    for points in [&[][..], &[(2.0, 2.0)], &[(0.0, 0.0)], &[(f64::INFINITY, f64::NAN)], &[(1e200, -1e200)]] {
        let area = Area::around(points);
        let answers = Array::vector(&vec![0i32; area.columns * area.rows]);
        let source = svg(&format!("area-{points:?}"), |path| {
            Boundary::new("", area, &answers).points("points", points).save(path)
        });
        inside(&Document::parse(&source).unwrap());
    }
}
