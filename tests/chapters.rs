//! The chapters' programs and recipes, against numbers computed elsewhere.

use neural::DType;
use neural::recipe::Recipe;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program in the folder of the project.
fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .args(["--device", "cpu"])
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()))
}

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_neural")).with_file_name("examples").join(name)
}

/// What a program prints, which must be all that it says.
fn printed(program: &Path, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{} {arguments:?}: {said}", program.display());
    String::from_utf8(output.stdout).expect("text")
}

fn chapter(name: &str, arguments: &[&str]) -> String {
    printed(&example(name), arguments)
}

/// That a chapter ends with one line on stderr that holds all of `words`.
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
    /// sum. Returns the loss before the step, and the largest movement of a weight.
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
    refuses("cifar10", &["--data", path, "--images", "0"], &["at least one row"]);

    refuses("cifar10", &["--data", "none"], &["none", "cifar-10-binary.tar.gz", "cs.toronto.edu", "--data"]);
    std::fs::remove_file(folder.path().join("test_batch.bin")).expect("it was written");
    refuses("cifar10", &["--data", path], &["test_batch.bin"]);
}

#[test]
fn every_program_tells_how_to_use_it() {
    for name in [
        "pizza",
        "police",
        "single_digit",
        "multi_digit_4layer_batched",
        "multi_digit_3layer_adam",
        "mnist",
        "cifar10",
    ] {
        let text = chapter(name, &["--help"]);
        for option in ["--device", "--seed", "--data", "--lr"] {
            assert!(text.contains(option), "{name}: {text}");
        }
    }
}

#[test]
fn the_recipes_hold_the_chapters_networks() {
    // The parameters of each, as in the chapters above: weights plus biases, and two for each channel of a batch norm.
    let (digit, photo) = (&[28, 28, 1][..], &[32, 32, 3][..]);
    for (name, sample, parameters) in [
        ("mnist", digit, 785 * 128 + 129 * 10),
        ("mnist_adam", digit, 785 * 128 + 129 * 10),
        ("mnist_4layer", digit, 785 * 256 + 257 * 64 + 65 * 10),
        ("mnist_cnn", digit, 9_510_826),
        ("fashion", digit, 785 * 256 + 257 * 10),
        ("cifar10", photo, 25_614_850),
        ("pizza", &[3], 4),
        ("police", &[3], 8),
    ] {
        let path = root().join(format!("scripts/recipes/{name}.toml"));
        let recipe = Recipe::read(&path, &[]).expect("a recipe");
        let summary = recipe.trainer().model.summary(DType::F32, sample).expect("a model for its data");
        assert_eq!(summary.parameters(), parameters, "{name}");
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("# "), "{name} says what it is");
    }
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
    assert_eq!(pizza[1..], ["30", "7.2673", "0.9628"]);
    let police = train("scripts/recipes/police.toml");
    assert_eq!(police[1..], ["30", "0.3931", "76.67%"]);
}
