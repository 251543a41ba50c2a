//! The chapters' programs and recipes, against numbers computed elsewhere.

mod common;

use common::{device, device_name};
use neural::DType;
use neural::recipe::Recipe;
use roxmltree::{Document, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program in the folder of the project.
fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .args(["--device", device_name()])
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()))
}

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_neural")).with_file_name("examples").join(name)
}

/// A program's output, with nothing on stderr.
fn printed(program: &Path, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{} {arguments:?}: {said}", program.display());
    String::from_utf8(output.stdout).expect("text")
}

fn chapter(name: &str, arguments: &[&str]) -> String {
    printed(&example(name), arguments)
}

/// Checks that a chapter ends with one line on stderr that holds all of `words`.
fn refuses(name: &str, arguments: &[&str], words: &[&str]) {
    let output = run(&example(name), arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{name} {arguments:?}: {said}");
    assert!(said.lines().count() == 1 && words.iter().all(|word| said.contains(word)), "{name}: {said}");
}

/// The number that follows `label` in `text`.
fn number(text: &str, label: &str) -> f64 {
    let from = text.find(label).unwrap_or_else(|| panic!("{label:?} is not in {text:?}")) + label.len();
    let rest = text[from..].trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && !".-e".contains(c)).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no number after {label:?} in {text:?}"))
}

/// The losses of the lines `Iteration i => Loss: …`.
fn losses(text: &str) -> Vec<f64> {
    let lines = text.lines().filter(|line| line.starts_with("Iteration ")).enumerate();
    lines.map(|(i, line)| number(line, &format!("Iteration {i} => Loss: "))).collect()
}

fn close(got: f64, expected: f64, tolerance: f64) {
    let scale = expected.abs().max(1e-3);
    assert!((got - expected).abs() <= tolerance * scale, "got {got}, expected {expected}");
}

/// The rows of data/pizza.txt.
fn evenings() -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(root().join("data/pizza.txt")).expect("the table is there");
    let row = |line: &str| line.split_whitespace().map(|cell| cell.parse().expect("a number")).collect();
    text.lines().skip(1).map(row).collect()
}

/// Gradient descent in f64 over some columns and a bias.
struct Descent {
    rows: Vec<(Vec<f64>, f64)>,
    weights: Vec<f64>,
    rate: f64,
}

impl Descent {
    /// From zero weights, over the first `columns` columns of the table.
    fn new(columns: usize, target: usize, rate: f64) -> Self {
        let row = |row: Vec<f64>| ([&row[..columns], &[1.0]].concat(), row[target]);
        Self { rows: evenings().into_iter().map(row).collect(), weights: vec![0.0; columns + 1], rate }
    }

    fn sum(&self, row: &[f64]) -> f64 {
        row.iter().zip(&self.weights).map(|(x, w)| x * w).sum()
    }

    /// One step on the mean over the rows of a loss of the weighted sum and the target; `slope` is its derivative by the
    /// sum. Returns the loss before the step, and the max movement of a weight.
    fn step(&mut self, loss: fn(f64, f64) -> f64, slope: fn(f64, f64) -> f64) -> (f64, f64) {
        let n = self.rows.len() as f64;
        let mut gradient = vec![0.0; self.weights.len()];
        let mut total = 0.0;
        for (row, target) in &self.rows {
            let sum = self.sum(row);
            total += loss(sum, *target) / n;
            let slope = slope(sum, *target) / n;
            gradient.iter_mut().zip(row).for_each(|(g, x)| *g += slope * x);
        }
        self.weights.iter_mut().zip(&gradient).for_each(|(w, g)| *w -= self.rate * g);
        (total, gradient.iter().fold(0.0, |most: f64, g| most.max(self.rate * g.abs())))
    }
}

#[test]
fn pizza_descends_as_float64_does_and_stops_by_the_rule() {
    for columns in 1..=3 {
        let text = chapter("pizza", &["--columns", &columns.to_string()]);
        let losses = losses(&text);
        let mut reference = Descent::new(columns, 3, 1e-3);
        let mut moved = f64::INFINITY;
        for (i, &got) in losses.iter().enumerate() {
            // Movements in f32 are whole multiples of the last digit of a weight, about 1 % of the limit.
            assert!(moved > 0.97e-4, "{columns} columns: no stop in step {}, which moved {moved}", i - 1);
            let (expected, movement) = reference.step(|s, t| (s - t).powi(2), |s, t| 2.0 * (s - t));
            close(got, expected, 2e-5);
            moved = movement;
        }
        assert!(
            losses.len() < 10_000 && moved < 1.03e-4,
            "{columns} columns: stopped at a movement of {moved}"
        );
        let names = ["Reservations", "Temperature", "Tourists"];
        for (name, expected) in names[..columns].iter().chain(&["bias"]).zip(&reference.weights) {
            close(number(&text, &format!("  {name}: ")), *expected, 1e-4);
        }
        assert_eq!(text.lines().count(), losses.len() + 1 + columns + 1);
    }
}

#[test]
fn pizza_finds_the_line_through_points_on_a_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("line.txt");
    std::fs::write(&path, "Guests  Pizzas\n-2 -1\n-1 1\n0 3\n1 5\n2 7\n").expect("writable");
    let path = path.to_str().expect("a path of text");
    let text = chapter("pizza", &["--data", path, "--columns", "1", "--lr", "0.1"]);
    // A movement below 1e-4 is a distance of the bias below 1e-4 / (2 · 0.1).
    assert!(
        (number(&text, "Guests: ") - 2.0).abs() < 5e-4 && (number(&text, "bias: ") - 3.0).abs() < 5e-4,
        "{text}"
    );
    assert!(losses(&text).len() < 100, "{text}");

    refuses("pizza", &["--data", path], &["--columns", "from 1 to 1", "got 3"]);
    refuses("pizza", &["--columns", "1", "--target", "Cakes"], &["Cakes", "Pizzas"]);
    refuses("pizza", &["--lr", "1"], &["loss", "smaller --lr"]);
    refuses("pizza", &["--data", "none.txt"], &["none.txt"]);
    refuses("police", &["--target", "Tourists"], &["--target", "two answers", "Tourists"]);
}

#[test]
fn police_descends_as_float64_does() {
    let text = chapter("police", &[]);
    let losses = losses(&text);
    assert_eq!(losses.len(), 10_000);
    let mut reference = Descent::new(3, 4, 1e-3);
    for &got in &losses {
        // ln(1 + eˢ) - t s
        let loss = |s: f64, t: f64| s.max(0.0) + (-s.abs()).exp().ln_1p() - t * s;
        let (expected, _) = reference.step(loss, |s, t| 1.0 / (1.0 + (-s).exp()) - t);
        close(got, expected, 2e-5);
    }
    let right = reference.rows.iter().filter(|(row, target)| (reference.sum(row) > 0.0) == (*target == 1.0));
    let right = right.count();
    let last = format!("Success: {right}/30 ({:.2}%)", 100.0 * right as f64 / 30.0);
    assert_eq!(text.lines().last(), Some(&last[..]));
}

/// With `x` the training images as rows of f64 behind a column of ones, `y` 1.0 where the label is 5, and `w` zeros, in
/// `NumPy`, a hundred times:
///
/// ```text
/// z = x @ w
/// print((np.logaddexp(0, z) - y * z).mean())
/// w -= 1e-5 * x.T @ (1 / (1 + np.exp(-z)) - y) / 60000
/// ```
///
/// and then how often `z > 0` where the label is 5 for the 10,000 test images.
#[test]
fn single_digit_follows_the_float64_reference() {
    let text = chapter("single_digit", &[]);
    let lines: Vec<&str> = text.lines().collect();
    let reference = [
        (100, std::f64::consts::LN_2),
        (99, 0.800425303),
        (98, 0.603701800),
        (3, 0.119313572),
        (2, 0.119133699),
        (1, 0.118956584),
    ];
    assert_eq!(lines.len(), 101);
    for (left, expected) in reference {
        // Where the gradient's 60,000 terms are added one after the other in f32, the second loss is 0.80044970.
        close(number(lines[100 - left], &format!("iteration, loss: {{{left}, ")), expected, 5e-5);
    }
    assert_eq!(lines[100], "Success: 9637/10000 (96.37%)");
}

#[test]
fn two_hidden_layers_learn_as_in_numpy() {
    // The same network in NumPy (f32, weights normal / √(fan-in + 1), lr 1, batches of 256 in order and filled up), two
    // epochs from five seeds: loss 0.1727 to 0.1756, val 92.94 to 93.08 %, test 96.42 to 96.62 %.
    let text = chapter("multi_digit_4layer_batched", &["--epochs", "2"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with("2-0 > "), "{text}");
    // From 0.2242 to 0.2317, and 90.36 to 90.74 %.
    assert!((number(lines[0], "Loss:") - 0.228).abs() < 0.012, "{text}");
    assert!((number(lines[0], "Accuracy:") - 90.5).abs() < 0.8, "{text}");
    for (line, name, accuracy) in [(lines[1], "_-val > ", 93.0), (lines[2], "_-test > ", 96.5)] {
        assert!(line.starts_with(name) && (number(line, "Loss:") - 0.174).abs() < 0.006, "{text}");
        assert!((number(line, "Accuracy:") - accuracy).abs() < 0.5, "{text}");
    }
}

#[test]
fn adam_reaches_the_originals_figures() {
    for seed in ["1", "2", "3"] {
        let text = chapter("multi_digit_3layer_adam", &["--seed", seed]);
        let table: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
        // 784 · 128 + 128 and 128 · 10 + 10
        assert!(table[2].contains("dense") && table[2].ends_with("100,480"), "{text}");
        assert!(table[4].contains("dense") && table[4].ends_with("1,290"), "{text}");
        assert!(table[5].starts_with("101,770 parameters"), "{text}");
        let lines: Vec<&str> = text.lines().skip_while(|line| !line.is_empty()).skip(1).collect();
        assert_eq!(lines.len(), 11, "{text}");
        // The original printed 85.44 % and 89.52 % for its first epoch, 97.85 % and 95.58 % for its last, and 98.08 %.
        for (epoch, train, val, margin) in [(0, 85.44, 89.52, 1.0), (9, 97.85, 95.58, 0.5)] {
            let line = lines[epoch];
            assert!(line.starts_with(&format!("Epoch {epoch} > Loss: ")), "{text}");
            assert!((number(line, "Accuracy:") - train).abs() < margin, "seed {seed}: {text}");
            assert!((number(line, "train, ") - val).abs() < margin, "seed {seed}: {text}");
        }
        assert!(lines[10].starts_with("test > "), "{text}");
        assert!((number(lines[10], "Accuracy:") - 98.08).abs() < 0.4, "seed {seed}: {text}");
    }
}

/// A picture's pixels from 0 to 255: noise below 100 that differs from picture to picture.
fn noise(picture: usize, count: usize) -> Vec<u8> {
    (0..count).map(|i| ((i * 7919 + picture * 104_729 + i * i * picture) % 97) as u8).collect()
}

/// The bytes of an IDX file of u8.
fn idx(shape: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

/// The accuracies of the lines that a convolutional chapter prints: of the last epoch and of the test.
fn learned(text: &str, epochs: usize) -> (f64, f64) {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" > Loss: ")).collect();
    assert_eq!(lines.len(), epochs + 1, "{text}");
    assert!(lines[epochs - 1].starts_with(&format!("Epoch {epochs} > ")), "{text}");
    assert!(lines[epochs].starts_with("test > "), "{text}");
    (number(lines[epochs - 1], "train, "), number(lines[epochs], "Accuracy:"))
}

#[test]
fn mnist_learns_where_a_bar_lies() {
    // The digit k is a bright bar in the rows 2k + 4 and 2k + 5.
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (part, from, count) in [("train", 0, 100), ("t10k", 100, 40)] {
        let mut pixels = Vec::new();
        for picture in from..from + count {
            let mut image = noise(picture, 28 * 28);
            image[28 * (2 * (picture % 10) + 4)..][..2 * 28].fill(255);
            pixels.extend(image);
        }
        let labels: Vec<u8> = (from..from + count).map(|picture| (picture % 10) as u8).collect();
        let write = |name: &str, bytes: Vec<u8>| {
            std::fs::write(folder.path().join(format!("{part}-{name}")), bytes).expect("writable");
        };
        write("images-idx3-ubyte", idx(&[count as u32, 28, 28], &pixels));
        write("labels-idx1-ubyte", idx(&[count as u32], &labels));
    }
    let folder = folder.path().to_str().expect("a path of text");
    let text = chapter("mnist", &["--data", folder, "--epochs", "12"]);
    // 3·3·1·16 + 16, 2·16, 3·3·16·32 + 32, 2·32, 24·24·32·512 + 512, 2·512, 512·128 + 128, 2·128, 128·10 + 10
    let expected = ["160", "32", "4,640", "64", "9,437,696", "1,024", "65,664", "256", "1,290"];
    let counts: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let counts: Vec<&str> = counts.into_iter().filter(|count| expected.contains(count)).collect();
    assert_eq!(counts, expected, "{text}");
    assert!(text.contains("9,510,826 parameters"), "{text}");
    let (val, test) = learned(&text, 12);
    assert!(val >= 90.0 && test >= 90.0, "{text}");
}

#[test]
fn cifar10_learns_which_colour_is_bright() {
    // The class k makes the plane k % 3 bright, in the upper half of the picture where k is below 3, else in the lower.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let record = |picture: usize| {
        let class = picture % 6;
        let mut planes = noise(picture, 3 * 1024);
        planes[1024 * (class % 3) + 512 * (class / 3)..][..512].fill(255);
        [vec![class as u8], planes].concat()
    };
    for (i, name) in ["1", "2", "3", "4", "5"].map(|i| format!("data_batch_{i}.bin")).iter().enumerate() {
        let records: Vec<u8> = (12 * i..12 * i + 12).flat_map(record).collect();
        std::fs::write(folder.path().join(name), records).expect("writable");
    }
    let records: Vec<u8> = (60..84).flat_map(record).collect();
    std::fs::write(folder.path().join("test_batch.bin"), records).expect("writable");

    let path = folder.path().to_str().expect("a path of text");
    let text = chapter("cifar10", &["--data", path, "--epochs", "10", "--batch", "20", "--lr", "1e-4"]);
    // 3·3·3·16 + 16, 2·16, 3·3·16·32 + 32, 2·32, 28·28·32·1000 + 1000, 2·1000, 1000·512 + 512, 2·512, 512·10 + 10
    assert!(text.contains("25,614,850 parameters"), "{text}");
    let (val, test) = learned(&text, 10);
    assert!(val >= 90.0 && test >= 90.0, "{text}");
    // On a part of the pictures that is no whole number of batches.
    learned(&chapter("cifar10", &["--data", path, "--epochs", "1", "--batch", "20", "--images", "30"]), 1);
    refuses("cifar10", &["--data", path, "--images", "0"], &["at least one training row"]);

    refuses("cifar10", &["--data", "none"], &["none", "cifar-10-binary.tar.gz", "cs.toronto.edu", "--data"]);
    std::fs::remove_file(folder.path().join("test_batch.bin")).expect("it was written");
    refuses("cifar10", &["--data", path], &["test_batch.bin"]);
}

/// The programs in scripts/ that are chapters: they take the options of every chapter.
fn programs() -> Vec<String> {
    let files = std::fs::read_dir(root().join("scripts")).expect("a folder");
    let files = files.map(|file| file.expect("a file").path());
    let programs = files.filter(|path| {
        path.extension().is_some_and(|ending| ending == "rs")
            && std::fs::read_to_string(path).expect("text").contains("options: Options")
    });
    programs.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

#[test]
fn every_program_tells_how_to_use_it() {
    // These follow no chapter of the book, and those without pictures of digits take fewer options.
    let own = [
        "characters",
        "custom",
        "denoising",
        "fine_tune",
        "forecast",
        "gan",
        "gradient_penalty",
        "siamese",
        "tagging",
        "two_inputs",
        "unet",
    ];
    let programs: BTreeSet<String> = programs().into_iter().chain(own.map(String::from)).collect();
    assert!(programs.len() >= 27, "{programs:?}");
    for name in programs {
        let text = chapter(&name, &["--help"]);
        let expected = match own.contains(&&*name) {
            true => &["--device", "--seed"][..],
            false => &["--device", "--seed", "--data", "--plot", "--lr"],
        };
        for option in expected {
            assert!(text.contains(option), "{name}: {text}");
        }
    }
}

#[test]
fn every_program_refuses_a_picture_of_another_kind_before_it_begins() {
    for name in programs() {
        let output = run(&example(&name), &["--plot", "picture.gif"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains("picture.gif") && said.contains(".svg or .png"), "{name}: {said}");
        assert!(output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn the_recipes_hold_the_chapters_networks() {
    // The parameters of each, as in the chapters above: weights plus biases, and two for each channel of a batch norm.
    let deep = 785 * 512 + 513 * 256 + 257 * 128 + 129 * 64 + 2 * (512 + 256 + 128 + 64) + 65 * 10;
    let parameters = BTreeMap::from([
        ("boundary", 3 * 12 + 13),
        ("cifar10", 25_614_850),
        ("deep", deep),
        ("fashion", 785 * 256 + 257 * 10),
        ("mnist", 785 * 128 + 129 * 10),
        ("mnist_4layer", 785 * 256 + 257 * 64 + 65 * 10),
        ("mnist_adam", 785 * 128 + 129 * 10),
        ("mnist_cnn", 9_510_826),
        // Convolutions without a bias; 32 channels of 5 x 5 go into the dense layer.
        ("mnist_fast", 25 * 16 + 9 * 16 * 32 + 800 * 128 + 2 * (16 + 32 + 128) + 129 * 10),
        ("mnist_mlp_record", 785 * 512 + 513 * 256 + 2 * (512 + 256) + 257 * 10),
        // Convolutions of 5 x 5 and 3 x 3 without a bias; 128 channels of 3 x 3 go into the dense layer.
        (
            "mnist_record",
            25 * 32 + 9 * (32 * 64 + 64 * 128) + 1153 * 256 + 2 * (32 + 64 + 128 + 256) + 257 * 10,
        ),
        ("multi_digit", 785 * 10),
        ("multi_digit_3layer", 785 * 200 + 201 * 10),
        ("pizza", 4),
        ("police", 4),
        ("single_digit", 785),
    ]);
    let mut seen = Vec::new();
    for file in std::fs::read_dir(root().join("scripts/recipes")).expect("a folder") {
        let path = file.expect("a file").path();
        // tests/networks.rs has the recipes of the folder beside them.
        if path.is_dir() {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("# "), "{name} says what it is");
        let recipe = Recipe::read(&path, &[]).expect("a recipe");
        let trainer = recipe.trainer();
        let sample = if recipe.data.path.exists() {
            let data = recipe.load().unwrap_or_else(|error| panic!("{name}: {error}"));
            // Puts the model, its loss and its optimizer together.
            trainer.start(device(), &data).unwrap_or_else(|error| panic!("{name}: {error}"));
            if name == "single_digit" {
                // MNIST has 5,421 images of a 5 to train on.
                assert_eq!(data.class_counts(&data.splits.train), [54_579, 5_421]);
            }
            data.sample_shape().to_vec()
        } else {
            assert!(["fashion", "cifar10"].contains(&&name[..]), "{name} is for data that is not there");
            if name == "cifar10" { vec![32, 32, 3] } else { vec![28, 28, 1] }
        };
        let summary =
            trainer.model.summary(DType::F32, &[("input", &sample[..])]).expect("a model for its data");
        assert_eq!(Some(&summary.parameters()), parameters.get(&name[..]), "{name}");
        seen.push(name);
    }
    seen.sort();
    assert!(seen.iter().eq(parameters.keys()), "{seen:?}");
}

/// Least squares and maximum likelihood over the columns of data/pizza.txt, in `NumPy`, with `x` the three columns
/// and a column of ones: `np.linalg.lstsq(x, pizzas)`, and for the police 50 of Newton's steps
/// `w += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (y - p))` with `p = 1 / (1 + np.exp(-x @ w))`.
#[test]
fn the_recipes_of_the_pizzeria_arrive_at_the_optimum() {
    let neural = Path::new(env!("CARGO_BIN_EXE_neural"));
    let train = |recipe: &str| {
        let text = printed(neural, &["train", recipe, "--quiet"]);
        let line = text.lines().find(|line| line.starts_with("train")).expect("a line of the training rows");
        line.split_whitespace().map(String::from).collect::<Vec<_>>()
    };
    let pizza = train("scripts/recipes/pizza.toml");
    // Rows, loss, mean absolute error, R².
    assert_eq!(pizza[1..], ["30", "7.2673", "2.1044", "0.9628"]);
    let police = train("scripts/recipes/police.toml");
    assert_eq!(police[1..], ["30", "0.3931", "76.67%"]);
}

/// Runs a chapter with a picture, and returns its output and the picture.
fn drawn(name: &str, arguments: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("picture.svg");
    let plot = ["--plot", path.to_str().expect("a path of text")];
    let text = chapter(name, &[arguments, &plot].concat());
    (text, std::fs::read_to_string(&path).expect("a picture"))
}

fn all<'a>(picture: &'a Document, tag: &'a str) -> Vec<Node<'a, 'a>> {
    picture.descendants().filter(|node| node.has_tag_name(tag)).collect()
}

fn attribute(node: &Node, name: &str) -> f64 {
    node.attribute(name).expect("an attribute").parse().expect("a number")
}

/// The places of the dots with the colour of the legend's dot, the first one, which is left out.
fn dots(picture: &Document) -> Vec<(f64, f64)> {
    let dots = all(picture, "circle");
    dots[1..].iter().map(|dot| (attribute(dot, "cx"), attribute(dot, "cy"))).collect()
}

/// The corners of the lines that are data: those behind the frame, which is of three corners, and the legend's.
fn curves(picture: &Document) -> Vec<Vec<(f64, f64)>> {
    let lines =
        all(picture, "polyline").into_iter().filter(|line| line.attribute("stroke-width") != Some("2.5"));
    let corners = |line: Node| -> Vec<(f64, f64)> {
        let pairs =
            line.attribute("points").expect("points").split(' ').filter_map(|pair| pair.split_once(','));
        pairs.map(|(x, y)| (x.parse().expect("a number"), y.parse().expect("a number"))).collect()
    };
    let lines: Vec<_> = lines.map(corners).collect();
    let frame = lines.iter().position(|line| line.len() == 3).expect("a frame");
    lines[frame + 1..].to_vec()
}

/// Least squares of y over x: the slope and the value at 0.
fn least_squares(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
        / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
    (slope, y - slope * x)
}

#[test]
fn pizza_draws_the_line_of_least_squares() {
    let (_, svg) = drawn("pizza", &["--columns", "1"]);
    let picture = Document::parse(&svg).expect("XML");
    let (dots, lines) = (dots(&picture), curves(&picture));
    assert_eq!((dots.len(), lines.len()), (30, 1));
    // Axes are linear, so the least-squares line of the dots is the line of the table.
    let (slope, start) = least_squares(&dots);
    for (x, y) in &lines[0] {
        assert!((slope * x + start - y).abs() < 1.0, "({x}, {y}) is beside {slope} x + {start}");
    }
    let names: Vec<_> = all(&picture, "text").iter().filter_map(Node::text).collect();
    assert!(names.contains(&"Reservations"), "{names:?}");
}

#[test]
fn pizza_draws_the_plane_in_bands_and_more_columns_beside_the_truth() {
    let (_, svg) = drawn("pizza", &["--columns", "2", "--iterations", "2000"]);
    let picture = Document::parse(&svg).expect("XML");
    // From 8 to 60 pizzas there are four bands of 20.
    assert_eq!((all(&picture, "image").len(), all(&picture, "circle").len()), (1, 30 + 4));
    let names: Vec<_> = all(&picture, "text").iter().filter_map(Node::text).collect();
    for name in ["0 to 20", "20 to 40", "40 to 60", "60 to 80", "Reservations", "Temperature"] {
        assert!(names.contains(&name), "{names:?}");
    }

    let (_, svg) = drawn("pizza", &["--iterations", "10"]);
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!((dots(&picture).len(), curves(&picture).len()), (30, 1));
}

#[test]
fn police_draws_the_evenings_on_the_sigmoid() {
    let (_, svg) = drawn("police", &["--iterations", "1000"]);
    let picture = Document::parse(&svg).expect("XML");
    let (dots, lines) = (dots(&picture), curves(&picture));
    let yes = evenings().iter().filter(|row| row[4] == 1.0).count();
    let top = dots.iter().map(|dot| dot.1).fold(f64::INFINITY, f64::min);
    let bottom = dots.iter().map(|dot| dot.1).fold(0.0, f64::max);
    assert_eq!(dots.iter().filter(|dot| dot.1 == top).count(), yes);
    assert_eq!(dots.iter().filter(|dot| dot.1 == bottom).count(), 30 - yes);
    // The sigmoid rises between no and yes, and is steepest in the middle.
    let rises = lines[0].windows(2).map(|pair| pair[0].1 - pair[1].1);
    assert!(rises.clone().all(|rise| rise >= 0.0));
    let steepest = rises.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a line").0;
    assert!((lines[0][steepest].1 - f64::midpoint(top, bottom)).abs() < 0.05 * (bottom - top));
}

#[test]
fn the_perceptrons_draw_their_weights() {
    for (name, units) in [("single_digit", 1), ("multi_digit", 10)] {
        let (text, svg) = drawn(name, &["--iterations", "2"]);
        assert_eq!(text.lines().count(), 3);
        let picture = Document::parse(&svg).expect("XML");
        // Beside the images there is the scale of the colours.
        assert_eq!(all(&picture, "image").len(), units + 1, "{name}");
        assert!(all(&picture, "text").iter().any(|node| node.text() == Some("5")), "{name}");
    }
}

#[test]
fn the_batched_digits_draw_what_they_print() {
    let few = ["--images", "1000", "--epochs", "2"];
    let (text, svg) = drawn("multi_digit_3layer_batched", &few);
    let picture = Document::parse(&svg).expect("XML");
    let counts: Vec<usize> =
        all(&picture, "text").iter().filter_map(|node| node.text()?.parse().ok()).collect();
    // The cells come first, row by row, then the names of the classes.
    let cells = &counts[..100];
    assert_eq!(cells.iter().sum::<usize>(), 10_000);
    let right: usize = cells.iter().step_by(11).sum();
    let lines: Vec<&str> = text.lines().collect();
    let halves = [lines[1], lines[2]].map(|line| number(line, "Accuracy:"));
    assert_eq!(right, (50.0 * (halves[0] + halves[1])).round() as usize, "{text}");

    let (_, svg) = drawn("multi_digit_4layer_batched", &few);
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!(all(&picture, "image").len(), 24);
    let names: Vec<_> = all(&picture, "text").iter().filter_map(Node::text).collect();
    let mistake = |name: &&str| name.split_once(" taken for ").is_some_and(|(label, taken)| label != taken);
    assert_eq!(names.iter().filter(|name| mistake(name)).count(), 24, "{names:?}");

    let (_, svg) = drawn("multi_digit_3layer_adam", &["--images", "1000", "--epochs", "3"]);
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!(curves(&picture).iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);

    let (_, svg) = drawn("multi_digit_3layer", &["--iterations", "4", "--hidden", "8"]);
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!(curves(&picture).iter().map(Vec::len).collect::<Vec<_>>(), [4]);
}

/// The rows of data/oven.txt, each column to mean 0 and deviation 1, with a column of ones; and whether it is done.
fn pizzas() -> Vec<([f64; 3], f64)> {
    let text = std::fs::read_to_string(root().join("data/oven.txt")).expect("the table is there");
    let rows = text.lines().skip(1).take_while(|line| !line.is_empty());
    let cells: Vec<Vec<&str>> = rows.map(|line| line.split_whitespace().collect()).collect();
    let column = |i: usize| {
        let values: Vec<f64> = cells.iter().map(|row| row[i].parse().expect("a number")).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        values.into_iter().map(move |v| (v - mean) / deviation)
    };
    let done = cells.iter().map(|row| f64::from(u8::from(row[2] == "yes")));
    column(0).zip(column(1)).zip(done).map(|((a, b), done)| ([a, b, 1.0], done)).collect()
}

#[test]
fn a_hidden_layer_bends_the_boundary() {
    // The min loss of any straight boundary, by gradient descent in f64.
    let (pizzas, mut weights) = (pizzas(), [0.0; 3]);
    let n = pizzas.len() as f64;
    let sum =
        |row: &[f64; 3], weights: &[f64; 3]| -> f64 { row.iter().zip(weights).map(|(x, w)| x * w).sum() };
    for _ in 0..2000 {
        let mut gradient = [0.0; 3];
        for (row, done) in &pizzas {
            let slope = 1.0 / (1.0 + (-sum(row, &weights)).exp()) - done;
            gradient.iter_mut().zip(row).for_each(|(g, x)| *g += slope * x / n);
        }
        weights.iter_mut().zip(gradient).for_each(|(w, g)| *w -= g);
    }
    let loss = |(row, done): &([f64; 3], f64)| sum(row, &weights).exp().ln_1p() - done * sum(row, &weights);
    let least = pizzas.iter().map(loss).sum::<f64>() / n;

    let straight = chapter("boundary", &["--hidden", "0"]);
    let last = |text: &str| number(text.lines().rev().nth(1).expect("two lines"), "Loss:");
    assert!((last(&straight) / least - 1.0).abs() < 0.02, "expected {least}: {straight}");

    let (bent, svg) = drawn("boundary", &[]);
    assert!(last(&bent) < 0.4 * least, "{bent}");
    assert_eq!(bent.lines().count(), 11, "{bent}");
    assert!(number(&bent, "Success: ") >= 270.0, "{bent}");
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!((all(&picture, "image").len(), all(&picture, "circle").len()), (1, 300 + 2));
}

/// The last lines of the chapter: the correct answers of all rows, and of each kind.
fn known(text: &str) -> [f64; 3] {
    ["Success: ", "M: ", "R: "].map(|label| number(text, label))
}

#[test]
fn echoes_of_mines_are_told_from_those_of_rocks() {
    let (text, svg) = drawn("sonar", &[]);
    let [all, mines, rocks] = known(&text);
    assert_eq!(all, mines + rocks, "{text}");
    assert!(text.contains("/52 (") && text.contains("of 27 known") && text.contains("of 25 known"), "{text}");
    // Of 52, always saying "mine" knows 27, and scikit-learn's logistic regression 35 on average over splits.
    assert!(all >= 44.0, "{text}");
    assert_eq!(text.lines().count(), 10 + 3, "{text}");
    let picture = Document::parse(&svg).expect("XML");
    let lengths: Vec<usize> = curves(&picture).iter().map(Vec::len).collect();
    assert_eq!(lengths, [60, 60]);

    // Any table of that form, with names in its first line or without.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("echoes.csv");
    let row = |i: usize| {
        let kind = i % 2;
        let numbers = (0..60).map(|k| format!("0.{},", (i * 7 + k * 3) % 10)).collect::<String>();
        format!("{numbers}{},{}\n", kind as f64 + 0.5, ["rock", "mine"][kind])
    };
    std::fs::write(&path, (0..40).map(row).collect::<String>()).expect("writable");
    let path = path.to_str().expect("a path of text");
    let text = chapter("sonar", &["--data", path, "--test", "0.5"]);
    assert!(text.contains("Success: 20/20") && text.contains("mine: 10 of 10"), "{text}");
    refuses("sonar", &["--data", "data/pizza.txt", "--test", "2"], &["test_fraction"]);
    std::fs::write(path, "0.5,a\n0.25,b\n0.75,c\n0.1,a\n0.2,b\n0.3,c\n").expect("writable");
    refuses("sonar", &["--data", path], &["two kinds", "got 3"]);
}

/// The figures of a line of comparison: the loss, and the accuracies in training and validation.
fn compared(text: &str, name: &str) -> [f64; 3] {
    let line = text.lines().find(|line| line.starts_with(name) && line.contains(" > "));
    let line = line.unwrap_or_else(|| panic!("no line of {name}: {text}"));
    ["Loss:", "Accuracy:", "train, "].map(|label| number(line, label))
}

#[test]
fn learning_rates_are_too_small_right_and_too_large() {
    let few = ["--images", "1000", "--epochs", "3"];
    let (text, svg) = drawn("learning_rate", &[&few[..], &["--lr", "0", "0.5", "1e38"]].concat());
    // Without a step the ten classes stay nearly equal, and the figures are from the initial weights.
    let [loss, train, _] = compared(&text, "rate 0 ");
    assert!((loss - 10f64.ln()).abs() < 0.5 && train < 30.0, "{text}");
    let [loss, train, val] = compared(&text, "rate 0.5");
    assert!(loss < 0.8 && train > 75.0 && val > 60.0, "{text}");
    assert!(text.lines().nth(2).is_some_and(|line| line.contains("loss was")), "{text}");
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!(curves(&picture).iter().map(Vec::len).collect::<Vec<_>>(), [3, 3], "{svg}");
}

#[test]
fn batch_sizes_take_the_steps_they_say() {
    let few = ["--images", "1000", "--epochs", "2"];
    let (text, svg) = drawn("batch_size", &[&few[..], &["--batch", "64", "2000"]].concat());
    // 1000 / 64 is 15.6, and a batch of 2000 is all of them.
    for (name, steps) in [("batches of 64", 32.0), ("batches of 1000", 2.0)] {
        assert_eq!(number(&text, &format!("{name}: ")), steps, "{text}");
    }
    // More steps of the same length make more progress.
    assert!(compared(&text, "batches of 64")[0] < compared(&text, "batches of 1000")[0], "{text}");
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!(curves(&picture).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn cures_for_overfitting_are_the_only_difference_and_work() {
    let few = ["--images", "200", "--epochs", "25"];
    let (text, svg) = drawn("overfitting", &few);
    let [loss, train, _] = compared(&text, "no cure ");
    assert!(train == 100.0 && loss < 0.1, "{text}");
    for cure in ["L1", "L2", "dropout"] {
        assert!(compared(&text, cure)[0] > loss, "{cure}: {text}");
    }
    assert!(text.contains("no cure, but stopped after epoch "), "{text}");
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!(curves(&picture).iter().map(Vec::len).collect::<Vec<_>>(), [25; 4]);
    // Of early stopping, one in the legend and one on the first curve.
    assert_eq!(all(&picture, "circle").len(), 2);

    let nothing = ["--epochs", "2", "--l1", "0", "--l2", "0", "--dropout", "0"];
    let text = chapter("overfitting", &[&few[..2], &nothing].concat());
    let figures = ["no cure ", "L1", "L2", "dropout"].map(|name| compared(&text, name));
    assert!(figures.iter().all(|other| *other == figures[0]), "{text}");
}

#[test]
fn from_zero_only_the_last_bias_learns() {
    // Where every hidden output is zero, the best answer to all images is the frequency of each digit: a loss of its
    // entropy.
    let digits = neural::data::mnist(root().join("data/mnist")).expect("MNIST").halve_test();
    let counts = digits.class_counts(&digits.splits.train[..2000]);
    let entropy = -counts.iter().map(|&n| n as f64 / 2000.0).map(|p| p * p.ln()).sum::<f64>();
    let (text, svg) = drawn("initialisation", &["--images", "2000", "--epochs", "4"]);
    let [loss, _, val] = compared(&text, "relu, zeros");
    assert!(loss > entropy - 0.001 && loss < entropy + 0.03, "entropy {entropy}: {text}");
    // One digit for all.
    let shares = digits.class_counts(&digits.splits.validation);
    assert!(shares.iter().any(|&n| (n as f64 / 50.0 - val).abs() < 0.006), "{shares:?}: {text}");
    assert!(compared(&text, "relu, He")[2] > 80.0, "{text}");
    let picture = Document::parse(&svg).expect("XML");
    // One for each that did not break off.
    assert_eq!(curves(&picture).len(), text.matches("Accuracy").count(), "{text}");
}

#[test]
fn a_deep_network_learns_from_few_images() {
    let (text, svg) = drawn("deep", &["--images", "2000", "--epochs", "3"]);
    // 785·512 + 513·256 + 257·128 + 129·64 + 65·10, and two for each of 512 + 256 + 128 + 64 outputs
    assert!(text.contains("576,970 parameters"), "{text}");
    let (val, test) = learned(&text, 3);
    assert!(val > 80.0 && test > 80.0, "{text}");
    let picture = Document::parse(&svg).expect("XML");
    assert_eq!(curves(&picture).iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
}
