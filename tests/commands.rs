//! The commands on a trained run, as a user meets them. The figures are computed again here, from the answers of
//! `Model::predict` for rows that the tests made.

mod common;

use base64::prelude::{BASE64_STANDARD, Engine};
use common::{device, device_name, numbers};
use image::{GrayImage, RgbImage};
use neural::data::{images, images::Form};
use neural::model::Model;
use neural::runs::{Folder, Saved, Which};
use neural::{Array, DType};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

fn neural(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_neural"))
        .args(arguments)
        .current_dir(home())
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that refuses its arguments does not read on.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("the program ends")
}

/// The program's output, when it succeeds without a word on stderr.
fn said(arguments: &[&str]) -> String {
    let output = neural(arguments, b"");
    let noise = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && noise.is_empty(), "{arguments:?}: {noise}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The program's output, when on stderr it only names the weights that gave it.
fn answered(arguments: &[&str]) -> String {
    let output = neural(arguments, b"");
    let weights = String::from_utf8_lossy(&output.stderr);
    assert!(
        weights.starts_with("weights of epoch ") && weights.lines().count() == 1,
        "{arguments:?}: {weights}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(arguments: &[&str]) -> Value {
    let text = said(arguments);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// A JSON object from each line.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Checks that the program ends with code 1 and one line on stderr that holds all of `words`.
fn refuses(arguments: &[&str], input: &[u8], words: &[&str]) {
    let output = neural(arguments, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    assert!(!said.contains("panicked") && said.lines().count() == 1, "{arguments:?}: {said}");
}

fn close(got: &Value, expected: f64) {
    let got = got.as_f64().expect("a number");
    assert!((got - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{got} {expected}");
}

const SIDE: usize = 6;
const TRAIN: usize = 90;
const TEST: usize = 60;

/// Pictures of three classes, a light band at one of three heights in noise, and their labels, of which every seventh
/// is wrong.
fn pictures(rows: usize, seed: u64) -> (Vec<Vec<u8>>, Vec<u8>) {
    let noise = numbers(rows * SIDE * SIDE, seed);
    let picture = |row: usize| {
        let pixel = |i: usize| {
            let light = if i / SIDE / 2 == row % 3 { 200.0 } else { 25.0 };
            (light + 25.0 * noise[row * SIDE * SIDE + i]) as u8
        };
        (0..SIDE * SIDE).map(pixel).collect()
    };
    let label = |row: usize| if row % 7 == 6 { (row + 1) % 3 } else { row % 3 } as u8;
    ((0..rows).map(picture).collect(), (0..rows).map(label).collect())
}

/// The rows that the recipe tests with, the second half of the test file, and their labels.
fn test_pictures() -> (Array, Vec<usize>) {
    let (pictures, labels) = pictures(TEST, 2);
    let bytes = pictures[TEST / 2..].concat();
    let samples = Array::from_bytes(DType::U8, &[TEST / 2, SIDE, SIDE, 1], bytes).expect("as many bytes");
    (samples, labels[TEST / 2..].iter().map(|&label| usize::from(label)).collect())
}

fn idx(shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let sizes = shape.iter().flat_map(|&size| (size as u32).to_be_bytes());
    [0, 0, 8, shape.len() as u8].into_iter().chain(sizes).chain(bytes.iter().copied()).collect()
}

/// NPY version 1.0 of little-endian elements.
fn npy(descr: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|size| format!("{size},")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), bytes].concat()
}

/// The number of a tree's row: its height, its bark, and the width of its leaves.
fn tree(row: usize) -> (f64, &'static str, f64, &'static str) {
    let noise = numbers(3 * 40, 3);
    let is_oak = row.is_multiple_of(2);
    let height = 20.0 + 8.0 * noise[3 * row] + if is_oak { 6.0 } else { 0.0 };
    let bark = ["rough", "smooth", "torn"][(row / 2) % 3];
    let width = 5.0 + 2.0 * noise[3 * row + 1] + if is_oak { 1.5 } else { 0.0 };
    (height, bark, width, if is_oak { "oak" } else { "elm" })
}

const RECIPES: [(&str, &str); 3] = [
    (
        "bands",
        r#"
data = { format = "idx", path = "bands", validation = "half-of-test", scale = "standardize" }
model.layers = ["flatten", { dense = 8 }, "relu", { dense = 3 }]
train = { loss = "softmax-cross-entropy", optimizer = { adam = { learning_rate = 0.02 } }, batch_size = 30, epochs = 6 }
"#,
    ),
    (
        "trees",
        r#"
data = { format = "table", path = "trees.csv", target = "kind", test_fraction = 0.3, scale = "standardize-features" }
model.layers = [{ dense = 1 }]
train = { loss = "sigmoid-cross-entropy", optimizer = { sgd = { learning_rate = 0.5 } }, batch_size = 10, epochs = 5 }
"#,
    ),
    (
        "prices",
        r#"
data = { format = "table", path = "prices.tsv", validation_fraction = 0.2, scale = "standardize-features" }
model.layers = [{ dense = 4 }, "tanh", { dense = 1 }]
train = { loss = "mean-squared-error", optimizer = { sgd = { learning_rate = 0.05 } }, batch_size = 8, epochs = 4 }
"#,
    ),
];

/// Data of three kinds with a run on each, made once.
fn home() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands");
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join("bands")).expect("a folder for tests");
        let write = |name: &str, contents: &[u8]| fs::write(home.join(name), contents).expect("writable");
        for (part, rows, seed) in [("train", TRAIN, 1), ("t10k", TEST, 2)] {
            let (pictures, labels) = pictures(rows, seed);
            let name = |kind: &str| format!("bands/{part}-{kind}-ubyte");
            write(&name("images-idx3"), &idx(&[rows, SIDE, SIDE], &pictures.concat()));
            write(&name("labels-idx1"), &idx(&[rows], &labels));
        }
        let trees: String = (0..40)
            .map(|row| {
                let (height, bark, width, kind) = tree(row);
                format!("{height},{bark},{width},{kind}\n")
            })
            .collect();
        write("trees.csv", format!("height,bark,width,kind\n{trees}").as_bytes());
        let noise = numbers(60, 4);
        let prices: String = noise
            .chunks_exact(2)
            .map(|ab| format!("{}\t{}\t{}\n", ab[0], ab[1], 3.0 * ab[0] - 2.0 * ab[1] * ab[0] + 1.0))
            .collect();
        write("prices.tsv", format!("area\tage\tprice\n{prices}").as_bytes());
        for (name, recipe) in RECIPES {
            write(&format!("{name}.toml"), recipe.as_bytes());
            let arguments =
                ["train", &format!("{name}.toml"), "--name", name, "--device", device_name(), "--quiet"];
            let trained =
                Command::new(env!("CARGO_BIN_EXE_neural")).args(arguments).current_dir(&home).output();
            let trained = trained.expect("the program starts");
            assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
        }
        home
    })
}

fn folder(name: &str) -> Folder {
    Folder::open(home().join("runs").join(name)).expect("a run")
}

fn model(name: &str) -> Model {
    folder(name).model().expect("a model")
}

/// The model's outputs for samples, a vector for each.
fn predict(model: &Model, samples: &Array) -> Vec<Vec<f64>> {
    let outputs = model.predict(device(), samples).expect("samples of the model's shape");
    outputs.to_f64().chunks_exact(outputs.shape()[1]).map(<[f64]>::to_vec).collect()
}

fn largest(figures: &[f64]) -> usize {
    (0..figures.len()).fold(0, |best, i| if figures[i] > figures[best] { i } else { best })
}

#[test]
fn evaluation_of_classes_is_what_the_predictions_come_to() {
    let report = json(&["evaluate", "runs/bands", "--json", "--device", device_name()]);
    let (samples, labels) = test_pictures();
    let probabilities = predict(&model("bands"), &samples);
    let predicted: Vec<usize> = probabilities.iter().map(|p| largest(p)).collect();
    let n = labels.len() as f64;

    let loss: f64 = probabilities.iter().zip(&labels).map(|(p, &y)| -p[y].ln()).sum::<f64>() / n;
    let right = predicted.iter().zip(&labels).filter(|(p, y)| p == y).count() as f64;
    close(&report["loss"], loss);
    close(&report["accuracy"], right / n);
    assert!(right < n && right > n / 2.0, "the data is to leave some mistakes: {right}");
    assert_eq!(report["rows"], labels.len());
    assert_eq!(report["split"], "test");

    for class in 0..3 {
        let of = |label: usize, guess: usize| {
            labels.iter().zip(&predicted).filter(|pair| *pair == (&label, &guess)).count()
        };
        for guess in 0..3 {
            assert_eq!(report["confusion"][class][guess], of(class, guess));
        }
        let hits = of(class, class) as f64;
        let precision = hits / (0..3).map(|label| of(label, class)).sum::<usize>() as f64;
        let recall = hits / (0..3).map(|guess| of(class, guess)).sum::<usize>() as f64;
        let figures = &report["classes"][class];
        assert_eq!(figures["name"], class.to_string());
        close(&figures["precision"], precision);
        close(&figures["recall"], recall);
        close(&figures["f1"], 2.0 * precision * recall / (precision + recall));
    }

    let mut wrong: Vec<usize> = (0..labels.len()).filter(|&i| predicted[i] != labels[i]).collect();
    let odds = |i: &usize| probabilities[*i][labels[*i]] / probabilities[*i][predicted[*i]];
    wrong.sort_by(|a, b| odds(a).total_cmp(&odds(b)));
    let mistakes = report["mistakes"].as_array().expect("a list");
    assert_eq!(mistakes.len(), wrong.len().min(24));
    for (mistake, &i) in mistakes.iter().zip(&wrong) {
        assert_eq!(mistake["row"], TRAIN + TEST / 2 + i);
        assert_eq!(mistake["label"], labels[i].to_string());
        assert_eq!(mistake["predicted"], predicted[i].to_string());
        close(&mistake["figure"], probabilities[i][predicted[i]]);
    }

    let run = home().join("runs/bands");
    assert!(fs::read_to_string(run.join("confusion.svg")).expect("drawn").starts_with("<svg"));
    for name in ["confusion.png", "mistakes.png"] {
        assert!(image::open(run.join(name)).expect("a PNG").width() > 100, "{name}");
    }
    let text = said(&[
        "evaluate",
        "runs/bands",
        "--device",
        device_name(),
        "--mistakes",
        "0",
        "--plot",
        "elsewhere",
    ]);
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("a line");
    assert_eq!(line("accuracy").split_whitespace().nth(1), Some(&format!("{:.2}%", 100.0 * right / n)[..]));
    for name in
        ["balanced-accuracy", "f1-macro", "roc-auc", "average-precision", "log-loss", "calibration-error"]
    {
        assert!(report[name].is_number() && line(name).split_whitespace().count() == 2, "{name}: {text}");
    }
    close(&report["log-loss"], loss);
    assert!(text.contains("30 test rows of bands"), "{text}");
    // The history tells which weights these are.
    let history = lines(&fs::read_to_string(run.join("history.jsonl")).expect("a history"));
    let losses: Vec<f64> =
        history.iter().map(|epoch| epoch["validation"]["loss"].as_f64().expect("a loss")).collect();
    let best = (0..losses.len()).fold(0, |best, i| if losses[i] < losses[best] { i } else { best }) + 1;
    assert_eq!(report["weights"], serde_json::json!({ "epoch": best, "by": "validation-loss" }));
    assert!(text.contains(&format!("weights of epoch {best}, the best by validation-loss")), "{text}");
    let last = ["evaluate", "runs/bands", "--device", device_name(), "--last", "--mistakes", "0"];
    let last = said(&[&last[..], &["--plot", "elsewhere"]].concat());
    assert!(last.contains("weights of epoch 6, the last\n"), "{last}");
    assert!(
        home().join("elsewhere/confusion.png").is_file() && !home().join("elsewhere/mistakes.png").exists()
    );
}

#[test]
fn evaluation_of_values_is_what_the_predictions_come_to() {
    let report = json(&["evaluate", "runs/prices", "--json", "--split", "all", "--device", device_name()]);
    let noise = numbers(60, 4);
    let inputs: Vec<f32> = noise.iter().map(|&v| v as f32).collect();
    let samples = Array::new(&[30, 2], inputs).expect("as many numbers");
    let outputs = predict(&model("prices"), &samples);
    let targets: Vec<f64> =
        noise.chunks_exact(2).map(|ab| f64::from((3.0 * ab[0] - 2.0 * ab[1] * ab[0] + 1.0) as f32)).collect();
    let apart = |i: usize| outputs[i][0] - targets[i];
    let mean = targets.iter().sum::<f64>() / 30.0;
    let squares: f64 = (0..30).map(|i| apart(i).powi(2)).sum();
    close(&report["loss"], squares / 30.0);
    close(&report["mse"], squares / 30.0);
    close(&report["rmse"], (squares / 30.0).sqrt());
    close(&report["mae"], (0..30).map(|i| apart(i).abs()).sum::<f64>() / 30.0);
    close(&report["r2"], 1.0 - squares / targets.iter().map(|t| (t - mean).powi(2)).sum::<f64>());
    let worst = (0..30).max_by(|&a, &b| apart(a).abs().total_cmp(&apart(b).abs())).expect("rows");
    assert_eq!(report["largest_errors"][0]["row"], worst);
    close(&report["largest_errors"][0]["output"][0], outputs[worst][0]);
    assert!(image::open(home().join("runs/prices/values.png")).is_ok());
    // There are no test rows; those for validation are the fifth that the recipe asks for.
    let text = said(&["evaluate", "runs/prices", "--device", device_name()]);
    assert!(text.contains("6 validation rows of prices.tsv"), "{text}");
    refuses(&["evaluate", "runs/prices", "--split", "test"], b"", &["--split", "no test rows"]);
}

/// A folder of pictures by class, which lacks one of the model's classes.
#[test]
fn other_data_is_measured_by_the_names_of_its_classes() {
    let (pictures, labels) = pictures(24, 9);
    let mut rows = Vec::new();
    for (i, (picture, label)) in
        pictures.iter().zip(&labels).enumerate().filter(|(_, (_, label))| **label > 0)
    {
        let path = home().join(format!("drawn/{label}/{i:02}.png"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        gray(picture).save(&path).expect("written");
        rows.push((usize::from(*label), picture.clone()));
    }
    let bytes: Vec<u8> = rows.iter().flat_map(|(_, picture)| picture.clone()).collect();
    let samples = Array::from_bytes(DType::U8, &[rows.len(), SIDE, SIDE, 1], bytes).expect("as many bytes");
    let probabilities = predict(&model("bands"), &samples);
    let right = probabilities.iter().zip(&rows).filter(|(p, (label, _))| largest(p) == *label).count();

    let arguments = [
        "evaluate",
        "runs/bands",
        "--data",
        "drawn",
        "--json",
        "--plot",
        "drawn-plots",
        "--device",
        device_name(),
    ];
    let report = json(&arguments);
    assert_eq!(report["rows"], rows.len());
    assert_eq!(report["split"], "all");
    close(&report["accuracy"], right as f64 / rows.len() as f64);
    assert_eq!(report["classes"][0]["rows"], 0);

    fs::create_dir_all(home().join("strange/7")).expect("writable");
    fs::create_dir_all(home().join("strange/1")).expect("writable");
    for class in ["1", "7"] {
        gray(&pictures[0]).save(home().join(format!("strange/{class}/a.png"))).expect("written");
    }
    refuses(&["evaluate", "runs/bands", "--data", "strange"], b"", &["strange", "0, 1, 2", "\"7\""]);
    refuses(&["evaluate", "runs/bands", "--data", "trees.csv"], b"", &["trees.csv"]);
    refuses(&["evaluate", "runs/trees", "--data", "prices.tsv"], b"", &["prices.tsv", "kind"]);
    refuses(&["evaluate", "runs/trees", "--data", "bands"], b"", &["samples [n, 5]", "[n, 6, 6, 1]"]);
    refuses(&["evaluate", "runs/trees", "--data", "nowhere"], b"", &["nowhere", "No such file"]);
}

fn gray(pixels: &[u8]) -> GrayImage {
    GrayImage::from_raw(SIDE as u32, SIDE as u32, pixels.to_vec()).expect("as many pixels")
}

#[test]
fn pictures_are_predicted_whatever_their_size_and_colour() {
    let (pictures, _) = pictures(3, 5);
    let file = |name: &str| home().join(name);
    for (i, picture) in pictures.iter().enumerate() {
        let picture = gray(picture);
        picture.save(file(&format!("p{i}.png"))).expect("written");
        RgbImage::from_fn(6, 6, |x, y| image::Rgb([picture.get_pixel(x, y).0[0]; 3]))
            .save(file(&format!("rgb{i}.png")))
            .expect("written");
        GrayImage::from_fn(6, 6, |x, y| image::Luma([255 - picture.get_pixel(x, y).0[0]]))
            .save(file(&format!("dark{i}.png")))
            .expect("written");
        GrayImage::from_fn(27, 18, |x, y| *picture.get_pixel(x * 2 / 9, y / 3))
            .save(file(&format!("large{i}.png")))
            .expect("written");
    }
    let samples =
        Array::from_bytes(DType::U8, &[3, SIDE, SIDE, 1], pictures.concat()).expect("as many bytes");
    let model = model("bands");
    let expected = predict(&model, &samples);
    let check = |rows: &[Value], names: &[&str], expected: &[Vec<f64>]| {
        assert_eq!(rows.len(), expected.len());
        for ((row, name), expected) in rows.iter().zip(names).zip(expected) {
            assert_eq!(row["input"], *name);
            assert_eq!(row["class"], largest(expected).to_string());
            close(&row["probability"], expected[largest(expected)]);
            (0..3).for_each(|class| close(&row["probabilities"][class.to_string()], expected[class]));
        }
    };
    let run = |options: &[&str], names: &[&str]| {
        lines(&said(
            &[&["predict", "runs/bands", "--json", "--device", device_name()], options, names].concat(),
        ))
    };
    for names in [["p0.png", "p1.png", "p2.png"], ["rgb0.png", "rgb1.png", "rgb2.png"]] {
        check(&run(&[], &names), &names, &expected);
    }
    let dark = ["dark0.png", "dark1.png", "dark2.png"];
    check(&run(&["--invert"], &dark), &dark, &expected);
    let large = ["large0.png", "large1.png", "large2.png"];
    let fitted = |name: &&str| {
        let form = Form::of_sample(&[SIDE, SIDE, 1]).expect("a picture");
        images::read(file(name), form).expect("readable").bytes().to_vec()
    };
    let fitted: Vec<u8> = large.iter().flat_map(fitted).collect();
    let fitted = Array::from_bytes(DType::U8, &[3, SIDE, SIDE, 1], fitted).expect("as many bytes");
    let rows = run(&[], &large);
    check(&rows, &large, &predict(&model, &fitted));
    (0..3).for_each(|i| assert_eq!(rows[i]["class"], largest(&expected[i]).to_string()));

    // Standard input, and the forms for people and for spreadsheets.
    let output = neural(
        &["predict", "runs/bands", "-", "--csv", "--device", device_name()],
        &fs::read(file("p1.png")).expect("there"),
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let mut table = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(
        table.headers().expect("a header"),
        vec!["input", "row", "class", "probability_0", "probability_1", "probability_2"]
    );
    let record = table.records().next().expect("a row").expect("a whole one");
    assert_eq!((&record[0], &record[2]), ("-", &*largest(&expected[1]).to_string()));
    close(&record[4].parse::<f64>().expect("a number").into(), expected[1][1]);
    let text = answered(&["predict", "runs/bands", "p2.png", "--top", "1", "--device", device_name()]);
    let percent = format!("{:.2}%", 100.0 * expected[2][largest(&expected[2])]);
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(
        words,
        ["input", "class", "probability", "p2.png", &*largest(&expected[2]).to_string(), &*percent]
    );
}

/// The features of some trees: height, bark one-hot in the order of the names, width.
fn encoded(rows: &[usize]) -> Array {
    let features = rows.iter().flat_map(|&row| {
        let (height, bark, width, _) = tree(row);
        let bark = ["rough", "smooth", "torn"].map(|name| if name == bark { 1.0 } else { 0.0 });
        [height as f32, bark[0], bark[1], bark[2], width as f32]
    });
    Array::new(&[rows.len(), 5], features.collect()).expect("as many numbers")
}

#[test]
fn rows_of_tables_are_predicted_whatever_the_order_of_their_columns() {
    let rows: Vec<usize> = (0..10).collect();
    let yes = predict(&model("trees"), &encoded(&rows));
    let mut tsv = "bark\tnote\twidth\theight\n".to_string();
    for &row in &rows {
        let (height, bark, width, _) = tree(row);
        tsv += &format!("{bark}\tseen, twice\t{width}\t{height}\n");
    }
    let arguments = ["predict", "runs/trees", "-", "trees.csv", "--json", "--device", device_name()];
    let output = neural(&arguments, tsv.as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = lines(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(answers.len(), 10 + 40);
    // The classes are elm and oak, and the only output is for the second.
    for (row, answer) in answers[..10].iter().zip(&answers[10..20]).map(|(a, b)| [a, b]).enumerate() {
        for (answer, input) in answer.into_iter().zip(["-", "trees.csv"]) {
            assert_eq!((&answer["input"], &answer["row"]), (&input.into(), &row.into()));
            let p = yes[row][0];
            assert_eq!(answer["kind"], if p > 0.5 { "oak" } else { "elm" });
            close(&answer["probabilities"]["oak"], p);
            close(&answer["probabilities"]["elm"], 1.0 - p);
        }
    }
    let text = answered(&["predict", "runs/trees", "trees.csv", "--device", device_name()]);
    assert!(text.lines().nth(4).expect("rows").starts_with("trees.csv[3]"), "{text}");

    refuses(
        &["predict", "runs/trees", "prices.tsv"],
        b"",
        &["prices.tsv", "column \"height\"", "area, age, price"],
    );
    let odd = b"height,bark,width\n3,mossy,2\n";
    let output = neural(&["predict", "runs/trees", "-", "--device", device_name()], odd);
    let note = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && note.contains("\"bark\" that is in none of the training rows"),
        "{note}"
    );
    refuses(&["predict", "runs/trees", "-"], b"height,bark,width\ntall,torn,2\n", &["number", "tall"]);
    refuses(&["predict", "runs/trees", "-"], b"height,bark,width\n,torn,2\n", &["value", "line 2"]);
    refuses(&["predict", "runs/trees", "-"], b"", &["no row"]);
    refuses(&["predict", "runs/trees", "-", "--invert"], tsv.as_bytes(), &["--invert", "pictures"]);
}

#[test]
fn arrays_are_predicted_with_or_without_their_channel() {
    let (samples, _) = test_pictures();
    let expected = predict(&model("bands"), &samples);
    for (i, shape) in [[30, SIDE, SIDE, 1].to_vec(), [30, SIDE, SIDE].to_vec()].iter().enumerate() {
        let name = format!("rows{i}.npy");
        fs::write(home().join(&name), npy("|u1", shape, samples.bytes())).expect("writable");
        let rows = lines(&said(&["predict", "runs/bands", &name, "--json", "--device", device_name()]));
        assert_eq!(rows.len(), 30);
        for (row, expected) in rows.iter().zip(&expected) {
            close(&row["probability"], expected[largest(expected)]);
        }
    }
    let pixels = &samples.bytes()[..SIDE * SIDE];
    let as_i64: Vec<u8> = pixels.iter().flat_map(|&pixel| i64::from(pixel).to_le_bytes()).collect();
    let one = lines(&String::from_utf8_lossy(
        &neural(&["predict", "runs/bands", "-", "--json"], &npy("<i8", &[SIDE, SIDE], &as_i64)).stdout,
    ));
    close(&one[0]["probability"], expected[0][largest(&expected[0])]);

    let prices: Vec<u8> = [0.5f64, -0.25].iter().flat_map(|v| v.to_le_bytes()).collect();
    let output = neural(&["predict", "runs/prices", "-", "--json"], &npy("<f8", &[2], &prices));
    let price = predict(&model("prices"), &Array::new(&[1, 2], vec![0.5f32, -0.25]).expect("two numbers"));
    close(&lines(&String::from_utf8_lossy(&output.stdout))[0]["price"], price[0][0]);

    let refused = |file: &[u8], words: &[&str]| refuses(&["predict", "runs/bands", "-"], file, words);
    refused(&npy("|u1", &[2, 5, 5], &[0; 50]), &["[n, 6, 6, 1]", "[2, 5, 5]"]);
    refused(&npy("|u1", &[0, 6, 6], &[]), &["[n, 6, 6, 1]", "[0, 6, 6]"]);
    refused(&npy("<i8", &[SIDE, SIDE], &(-1i64).to_le_bytes().repeat(36)), &["0 to 255", "-1"]);
    refused(&npy("|u1", &[2, 6, 6], &[0; 50]), &["damaged"]);
    let nan = npy("<f8", &[2], &f64::NAN.to_le_bytes().repeat(2));
    refuses(&["predict", "runs/prices", "-"], &nan, &["finite", "NaN"]);
}

#[test]
fn what_is_not_there_or_not_right_is_refused_in_one_sentence() {
    for command in ["evaluate", "predict", "summary"] {
        let file = if command == "predict" { &["p.png"][..] } else { &[] };
        refuses(&[&[command, "runs"], file].concat(), b"", &["runs", "recipe.toml"]);
    }
    refuses(&["evaluate", "runs/none"], b"", &["runs/none", "run"]);
    refuses(&["evaluate", "trees.csv"], b"", &["trees.csv", "folder of a run"]);
    refuses(&["evaluate", "prices"], b"", &["did you mean runs/prices?"]);
    refuses(&["predict", "runs/bands", "none.png"], b"", &["none.png", "No such file"]);
    refuses(&["predict", "runs/bands", "trees.csv"], b"", &["trees.csv", "PNG or JPEG"]);
    let picture = fs::read(home().join("runs/bands/loss.png")).expect("drawn");
    refuses(&["predict", "runs/bands", "-"], &picture[..picture.len() / 2], &["decoded"]);
    refuses(&["predict", "runs/trees", "-"], &picture, &["expected a table"]);
    for arguments in [
        &["predict", "runs/bands"][..],
        &["predict", "runs/bands", "a.png", "--json", "--csv"],
        &["evaluate", "runs/bands", "--split", "half"],
        &["data", "bands", "--format", "jdx"],
        &["summary"],
    ] {
        assert_eq!(neural(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
    for command in ["evaluate", "predict", "summary", "data"] {
        let help = said(&[command, "--help"]);
        assert!(help.contains("Examples:") && help.contains(&format!("neural {command} ")), "{help}");
    }
}

/// A copy of a run whose checkpoints are replaced.
fn with_checkpoint(copy: &str, contents: &[u8]) -> String {
    let run = format!("runs/{copy}");
    fs::create_dir_all(home().join(&run)).expect("writable");
    fs::copy(home().join("runs/bands/recipe.toml"), home().join(&run).join("recipe.toml")).expect("copied");
    for name in ["best.safetensors", "last.safetensors"] {
        fs::write(home().join(&run).join(name), contents).expect("writable");
    }
    run
}

#[test]
fn the_last_checkpoint_stands_in_for_the_best_only_if_asked() {
    copied("bands", "without-best");
    let (run, path) = ("runs/without-best", home().join("runs/without-best"));
    fs::remove_file(path.join("best.safetensors")).expect("there");
    let epoch = json(&["summary", run, "--json"])["best"]["number"].as_u64().expect("a number");
    let of = format!("expected the best checkpoint, of epoch {epoch}");
    let out = path.join("model.bin").display().to_string();
    let commands: &[&[&str]] = &[
        &["evaluate", run],
        &["predict", run, "bands"],
        &["explain", run],
        &["export", run, "--to", "safetensors", "--out", &out],
        #[cfg(feature = "serve")]
        &["serve", run, "--port", "0"],
    ];
    for command in commands {
        refuses(command, b"", &["without-best/best.safetensors", &of, "--last"]);
    }
    let text = said(&["summary", run]);
    assert!(text.contains(&format!("best epoch        {epoch}: ")), "{text}");
    assert!(text.contains("its checkpoint is missing"), "{text}");
    let evaluate = ["evaluate", run, "--json", "--device", device_name()];
    assert_eq!(json(&[&evaluate[..], &["--last"]].concat())["weights"]["epoch"], 6);
    let shown = &page(&[run, "--last"], "last.html")["runs"][0];
    assert_eq!(shown["measured"]["part"], "test");
    assert!(shown["drawn"].is_string() && shown["weights"] == "weights of epoch 6, the last", "{shown}");

    // Where the last is the best by rule, or no epoch is done yet.
    let recipe = fs::read_to_string(path.join("recipe.toml")).expect("a recipe");
    fs::write(path.join("recipe.toml"), recipe.replace("[train]\n", "[train]\nmonitor = \"last\"\n"))
        .expect("writable");
    assert_eq!(json(&evaluate)["weights"]["by"], "last");
    fs::write(path.join("recipe.toml"), recipe).expect("writable");
    fs::write(path.join("history.jsonl"), "").expect("writable");
    assert_eq!(json(&evaluate)["weights"]["by"], "last");
}

#[test]
fn predict_and_export_say_of_which_epoch_the_weights_are() {
    let epoch = |arguments: &[&str]| {
        let weights = json(&[&["evaluate", "runs/bands", "--json"], arguments].concat());
        weights["weights"]["epoch"].as_u64().expect("a number")
    };
    for (arguments, end) in [(&[][..], ", the best by validation-loss"), (&["--last"], ", the last")] {
        let said_of = format!("weights of epoch {}{end}", epoch(arguments));
        for form in ["onnx", "safetensors"] {
            let out = home().join(format!("of-epoch.{form}"));
            let out = out.to_str().expect("UTF-8");
            let text = said(&[&["export", "runs/bands", "--to", form, "--out", out], arguments].concat());
            assert_eq!(text.lines().nth(1), Some(&*said_of));
            let file = fs::read(out).expect("written");
            if form == "onnx" {
                // The key and the value of an entry of the metadata, each after its length.
                let entry = [b"neural.epoch\x12\x01", epoch(arguments).to_string().as_bytes()].concat();
                assert!(file.windows(entry.len()).any(|part| part == entry));
            } else {
                let model = neural::export::from_safetensors(Path::new(out), &file).expect("a model");
                assert_eq!(model.epoch, Some(epoch(arguments)));
            }
        }
        let predict = [&["predict", "runs/bands", "bands"], arguments].concat();
        assert_eq!(String::from_utf8_lossy(&neural(&predict, b"").stderr), format!("{said_of}\n"));
        // For programs there is nothing but the answers.
        said(&[&predict[..], &["--csv"]].concat());
    }
}

#[test]
fn long_names_are_cut_for_people_and_whole_for_programs() {
    let long = "z".repeat(70_000);
    let rows: String = (0..12).map(|row| format!("{row},{}\n", if row < 8 { "x" } else { &long })).collect();
    fs::write(home().join("long.csv"), format!("a,kind\n{rows}")).expect("writable");
    let recipe = RECIPES[1].1.replace("trees.csv", "long.csv").replace("epochs = 5", "epochs = 1");
    fs::write(home().join("long.toml"), recipe).expect("writable");
    let short = |arguments: &[&str]| {
        let output = neural(arguments, b"");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        let longest = said.iter().flat_map(|text| text.lines()).map(str::len).max();
        assert!(longest < Some(1000), "{arguments:?}: a line of {longest:?} bytes");
        (output.status.code(), said)
    };
    assert_eq!(short(&["train", "long.toml", "--name", "long", "--quiet"]).0, Some(0));
    for arguments in [
        &["evaluate", "runs/long", "--split", "train"][..],
        &["predict", "runs/long", "long.csv"],
        &["summary", "runs/long"],
        &["init", "long.csv", "--target", "kind", "--output", "init.toml"],
    ] {
        let (code, [said, _]) = short(arguments);
        assert!(code == Some(0) && said.contains("zzz…"), "{said}");
    }
    assert_eq!(json(&["summary", "runs/long", "--json"])["classes"][1].as_str(), Some(&*long));
    let answers = lines(&said(&["predict", "runs/long", "long.csv", "--json"]));
    assert!(answers[0]["probabilities"][&long].is_number());
    for setting in ["train.monitor=", "train.epochs=", "train.", "train.loss=", ""] {
        let (code, [_, said]) = short(&["train", "long.toml", "--set", &format!("{setting}{long}")]);
        assert!(code == Some(1) && said.contains("zzz…"), "{said}");
    }
}

#[test]
fn outputs_that_are_not_as_many_as_the_values_of_a_target_are_counted_in_words() {
    fs::write(home().join("unlike.toml"), RECIPES[2].1.replace("{ dense = 1 }", "{ dense = 2 }"))
        .expect("writable");
    let expected =
        "an output for each value of the target \"price\", 1 a row, got 2; end the model with { dense = 1 }";
    refuses(&["train", "unlike.toml"], b"", &[expected]);
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused() {
    let good = fs::read(home().join("runs/bands/best.safetensors")).expect("a checkpoint");
    let cut = home().join("cut.safetensors");
    for length in (0..good.len()).step_by(37) {
        fs::write(&cut, &good[..length]).expect("writable");
        assert!(Saved::read(&cut).is_err(), "cut to {length} bytes");
    }
    let run = with_checkpoint("cut", &good[..good.len() / 2]);
    for command in [&["evaluate"][..], &["summary"]] {
        refuses(&[command, &[&run]].concat(), b"", &["best.safetensors", "damaged or foreign file"]);
    }
    refuses(&["predict", &run, "p0.png"], b"", &["best.safetensors", "damaged or foreign file"]);

    // The values of one model under the description of another.
    let of = |name: &str| folder(name).checkpoint(Which::Last).expect("a checkpoint");
    let mixed = Saved { description: of("bands").description, ..of("trees") };
    mixed.write(&cut).expect("writable");
    let run = with_checkpoint("mixed", &fs::read(&cut).expect("written"));
    refuses(&["predict", &run, "p0.png"], b"", &["another model's values"]);
    // A whole checkpoint of another model and other data than the recipe's.
    let foreign = fs::read(home().join("runs/trees/last.safetensors")).expect("a checkpoint");
    let run = with_checkpoint("foreign", &foreign);
    refuses(&["evaluate", &run], b"", &["bands", "[n, 5]", "[n, 6, 6, 1]"]);
}

#[test]
fn summaries_count_what_the_layers_hold_and_what_the_run_did() {
    // 36 pixels to 8 units, and these to 3.
    let (parameters, products) = (36 * 8 + 8 + 8 * 3 + 3, 36 * 8 + 8 * 3);
    for path in ["runs/bands", "bands.toml"] {
        let summary = json(&["summary", path, "--json"]);
        assert_eq!(summary["parameters"], parameters);
        assert_eq!(summary["bytes"], 4 * parameters);
        assert_eq!(summary["sample"], serde_json::json!([6, 6, 1]));
        assert_eq!(summary["layers"][1]["output"], serde_json::json!([8]));
        let flops = summary["flops_per_row"].as_f64().expect("a number");
        assert!((2 * products..3 * products).contains(&(flops as usize)), "{flops}");
    }
    let text = said(&["summary", "bands.toml"]);
    for words in
        ["323 parameters, 1,292 bytes as f32", "90 training, 30 validation, 30 test rows", "adam", "3 steps"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let drawing = home().join("bands-model.svg");
    said(&["summary", "bands.toml", "--plot", &drawing.display().to_string()]);
    let drawing = fs::read_to_string(drawing).expect("a picture");
    for words in ["bands: 323 parameters", "6 × 6 × 1", "dense", "296", "softmax"] {
        assert!(drawing.contains(words), "{words}: {drawing}");
    }
    let history = fs::read_to_string(home().join("runs/bands/history.jsonl")).expect("a history");
    let losses: Vec<f64> =
        lines(&history).iter().map(|epoch| epoch["validation"]["loss"].as_f64().expect("a loss")).collect();
    let best = (0..losses.len()).fold(0, |best, i| if losses[i] < losses[best] { i } else { best });
    let summary = json(&["summary", "runs/bands", "--json"]);
    assert_eq!(summary["epochs_done"], 6);
    assert_eq!(summary["best"]["number"], best + 1);
    close(&summary["best"]["validation"]["loss"], losses[best]);
    assert!(said(&["summary", "runs/trees"]).contains("height, bark, width"));

    fs::write(home().join("no-data.toml"), RECIPES[0].1.replace("\"bands\"", "\"nowhere\""))
        .expect("writable");
    refuses(&["summary", "no-data.toml"], b"", &["nowhere"]);
    let summary = json(&["summary", "no-data.toml", "--sample", "6,6,1", "--json"]);
    assert_eq!(summary["parameters"], parameters);
    let (most, beyond) = (i32::MAX, i64::MAX);
    for (kind, settings) in [
        ("conv", "{ filters = 2, kernel = [9, 9] }".to_string()),
        ("conv", format!("{{ filters = 2, kernel = [{beyond}, 1] }}")),
        ("conv", format!("{{ filters = 2, kernel = [1, 1], padding = [[{beyond}, 0], [0, 0]] }}")),
        ("conv", format!("{{ filters = {most}, kernel = [{most}, {most}], padding = \"same\" }}")),
        ("max-pool", format!("{{ size = [2, 2], stride = [{beyond}, 1] }}")),
        ("embedding", format!("{{ vocabulary = {most}, units = {most} }}")),
        ("dense", beyond.to_string()),
    ] {
        let layers = format!("{{ {kind} = {settings} }}, \"flatten\"");
        fs::write(home().join("unfit.toml"), RECIPES[0].1.replace("\"flatten\"", &layers)).expect("writable");
        refuses(&["summary", "unfit.toml"], b"", &[&format!("layer 0 ({kind})")]);
    }
    refuses(&["summary", "no-data.toml", "--sample", "9223372036854775807,2"], b"", &["elements"]);
}

#[test]
fn data_is_shown_as_it_lies_there() {
    let shown = json(&["data", "bands", "--json"]);
    assert_eq!(shown["rows"], TRAIN + TEST);
    assert_eq!(shown["splits"], serde_json::json!({ "train": 90, "test": 60 }));
    assert_eq!(shown["origins"]["test"], "the test files");
    let (pictures, labels) = pictures(TRAIN, 1);
    let all: Vec<f64> = pictures.concat().iter().map(|&pixel| f64::from(pixel)).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    close(&shown["mean"], mean);
    close(
        &shown["deviation"],
        (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt(),
    );
    for class in 0..3u8 {
        let count = labels.iter().map(|&label| usize::from(label == class)).sum::<usize>();
        assert_eq!(shown["classes"][usize::from(class)]["rows"]["train"], count);
    }
    said(&["data", "bands", "--plot", "sheet.png"]);
    assert!(image::open(home().join("sheet.png")).expect("a PNG").width() > 100);

    let table = "id,size,colour,price\n1,2.5,red,10\n2,,blue,20\n3,4.5,?,60\n";
    fs::write(home().join("holes.csv"), table).expect("writable");
    let shown = json(&["data", "holes.csv", "--set", "ignore=[\"id\"]", "--json"]);
    let missing: Vec<_> =
        shown["columns"].as_array().expect("a list").iter().map(|c| c["missing"].clone()).collect();
    assert_eq!(missing, [0, 1, 1, 0]);
    assert_eq!(shown["columns"][1]["values"]["least"], 2.5);
    assert_eq!(shown["columns"][1]["values"]["mean"], 3.5);
    assert_eq!(shown["columns"][2]["values"]["names"], 2);
    assert_eq!(shown["targets"]["greatest"], 60.0);
    // One number, one feature for each colour, and one for no colour.
    assert_eq!(shown["sample"], serde_json::json!([4]));
    refuses(&["data", "holes.csv", "--set", "missing=refuse"], b"", &["line 3", "size"]);
    refuses(&["data", "holes.csv", "--set", "tarjet=price"], b"", &["tarjet", "target"]);
    refuses(&["data", "holes.csv", "--plot", "x.png"], b"", &["--plot", "pictures"]);

    let shown = json(&["data", "trees.toml", "--json"]);
    assert_eq!(shown["splits"], serde_json::json!({ "train": 28, "test": 12 }));
    assert_eq!(shown["classes"][0]["name"], "elm");

    let reals: Vec<u8> = [1.5f32, -2.0, f32::INFINITY, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(home().join("one.npy"), npy("<f4", &[2, 2], &reals)).expect("writable");
    let shown = json(&["data", "one.npy", "--json"]);
    let tensor = &shown["tensors"][0];
    assert_eq!(tensor["shape"], serde_json::json!([2, 2]));
    assert_eq!((&tensor["values"]["least"], &tensor["values"]["not_finite"]), (&(-2.0).into(), &1.into()));
    assert!(shown["no_data_set"].as_str().expect("the reason").contains("one.npy"));
    let shown = json(&["data", "runs/bands/best.safetensors", "--json"]);
    let names: Vec<_> =
        shown["tensors"].as_array().expect("a list").iter().map(|t| t["name"].clone()).collect();
    assert!(names.contains(&"1.weight".into()), "{names:?}");

    fs::create_dir_all(home().join("empty")).expect("writable");
    refuses(&["data", "empty"], b"", &["empty", "a folder with data"]);
    refuses(&["data", "nowhere"], b"", &["nowhere", "No such file"]);
    refuses(&["data", "trees.csv", "--format", "idx"], b"", &["trees.csv"]);
    refuses(&["data", "bands", "--set", "target=x"], b"", &["target", "idx"]);
}

/// `neural … | head` ends in peace.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let rows: String = (0..20_000).map(|row| format!("{row},rough,{row}\n")).collect();
    fs::write(home().join("many.csv"), format!("height,bark,width\n{rows}")).expect("writable");
    for arguments in
        [&["predict", "runs/trees", "many.csv", "--csv"][..], &["summary", "runs/bands"], &["data", "bands"]]
    {
        let mut child = Command::new(env!("CARGO_BIN_EXE_neural"))
            .args(arguments)
            .current_dir(home())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the program ends");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn data_alone_becomes_a_recipe_that_trains() {
    let said = said(&["init", "trees.csv", "--output", "suggested.toml"]);
    assert!(said.contains("target: \"kind\"") && said.contains("neural train suggested.toml"), "{said}");
    refuses(&["init", "trees.csv", "-o", "suggested.toml"], b"", &["suggested.toml", "--force"]);
    refuses(&["init", "nowhere.csv"], b"", &["nowhere.csv"]);
    refuses(&["train", "trees.csv"], b"", &["neural init trees.csv", "neural train --auto trees.csv"]);
    let few = ["--epochs", "2", "--device", device_name(), "--json"];
    let last = |arguments: &[&str]| {
        let output = neural(&[arguments, &few[..]].concat(), b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lines(&String::from_utf8_lossy(&output.stdout)).pop().expect("a result")
    };
    let written = last(&["train", "suggested.toml", "--name", "written"]);
    let at_once = last(&["train", "--auto", "trees.csv", "--target", "kind", "--name", "at-once"]);
    assert_eq!(written["scores"], at_once["scores"]);
    assert!(written["scores"]["test"]["accuracy"].is_number(), "{written}");
    let pictures = json(&["init", "bands", "--output", "bands-suggested.toml", "--json"]);
    assert_eq!(pictures["keys"]["data"]["validation_fraction"], 0.15);

    let write = |name: &str, contents: &str| fs::write(home().join(name), contents).expect("writable");
    fs::create_dir_all(home().join("nothing")).expect("writable");
    refuses(&["init", "nothing"], b"", &["nothing", "an empty one"]);
    // Why there is no column left to predict from.
    let many: String = (0..600).map(|row| format!("street {},{row}.5\n", row % 300)).collect();
    write("streets.csv", &format!("street,rent\n{many}"));
    refuses(&["init", "streets.csv"], b"", &["a feature", "\"street\" is left out", "300 different names"]);
    let flats: String = (0..40).map(|row| format!("{row}.5,{}\n", ["Bern", "Basel"][row % 2])).collect();
    write("flats.csv", &format!("m2_price,town\n{flats}"));
    assert_eq!(json(&["init", "flats.csv", "--json"])["keys"]["data"]["target"], "m2_price");
}

/// A table whose rows hold a list, a picture and a sequence, each of which tells the class, and a number that does not;
/// only `columns` of them.
fn write_kinds(name: &str, columns: &[&str]) {
    let noise = numbers(10 * 240, 5);
    fs::create_dir_all(home().join("kinds")).expect("writable");
    let rows = (0..240).map(|row| {
        let (noise, class) = (&noise[10 * row..], row % 2);
        let names = ["wifi", "bar", "sauna", "gym", "sun", "lift", "garage"];
        let mut list: Vec<&str> =
            (0..7).filter(|&i| (row * 37 % 256) >> (i + 1) & 1 == 1).map(|i| names[i]).collect();
        list.extend((class == 1).then_some("pool"));
        let light = |i: usize| if i / 8 / 4 == class { 220 } else { 30 };
        let picture: Vec<u8> = (0..64).map(|i| light(i) + (10.0 * noise[7]) as u8 % 20).collect();
        let picture = GrayImage::from_raw(8, 8, picture).expect("as many pixels");
        picture.save(home().join(format!("kinds/{row}.png"))).expect("writable");
        let pulse = |i: usize| noise[i] + if class == 1 { i as f64 } else { -(i as f64) };
        let cells: BTreeMap<&str, String> = [
            ("rent", format!("{}", noise[8])),
            ("tags", list.join(";")),
            ("photo", format!("kinds/{row}.png")),
            ("pulse", format!("\"[{:.3}, {:.3}, {:.3}]\"", pulse(1), pulse(2), pulse(3))),
            ("class", ["low", "high"][class].into()),
        ]
        .into();
        columns.iter().chain(&["class"]).map(|column| cells[column].as_str()).collect::<Vec<_>>().join(",")
    });
    let lines: Vec<String> = std::iter::once([columns, &["class"]].concat().join(",")).chain(rows).collect();
    fs::write(home().join(name), lines.join("\n")).expect("writable");
}

#[test]
fn lists_pictures_and_sequences_become_recipes_that_train() {
    let kinds = [
        ("tags", serde_json::json!({ "list": { "separator": ";", "min_count": 1 } })),
        (
            "photo",
            serde_json::json!({ "picture": { "size": [8, 8], "color": "rgb", "background": "white" } }),
        ),
        ("pulse", serde_json::json!({ "sequence": {} })),
    ];
    let each = kinds.each_ref().map(|(column, _)| (*column, vec![*column]));
    for (name, columns) in each.into_iter().chain([("wide", vec!["rent", "tags", "photo", "pulse"])]) {
        let (table, recipe) = (format!("kinds-{name}.csv"), format!("kinds-{name}.toml"));
        write_kinds(&table, &columns);
        let chosen = json(&["init", &table, "--json"]);
        for (column, kind) in kinds.iter().filter(|(column, _)| columns.contains(column)) {
            assert_eq!(&chosen["keys"]["data"]["columns"][column], kind, "{chosen}");
            let words = format!("\"{column}\" holds ");
            assert!(
                chosen["assumed"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .any(|one| { one.as_str().is_some_and(|sentence| sentence.starts_with(&words)) })
            );
        }
        let output = neural(&["train", &recipe, "--name", &recipe, "--device", device_name(), "--json"], b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let result = lines(&String::from_utf8_lossy(&output.stdout)).pop().expect("a result");
        assert!(result["scores"]["test"]["accuracy"].as_f64().expect("a figure") > 0.9, "{name}: {result}");
    }
    // A recipe without the kinds says which to set.
    let recipe = RECIPES[1].1.replace("trees.csv", "kinds-wide.csv").replace("\"kind\"", "\"class\"");
    fs::write(home().join("kindless.toml"), &recipe).expect("writable");
    let output = neural(&["train", "kindless.toml", "--name", "kindless", "--device", device_name()], b"");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    for words in
        ["\"tags\" = { list = \";\" }", "\"photo\" = { picture = [8, 8] }", "\"pulse\" = \"sequence\""]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    fs::write(home().join("kindless.toml"), recipe.replace("kinds-wide.csv", "kinds-pulse.csv"))
        .expect("writable");
    refuses(
        &["train", "kindless.toml"],
        b"",
        &["got none", "set \"pulse\" = \"sequence\" in [data.columns]"],
    );
}

/// A copy of a run.
fn copied(from: &str, to: &str) {
    let run = home().join("runs").join(to);
    fs::create_dir(&run).expect("writable");
    for entry in fs::read_dir(home().join("runs").join(from)).expect("readable") {
        let path = entry.expect("readable").path();
        fs::copy(&path, run.join(path.file_name().expect("a name"))).expect("copied");
    }
}

#[test]
fn answers_are_widened_by_how_wrong_the_model_is_on_other_rows() {
    copied("prices", "widened");
    copied("trees", "sets");
    let device = ["--device", device_name()];
    let evaluate =
        |run: &str, more: &[&str]| json(&[&["evaluate", run, "--json"], &device[..], more].concat());
    // Of values: 5th smallest of the errors of 6 validation rows, ⌈7 · 0.7⌉.
    let kept = evaluate("runs/widened", &["--conformal", "0.7"])["conformal"].clone();
    let data = folder("prices").recipe().expect("a recipe").data.load().expect("the data");
    let validation = &data.splits.validation;
    let targets = data.targets.values().expect("values").to_f64();
    let outputs = predict(&model("prices"), &data.samples(validation).expect("rows"));
    let error = |(row, output): (&u32, &Vec<f64>)| (targets[*row as usize] - output[0]).abs();
    let mut errors: Vec<f64> = validation.iter().zip(&outputs).map(error).collect();
    errors.sort_by(f64::total_cmp);
    assert_eq!(errors.len(), 6);
    close(&kept["margins"][0], errors[4]);
    let row = &lines(&said(&[&["predict", "runs/widened", "prices.tsv", "--json"], &device[..]].concat()))[0];
    let price = row["price"].as_f64().expect("a number");
    close(&row["interval"][0], price - errors[4]);
    close(&row["interval"][1], price + errors[4]);
    let table = said(&[&["predict", "runs/widened", "prices.tsv", "--csv"], &device[..]].concat());
    assert!(table.starts_with("input,row,price,price_low,price_high\n"), "{table}");
    // The rows for the margins must be there, enough of them, and not trained on.
    let refused = |run: &str, more: &[&str], words: &[&str]| {
        refuses(&[&["evaluate", run], &device[..], more].concat(), b"", words);
    };
    refused("runs/widened", &["--conformal", "0.9"], &["at least 9 rows", "6 validation rows"]);
    refused("runs/sets", &["--conformal", "0.8"], &["validation rows", "--data"]);

    // Of classes: the ⌈41 · 0.8⌉-th smallest of 1 less the probability of the correct one.
    let kept = evaluate("runs/sets", &["--data", "trees.csv", "--conformal", "0.8"])["conformal"].clone();
    let answers = || lines(&said(&[&["predict", "runs/sets", "trees.csv", "--json"], &device[..]].concat()));
    let answered = answers();
    let right = |row: usize| answered[row]["probabilities"][tree(row).3].as_f64().expect("a number");
    let mut wrong: Vec<f64> = (0..40).map(|row| 1.0 - right(row)).collect();
    wrong.sort_by(f64::total_cmp);
    close(&kept["margins"][0], wrong[32]);
    let holds =
        (0..40).filter(|&row| answered[row]["set"].as_array().expect("names").contains(&tree(row).3.into()));
    assert!(holds.count() >= 33);
    assert!(answered.iter().any(|row| row["set"].as_array().map(Vec::len) == Some(1)), "{answered:?}");
    // A file in eight bits gives other answers than the margins are for.
    let export = |more: &[&str]| {
        let words = ["export", "runs/sets", "--to", "onnx", "--out", "sets.onnx"];
        let out = said(&[&words[..], &device[..], more].concat());
        let file = fs::read(home().join("sets.onnx")).expect("a file");
        (out.contains("conformal"), file.windows(16).any(|bytes| bytes == b"neural.conformal"))
    };
    assert_eq!((export(&[]), export(&["--int8"])), ((false, true), (true, false)));
    let output = neural(&["export", "runs/sets", "--to", "onnx", "--calibration-rows", "9"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--int8"));
    // Another temperature makes other probabilities; the same one does not.
    assert!(evaluate("runs/sets", &["--split", "all", "--calibrate=off"])["conformal"].is_object());
    let calibrate = [&["evaluate", "runs/sets", "--split", "all", "--calibrate"], &device[..]].concat();
    let text = said(&calibrate);
    assert!(text.contains("the conformal margins were of other probabilities and are removed"), "{text}");
    assert!(evaluate("runs/sets", &["--split", "all"])["conformal"].is_null());
    assert!(answers()[0]["set"].is_null());
}

/// The data in the page of a run.
fn page(arguments: &[&str], file: &str) -> Value {
    said(&[&["report"], arguments, &["-o", file, "--device", device_name()]].concat());
    let page = fs::read_to_string(home().join(file)).expect("a page");
    assert!(!page.contains("src=\"http") && !page.contains("@import"), "it loads something");
    let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next());
    serde_json::from_str(data.expect("the page's data")).expect("JSON")
}

#[test]
fn a_page_of_a_run_holds_what_evaluation_says() {
    let evaluated = json(&["evaluate", "runs/trees", "--json", "--device", device_name()]);
    let page_of = page(&["runs/trees"], "trees.html");
    let measured = &page_of["runs"][0]["measured"];
    assert_eq!((&measured["part"], &measured["rows"]), (&evaluated["split"], &evaluated["rows"]));
    assert_eq!(measured["classes"]["matrix"], evaluated["confusion"]);
    // The figure is the area under the points of the second class's curve.
    let number = |value: &Value| value.as_f64().expect("a number");
    let points = measured["classes"]["curves"][1].as_array().expect("points");
    let (mut area, mut before) = (0.0, (0.0, 0.0));
    for point in points {
        let here = (number(&point[2]), number(&point[1]));
        area += (here.0 - before.0) * (here.1 + before.1) / 2.0;
        before = here;
    }
    close(&evaluated["roc-auc"], area / (before.0 * before.1));
    let mistakes = evaluated["mistakes"].as_array().expect("mistakes");
    assert_eq!(measured["mistakes"]["total"], mistakes.len());
    assert_eq!(measured["mistakes"]["list"][0]["row"], mistakes[0]["row"]);
    assert_eq!(measured["mistakes"]["list"][0]["cells"][1][0], "bark");

    let both = page(&["runs/prices", "runs/bands"], "both.html");
    let [prices, bands] = [0, 1].map(|i| &both["runs"][i]["measured"]);
    assert_eq!(
        prices["values"]["bins"].as_array().expect("bins").iter().filter_map(Value::as_u64).sum::<u64>(),
        6
    );
    assert!(
        bands["mistakes"]["list"][0]["picture"]
            .as_str()
            .expect("a picture")
            .starts_with("data:image/png;base64,")
    );
    let keys: Vec<&Value> =
        both["differences"].as_array().expect("a list").iter().map(|one| &one["key"]).collect();
    assert!(keys.contains(&&"train.loss".into()) && !keys.contains(&&"train.seed".into()), "{keys:?}");
    assert_eq!(both["runs"][1]["epochs"].as_array().expect("epochs").len(), 6);
}

#[test]
fn a_page_draws_the_model_and_tells_the_columns_and_the_memory() {
    let run = &page(&["runs/trees"], "whole.html")["runs"][0];
    let drawn = run["drawn"].as_str().and_then(|text| text.strip_prefix("data:image/svg+xml;base64,"));
    let drawn = BASE64_STANDARD.decode(drawn.expect("a drawing")).expect("base64");
    let file = home().join("trees-model.svg");
    said(&["summary", "runs/trees", "--plot", &file.display().to_string()]);
    assert_eq!(drawn, fs::read(file).expect("a picture"));

    let heights: Vec<f64> = (0..40).map(|row| tree(row).0).collect();
    let (least, most) =
        (heights.iter().copied().fold(f64::INFINITY, f64::min), heights.iter().copied().fold(0.0, f64::max));
    let column = |name: &str, kind: &str, becomes: &str| serde_json::json!({ "name": name, "kind": kind, "becomes": becomes });
    let expected = [
        column("height", "number", "1 feature"),
        column("bark", "category", "3 features"),
        column("width", "number", "1 feature"),
        column("kind", "target", "2 classes"),
    ];
    assert_eq!(run["columns"], Value::from(expected.to_vec()));
    let cells = &run["measured"]["cells"];
    assert_eq!(
        cells["bark"],
        serde_json::json!({ "missing": 0, "distinct": "3", "values": "rough, smooth, torn" })
    );
    let range = cells["height"]["values"].as_str().expect("a range");
    assert!(range.starts_with(&format!("{least:.4} to {most:.4}, mean ")), "{range}");
    // Without the data, what the run knows.
    let known = &page(&["runs/trees", "--no-evaluation"], "known.html")["runs"][0];
    assert_eq!((&known["columns"], &known["drawn"]), (&run["columns"], &run["drawn"]));
    assert!(
        page(&["runs/bands"], "no-table.html")["runs"][0]["columns"].as_array().is_some_and(Vec::is_empty)
    );

    let history = lines(&fs::read_to_string(home().join("runs/trees/history.jsonl")).expect("a history"));
    let memory: Vec<Option<u64>> = history.iter().map(|epoch| epoch["peak_memory"].as_u64()).collect();
    assert_eq!(run["epochs"], Value::from(history));
    assert!(memory.is_sorted());
    assert!(memory[0].is_some_and(|bytes| bytes > 1 << 24) || !Path::new("/proc/self/status").exists());
    assert!(
        run["trained"].as_str().is_some_and(|text| text.starts_with("on ") && text.ends_with(" s")),
        "{run}"
    );
}

#[test]
fn a_column_is_worth_what_the_model_loses_without_it() {
    let arguments = ["explain", "runs/prices", "--repeats", "400", "--json", "--device", device_name()];
    let explained = json(&arguments);
    assert_eq!(explained, json(&arguments), "the same seed shuffles alike");
    let evaluated = json(&["evaluate", "runs/prices", "--json", "--device", device_name()]);
    close(&explained["base"]["mse"], evaluated["mse"].as_f64().expect("a number"));
    close(&explained["base"]["r2"], evaluated["r2"].as_f64().expect("a number"));
    // Over all permutations, a row gets each row's cell equally often.
    let rows = evaluated["largest_errors"].as_array().expect("all rows");
    let noise = numbers(60, 4);
    let row = |i: usize| -> [f64; 2] {
        let row = rows[i]["row"].as_u64().expect("a row") as usize;
        [noise[2 * row], noise[2 * row + 1]]
    };
    let squared = |column: usize| {
        let pairs = (0..rows.len()).flat_map(|i| (0..rows.len()).map(move |j| (i, j)));
        let samples: Vec<f32> = pairs
            .clone()
            .flat_map(|(i, j)| {
                let mut sample = row(i);
                sample[column] = row(j)[column];
                sample.map(|number| number as f32)
            })
            .collect();
        let outputs =
            predict(&model("prices"), &Array::new(&[samples.len() / 2, 2], samples).expect("numbers"));
        let error = |(output, (i, _)): (&Vec<f64>, (usize, usize))| {
            (output[0] - rows[i]["target"][0].as_f64().expect("a target")).powi(2)
        };
        outputs.iter().zip(pairs).map(error).sum::<f64>() / outputs.len() as f64
    };
    for listed in explained["columns"].as_array().expect("columns") {
        let column = usize::from(listed["column"] == "age");
        let expected = squared(column) - explained["base"]["mse"].as_f64().expect("a number");
        let got = listed["mse"].as_f64().expect("a number");
        assert!((got - expected).abs() < 0.1 * expected.abs() + 1e-3, "{listed}: {expected}");
    }
}

#[test]
fn the_answer_of_a_picture_falls_most_where_what_it_shows_is_covered() {
    let arguments =
        ["explain", "runs/bands", "--pictures", "8", "--patch", "2", "--json", "--device", device_name()];
    let explained = json(&[&arguments[..], &["-o", "bands.png"]].concat());
    let sheet = image::open(home().join("bands.png")).expect("a picture");
    assert!(sheet.width() > 200 && sheet.height() > 200);
    let (samples, _) = test_pictures();
    let probabilities = predict(&model("bands"), &samples);
    let all = explained["pictures"].as_array().expect("a list");
    assert_eq!(all.len(), 8);
    for (i, one) in all.iter().enumerate() {
        let place = i * (TEST / 2 / 8);
        close(&one["figure"], probabilities[place].iter().copied().fold(0.0, f64::max));
        let falls = one["falls"].as_array().expect("rows");
        let fall =
            |row: &Value| row.as_array().expect("numbers").iter().filter_map(Value::as_f64).sum::<f64>();
        let falls: Vec<f64> = falls.iter().map(fall).collect();
        assert_eq!(falls.len(), SIDE);
        // A picture shows its class as two bright rows of pixels.
        let class: usize = one["answer"].as_str().and_then(|name| name.parse().ok()).expect("a class");
        assert_eq!(largest(&falls) / 2, class, "{one}");
    }
    let output = neural(&["explain", "runs/bands", "-o", "bands.gif"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains(".svg or .png"));
}

#[test]
fn the_parts_of_an_answer_are_sums_of_its_slopes() {
    let explain = |run: &str, more: &[&str]| {
        let run = format!("runs/{run}");
        let words = ["explain", &run, "--method", "gradients", "--json", "--device", device_name()];
        json(&[&words[..], more].concat())
    };
    // Of values: slopes by central differences at the midpoints of the path.
    let explained = explain("prices", &["--samples", "3", "--steps", "20", "-o", "prices.svg"]);
    let noise = numbers(60, 4);
    let given = |row: usize| [noise[2 * row], noise[2 * row + 1]];
    let recipe = folder("prices").recipe().expect("a recipe");
    let data = recipe.data.load().expect("the data");
    let train = &data.splits.train;
    let mean = |i: usize| train.iter().map(|&row| given(row as usize)[i]).sum::<f64>() / train.len() as f64;
    let baseline = [mean(0), mean(1)];
    for sample in explained["samples"].as_array().expect("samples") {
        let x = given(sample["row"].as_u64().expect("a row") as usize);
        let mut points = Vec::new();
        for (step, column, side) in
            (0..20).flat_map(|k| [(k, 0, 1.0), (k, 0, -1.0), (k, 1, 1.0), (k, 1, -1.0)])
        {
            let along = (f64::from(step) + 0.5) / 20.0;
            let mut point = [0, 1].map(|i| baseline[i] + along * (x[i] - baseline[i]));
            point[column] += side * 1e-2;
            points.extend(point.map(|number| number as f32));
        }
        let outputs = predict(&model("prices"), &Array::new(&[80, 2], points).expect("numbers"));
        for part in sample["columns"].as_array().expect("columns") {
            let column = usize::from(part["column"] == "age");
            let slope =
                |k: usize| (outputs[4 * k + 2 * column][0] - outputs[4 * k + 2 * column + 1][0]) / 2e-2;
            let expected = (x[column] - baseline[column]) * (0..20).map(slope).sum::<f64>() / 20.0;
            let got = part["part"].as_f64().expect("a number");
            assert!((got - expected).abs() < 1e-3, "{part}: {expected}");
        }
    }
    // For classes and pictures they add up to the difference, whichever of two classes is the answer.
    let sum = |list: &Value| -> f64 {
        let number = |one: &Value| one.as_f64().or(one["part"].as_f64()).unwrap_or_default();
        list.as_array().expect("a list").iter().map(number).sum()
    };
    let difference = |one: &Value| {
        one["figure"].as_f64().unwrap_or(f64::NAN) - one["baseline"].as_f64().unwrap_or(f64::NAN)
    };
    let trees = explain("trees", &["--samples", "12"]);
    let answers: Vec<&Value> =
        trees["samples"].as_array().expect("samples").iter().map(|one| &one["answer"]).collect();
    assert!(answers.contains(&&"oak".into()) && answers.contains(&&"elm".into()), "{answers:?}");
    for one in trees["samples"].as_array().expect("samples") {
        assert!((sum(&one["columns"]) - difference(one)).abs() < 1e-4, "{one}");
    }
    let bands =
        explain("bands", &["--pictures", "4", "--baseline", "mean", "--steps", "300", "-o", "slopes.png"]);
    for one in bands["pictures"].as_array().expect("pictures") {
        let all: f64 = one["parts"].as_array().expect("rows").iter().map(sum).sum();
        assert!((all - difference(one)).abs() < 2e-3, "{all} {}", difference(one));
    }
}

#[test]
fn dependence_is_the_mean_answer_where_all_rows_have_a_value() {
    let words = [
        "explain",
        "runs/trees",
        "--method",
        "dependence",
        "--grid",
        "5",
        "--json",
        "--device",
        device_name(),
    ];
    let explained = json(&[&words[..], &["-o", "trees.svg"]].concat());
    assert_eq!(explained["names"], serde_json::json!(["oak"]));
    let svg = fs::read_to_string(home().join("trees.svg")).expect("a picture");
    assert!(["height", "width", "rough", "smooth", "torn"].iter().all(|name| svg.contains(name)));
    let data = folder("trees").recipe().expect("a recipe").data.load().expect("the data");
    let samples = data.samples(&data.splits.test).expect("rows").to_vec::<f32>().expect("numbers");
    // Features: height, the three kinds of bark, width.
    for one in explained["columns"].as_array().expect("columns") {
        let at = |value: &Value| -> (usize, Vec<f32>) {
            match one["column"].as_str() {
                Some("height") => (0, vec![value.as_f64().expect("a number") as f32]),
                Some("width") => (4, vec![value.as_f64().expect("a number") as f32]),
                _ => (1, ["rough", "smooth", "torn"].map(|name| f32::from(u8::from(value == name))).to_vec()),
            }
        };
        let values = one["values"].as_array().expect("values");
        assert_eq!(values.len(), if one["column"] == "bark" { 3 } else { 5 });
        for (value, means) in values.iter().zip(one["means"].as_array().expect("means")) {
            let (from, features) = at(value);
            let mut changed = samples.clone();
            changed.chunks_mut(5).for_each(|row| row[from..from + features.len()].copy_from_slice(&features));
            let rows = changed.len() / 5;
            let outputs = predict(&model("trees"), &Array::new(&[rows, 5], changed).expect("numbers"));
            close(&means[0], outputs.iter().map(|row| row[0]).sum::<f64>() / rows as f64);
        }
    }
    let only = json(&[&words[..], &["--column", "width"]].concat());
    assert_eq!(only["columns"].as_array().map(Vec::len), Some(1));
    refuses(&["explain", "runs/trees", "--column", "widht"], b"", &["height, bark, width", "widht"]);
    refuses(&["explain", "runs/trees", "--method", "occlusion"], b"", &["pictures and texts", "a table"]);
    refuses(&["explain", "runs/bands", "--repeats", "3"], b"", &["--repeats"]);
}

#[test]
fn runs_are_listed_renamed_and_deleted() {
    let here = tempfile::tempdir().expect("a temporary folder");
    let copy = |name: &str, to: &str| {
        let (from, to) = (home().join("runs").join(name), here.path().join(to));
        fs::create_dir(&to).expect("a folder");
        for file in ["recipe.toml", "history.jsonl", "report.md"] {
            fs::copy(from.join(file), to.join(file)).expect("a file of the run");
        }
        to.to_string_lossy().into_owned()
    };
    let (bands, prices) = (copy("bands", "one"), copy("prices", "two"));
    let parent = here.path().to_string_lossy().into_owned();
    let listed = lines(&said(&["runs", &parent, "--by", "validation-loss", "--json"]));
    let least = |name: &str| {
        let epochs =
            fs::read_to_string(home().join("runs").join(name).join("history.jsonl")).expect("a history");
        let losses = lines(&epochs);
        losses.iter().filter_map(|epoch| epoch["validation"]["loss"].as_f64()).fold(f64::INFINITY, f64::min)
    };
    let mut expected = [(least("bands"), &bands), (least("prices"), &prices)];
    expected.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (listed, (loss, path)) in listed.iter().zip(expected) {
        assert_eq!(
            (&listed["run"], &listed["is_finished"]),
            (&Value::from(path.as_str()), &Value::from(true))
        );
        close(&listed["best"], loss);
    }
    let best = said(&["runs", "best", &parent, "--by", "validation-loss"]);
    assert_eq!(best.trim(), expected[0].1);

    refuses(&["runs", "rename", &bands, "a/b"], b"", &["a name"]);
    refuses(&["runs", "rename", &bands, "two"], b"", &["there already"]);
    said(&["runs", "rename", &bands, "wide"]);
    let wide = here.path().join("wide").to_string_lossy().into_owned();
    refuses(&["runs", "delete", &wide, &parent], b"", &["the folder of a run"]);
    refuses(&["runs", "delete", &wide], b"", &["--yes"]);
    assert!(said(&["runs", "delete", &wide, "--yes"]).contains("removed"));
    assert!(!Path::new(&wide).exists() && Path::new(&prices).exists());
}

/// The lines of a folder's files below `folder`, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("readable").path();
        let text = fs::read_to_string(&path).expect("text");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, text.lines().map(String::from).collect())
    };
    entries.map(file).collect()
}

/// The form of MLflow's file store; `tests/figures/read_mlflow.py` reads one with MLflow itself.
#[test]
fn mlflow_has_the_figures_of_the_history() {
    let store = tempfile::tempdir().expect("a temporary folder");
    let store = store.path().join("ml runs");
    let shown = store.to_string_lossy().into_owned();
    let train = ["train", "bands.toml", "--mlflow", &shown, "--device", device_name(), "--quiet"];
    said(&[&train[..], &["--name", "logged-7", "--epochs", "2"]].concat());
    said(&[&train[..], &["--name", "other"]].concat());
    let experiments = files_named(&store, "meta.yaml");
    assert_eq!(experiments.len(), 2);
    let of = |name: &str| {
        let line = format!("name: \"{name}\"");
        let all = experiments.iter();
        let mut found = all.filter(|path| fs::read_to_string(path).expect("text").lines().any(|l| l == line));
        let experiment = found.next().unwrap_or_else(|| panic!("no {name}")).parent().expect("a folder");
        files_named(experiment, "meta.yaml").remove(0).parent().expect("a folder").to_path_buf()
    };
    let (run, history) = (of("logged"), home().join("runs/logged-7/history.jsonl"));
    let check = |epochs: usize| {
        let history = lines(&fs::read_to_string(&history).expect("a history"));
        assert_eq!(history.len(), epochs);
        let metrics = files(&run.join("metrics"));
        for (name, key) in
            [("loss", "/loss"), ("validation-loss", "/validation/loss"), ("accuracy", "/accuracy")]
        {
            assert_eq!(metrics[name].len(), epochs, "{name}");
            for (line, epoch) in metrics[name].iter().zip(&history) {
                let [time, value, step] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
                assert!(time.parse::<u64>().is_ok_and(|time| time > 1_600_000_000_000), "{line}");
                assert_eq!(value.parse().ok(), epoch.pointer(key).and_then(Value::as_f64), "{name}");
                assert_eq!(step, epoch["number"].to_string());
            }
        }
        let meta = fs::read_to_string(run.join("meta.yaml")).expect("text");
        for line in ["status: 3", "run_name: \"logged-7\"", "lifecycle_stage: active"] {
            assert!(meta.lines().any(|known| known == line), "{line} in {meta}");
        }
        assert!(
            meta.lines().any(
                |line| line.starts_with("artifact_uri: \"file:///") && line.ends_with("/runs/logged-7\"")
            )
        );
        let start = meta.lines().find(|line| line.starts_with("start_time: ")).expect("a time");
        start.to_string()
    };
    let begun = check(2);
    // Going on with the run goes on with MLflow's, whose metrics cover the whole history.
    let resume = ["train", "--resume", "runs/logged-7", "--epochs", "3", "--mlflow", &shown];
    said(&[&resume[..], &["--device", device_name(), "--quiet"]].concat());
    assert_eq!(check(3), begun);
    assert_eq!(of("logged"), run);
    let params = files(&run.join("params"));
    assert_eq!(params["train.batch_size"], ["30"]);
    assert_eq!(params["data.scale"], ["standardize"]);
    assert_eq!(params["train.optimizer.adam.learning_rate"], ["0.02"]);
    assert!(params["model.layers"][0].contains("dense"), "{params:?}");
    assert_eq!(files(&run.join("tags"))["mlflow.runName"], ["logged-7"]);
}

/// The files of this name in the folders of `folder`.
fn files_named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path().join(name));
    entries.filter(|path| path.is_file()).collect()
}

/// Runs the command in its own terminal, made by `script`; returns the terminal's contents and the exit code.
#[cfg(feature = "dashboard")]
fn in_terminal(command: &str) -> Option<(String, Option<i32>)> {
    let script = Command::new("script")
        .args(["--quiet", "--return", "--command", command, "/dev/null"])
        .current_dir(home())
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null())
        .output();
    // Not every machine has it.
    let output = script.ok()?;
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
}

#[cfg(feature = "dashboard")]
#[test]
fn a_dashboard_gives_the_terminal_back() {
    let program = env!("CARGO_BIN_EXE_neural");
    let size = "stty rows 30 cols 100";
    let train = format!("{program} train bands.toml --dashboard --device {}", device_name());
    let (enter, leave) = ("\x1b[?1049h", "\x1b[?1049l");
    let Some((shown, code)) = in_terminal(&format!("{size}; {train} --name shown; stty -a")) else { return };
    assert_eq!(code, Some(0), "{shown}");
    let (before, rest) = shown.split_once(enter).expect("another screen");
    let (drawn, after) = rest.split_once(leave).expect("the first screen again");
    assert!(!before.contains("epoch 1/6"), "{before}");
    assert!(
        drawn.contains("runs/shown on cpu") && drawn.contains("training") && drawn.contains("rows/s"),
        "{drawn}"
    );
    // The run's lines stand there afterwards, with the table, and typed text shows again.
    assert!(
        after.contains("epoch 6/6") && after.contains("weights of epoch") && after.contains("\x1b[?25h"),
        "{after}"
    );
    assert!(after.contains(" echo ") && after.contains(" icanon ") && after.contains("susp = ^Z"), "{after}");

    // After an interrupt too.
    let stop = "timeout --foreground --preserve-status --signal INT 3";
    let stopped = format!("{size}; {stop} {train} --name stopped --epochs 100000; echo ended $?; stty -a");
    let (shown, _) = in_terminal(&stopped).expect("a terminal");
    let after = shown.rsplit(leave).next().unwrap_or_default();
    assert!(
        shown.contains(leave) && after.contains("continue with") && after.contains("ended 130"),
        "{shown}"
    );
    assert!(after.contains(" echo ") && after.contains(" icanon "), "{after}");

    // A file is no terminal.
    let text = said(&["train", "bands.toml", "--dashboard", "--name", "filed", "--device", device_name()]);
    assert!(
        text.contains("no dashboard: standard output is not a terminal\n") && !text.contains('\x1b'),
        "{text}"
    );
}

/// docs/json.md has every key that is printed.
#[test]
fn what_programs_read_is_documented() {
    let page = include_str!("../docs/json.md");
    let known = |key: &str| page.contains(&format!("`{key}`"));
    let train =
        ["train", "bands.toml", "--name", "read", "--epochs", "2", "--device", device_name(), "--json"];
    let mut events = Vec::new();
    for line in lines(&said(&train)) {
        let object = line.as_object().expect("an object");
        events.push(object["event"].as_str().expect("a name").to_string());
        for key in object.keys().chain(events.last()) {
            assert!(known(key), "{key} of {line}");
        }
    }
    events.dedup();
    assert_eq!((&*events[0], &**events.last().expect("an event")), ("start", "result"));
    assert!(["compiled", "progress", "epoch"].iter().all(|event| events.iter().any(|known| known == event)));
    let one = |arguments: &[&str]| {
        let object = json(arguments);
        for key in object.as_object().expect("an object").keys() {
            let is_figure = key.parse::<neural::metric::Metric>().is_ok();
            assert!(known(key) || is_figure, "{key} of {arguments:?}");
        }
        object
    };
    one(&["evaluate", "runs/bands", "--json"]);
    one(&["evaluate", "runs/prices", "--json"]);
    one(&["summary", "runs/bands", "--json"]);
    one(&["data", "bands.toml", "--json"]);
    let compared = one(&["compare", "runs/bands", "runs/trees", "--json"]);
    assert_eq!(compared["runs"][1]["run"], "trees");
    assert_eq!(compared["runs"][0]["epochs"], 6);
    let differ = compared["differences"].as_array().expect("a list");
    let size = differ.iter().find(|one| one["key"] == "train.batch_size").expect("it differs");
    assert_eq!(size["values"], serde_json::json!(["30", "10"]));
}

#[test]
fn shells_and_man_know_the_commands() {
    assert!(said(&["completions", "bash"]).contains("lr-find"));
    let pages = home().join("man");
    assert_eq!(said(&["man", &pages.to_string_lossy()]), "");
    let page = fs::read_to_string(pages.join("neural-train.1")).expect("a page");
    assert!(page.contains("\\-\\-resume"), "{page}");
}

#[test]
fn a_temperature_has_the_least_loss_and_goes_where_the_model_goes() {
    copied("trees", "sure");
    let device = ["--device", device_name()];
    let evaluate = |more: &[&str]| {
        json(&[&["evaluate", "runs/sure", "--split", "all", "--json"], &device[..], more].concat())
    };
    // The probability of oak and whether it was one, of each row.
    let predicted = || -> Vec<(f64, bool, Value)> {
        let rows = lines(&said(&[&["predict", "runs/sure", "trees.csv", "--json"], &device[..]].concat()));
        let of = |(i, row): (usize, &Value)| {
            let oak = row["probabilities"]["oak"].as_f64().expect("a number");
            (oak, tree(i).3 == "oak", row["kind"].clone())
        };
        rows.iter().enumerate().map(of).collect()
    };
    evaluate(&["--threshold", "0.3", "--keep-threshold"]);
    let before = predicted();
    let evaluated = evaluate(&[]);
    assert!(evaluated["temperature"].is_null());
    let loss = |temperature: f64| {
        let of = |(oak, is_oak, _): &(f64, bool, Value)| {
            let score = (oak / (1.0 - oak)).ln() / temperature;
            let p = 1.0 / (1.0 + (-score).exp());
            -(if *is_oak { p } else { 1.0 - p }).ln()
        };
        before.iter().map(of).sum::<f64>() / before.len() as f64
    };
    close(&evaluated["loss"], loss(1.0));
    let calibrated = evaluate(&["--calibrate"]);
    let temperature = calibrated["temperature"].as_f64().expect("a number");
    assert!(loss(temperature) < loss(1.0) - 1e-5, "temperature {temperature}");
    assert!(loss(temperature) <= loss(temperature * 1.01) && loss(temperature) <= loss(temperature / 1.01));
    close(&calibrated["loss"], loss(temperature));

    // The probabilities of predict move with it, and no answer changes, as the threshold moves too.
    for ((oak, _, kind), (then, _, before)) in predicted().iter().zip(&before) {
        let score = (then / (1.0 - then)).ln() / temperature;
        assert!((oak - 1.0 / (1.0 + (-score).exp())).abs() < 1e-5, "{oak} for {then}");
        assert_eq!(kind, before);
    }
    let weight = |name: &str| model(name).value("0.weight").expect("a weight").to_f64()[0];
    assert!((weight("sure") * temperature / weight("trees") - 1.0).abs() < 1e-6);
    assert_eq!(evaluate(&[])["temperature"], calibrated["temperature"], "it is kept");
    // Fitted once more it is the same, not a temperature on top of the calibrated scores.
    let again = evaluate(&["--calibrate"])["temperature"].as_f64().expect("a number");
    assert!((again - temperature).abs() < 1e-9);
    // The run keeps a plain probability, so that its checkpoints can have temperatures that differ.
    let kept = || folder("sure").recipe().expect("a recipe").train.threshold;
    assert_eq!(kept(), 0.3);
    let moved = 1.0 / (1.0 + (-(0.3f64 / 0.7).ln() / temperature).exp());
    close(&evaluate(&[])["threshold"], moved);
    assert_eq!(evaluate(&["--last"])["threshold"], 0.3);
    evaluate(&["--threshold", &moved.to_string(), "--keep-threshold"]);
    assert!((kept() - 0.3).abs() < 1e-12, "{}", kept());
    let off = evaluate(&["--calibrate=off"]);
    assert!(off["temperature"].is_null() && off["loss"] == evaluated["loss"], "{off}");
    refuses(
        &[&["evaluate", "runs/prices", "--calibrate"], &device[..]].concat(),
        b"",
        &["one output of probabilities", "without"],
    );
}

/// A server that is ended with the test.
#[cfg(feature = "serve")]
struct Server {
    child: std::process::Child,
    address: String,
}

#[cfg(feature = "serve")]
impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::of("listening", &[&["serve", "--port", "0", "--device", device_name()], arguments].concat())
    }

    /// Starts a command, and reads its address from the printed line that begins with `word`.
    fn of(word: &str, arguments: &[&str]) -> Self {
        use std::io::{BufRead, BufReader};
        let mut child = Command::new(env!("CARGO_BIN_EXE_neural"))
            .args(arguments)
            .current_dir(home())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            Some(line.strip_prefix(word)?.strip_prefix(" at http://")?.trim_end_matches('/').to_string())
        });
        Self { child, address: address.expect("an address") }
    }

    fn send(&self, head: &str, body: &[u8]) -> std::net::TcpStream {
        let mut stream = std::net::TcpStream::connect(&self.address).expect("a connection");
        let head = format!("{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        let head = if head.contains("host:") { head } else { head.replacen("\r\n", "\r\nhost: here\r\n", 1) };
        // A server that refuses a body does not read it to its end.
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        stream
    }

    fn read(mut stream: std::net::TcpStream) -> (u16, String) {
        use std::io::Read;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_string())
    }

    fn ask(&self, head: &str, body: &[u8]) -> (u16, String) {
        Self::read(self.send(head, body))
    }

    fn predict(&self, model: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let (status, said) =
            self.ask(&format!("POST /v1/models/{model}/predict HTTP/1.1\r\ncontent-type: {kind}"), body);
        (status, serde_json::from_str(&said).expect("JSON"))
    }
}

#[cfg(feature = "serve")]
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(feature = "serve")]
#[test]
fn models_answer_over_http_as_they_predict() {
    let mut server = Server::start(&["runs/trees", "stripes=runs/bands", "--max-body", "0.01"]);
    let row = |row: usize| {
        let (height, bark, width, _) = tree(row);
        serde_json::json!({ "width": width, "bark": bark, "height": height })
    };
    let table = said(&["predict", "runs/trees", "trees.csv", "--json", "--device", device_name()]);
    let expected = lines(&table);
    let close_to = |said: &Value, expected: &Value| {
        assert_eq!(said["kind"], expected["kind"]);
        close(&said["probability"], expected["probability"].as_f64().expect("a number"));
    };
    // Many at once, of one row and of several: each gets its own answer.
    std::thread::scope(|scope| {
        for first in 0..8 {
            let (server, row, expected) = (&server, &row, &expected);
            scope.spawn(move || {
                for from in (first..36).step_by(8) {
                    let rows: Vec<Value> = (from..=from + first % 3).map(row).collect();
                    let body = serde_json::json!({ "rows": rows }).to_string();
                    let (status, said) = server.predict("trees", "application/json", body.as_bytes());
                    assert_eq!(
                        (status, said["predictions"].as_array().map(Vec::len)),
                        (200, Some(rows.len())),
                        "{said}"
                    );
                    for (said, i) in said["predictions"].as_array().expect("a list").iter().zip(from..) {
                        close_to(said, &expected[i]);
                    }
                }
            });
        }
    });
    let mut png = Vec::new();
    let picture = GrayImage::from_raw(SIDE as u32, SIDE as u32, pictures(1, 2).0.concat()).expect("pixels");
    picture.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).expect("a picture");
    fs::write(home().join("one.png"), &png).expect("writable");
    let (status, drawn) = server.predict("stripes", "image/png", &png);
    assert_eq!(status, 200, "{drawn}");
    let one = json(&["predict", "runs/bands", "one.png", "--json", "--device", device_name()]);
    assert_eq!(drawn["predictions"][0]["class"], one["class"]);
    let numbers = serde_json::json!({ "inputs": [picture.into_raw()] }).to_string();
    assert_eq!(server.predict("stripes", "application/json", numbers.as_bytes()).1, drawn);

    let missing = r#"{"rows": [{"height": 3, "bark": "rough"}]}"#;
    for (kind, body, code, word) in [
        ("application/json", "{", 400, "rows"),
        ("application/json", r#"{"rows": []}"#, 400, "1 to 1000 rows"),
        ("application/json", r#"{"rows": [{"size": 3}]}"#, 400, "height, bark, width"),
        ("application/json", r#"{"rows": [{"height": [3]}]}"#, 400, "a list"),
        ("application/json", missing, 400, "width"),
        ("application/json", &"[".repeat(5000), 400, "rows"),
        ("application/json", &" ".repeat(20_000), 413, "bytes"),
        ("image/png", "no picture", 415, "no pictures"),
        ("text/plain", missing, 415, "application/json"),
    ] {
        let (status, said) = server.predict("trees", kind, body.as_bytes());
        assert!(
            status == code && said["error"].as_str().is_some_and(|error| error.contains(word)),
            "{body:.40}: {status} {said}"
        );
    }
    for (body, word) in [
        (r#"{"inputs": [[1, 2], [3]]}"#, "a list of 1 after one of 2"),
        (r#"{"inputs": [[1, 2], [3, 4]]}"#, "got numbers [2, 2]"),
        (r#"{"inputs": [null]}"#, "null"),
        (r#"{"inputs": {"picture": []}}"#, "[sample, …]"),
    ] {
        let (status, said) = server.predict("stripes", "application/json", body.as_bytes());
        assert!(status == 400 && said.to_string().contains(word), "{body}: {said}");
    }
    for (body, word) in [(&b"no picture"[..], "PNG"), (&png[..40], "")] {
        let (status, said) = server.predict("stripes", "image/png", body);
        assert!(status == 400 && said.to_string().contains(word), "{said}");
    }
    assert_eq!(server.ask("GET /v1/models/none/predict HTTP/1.1", b"").0, 404);
    assert_eq!(server.ask("GET /v1/models/trees/predict HTTP/1.1", b"").0, 405);
    assert_eq!(server.ask("GET /health HTTP/1.1", b""), (200, r#"{"status":"ok"}"#.to_string()));
    let described: Value =
        serde_json::from_str(&server.ask("GET /openapi.json HTTP/1.1", b"").1).expect("JSON");
    assert!(
        described["paths"]["/v1/models/stripes/predict"]["post"]["requestBody"]["content"]["image/png"]
            .is_object()
    );
    let metrics = server.ask("GET /metrics HTTP/1.1", b"").1;
    assert!(metrics.contains("neural_requests_total{model=\"trees\",code=\"200\"} 36"), "{metrics}");

    // Requests from before the signal are answered after it.
    let body = serde_json::json!({ "rows": [row(1)] }).to_string();
    let asked: Vec<_> = (0..20)
        .map(|_| {
            server.send(
                "POST /v1/models/trees/predict HTTP/1.1\r\ncontent-type: application/json",
                body.as_bytes(),
            )
        })
        .collect();
    // The last connection is answered only after it was accepted, and so were the earlier ones.
    assert_eq!(server.ask("GET /health HTTP/1.1", b"").0, 200);
    let ended = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().expect("kill");
    assert!(ended.success());
    for stream in asked {
        assert_eq!(Server::read(stream).0, 200);
    }
    assert_eq!(server.child.wait().expect("an end").code(), Some(0));
}

#[cfg(feature = "serve")]
#[test]
fn a_page_shows_runs_while_they_train_and_stops_them() {
    use std::io::{BufRead, BufReader};
    let mut server = Server::of("watch", &["watch", "watched", "--port", "0"]);
    let (address, token) = server.address.split_once("/#").expect("a token");
    let (address, token) = (address.to_string(), token.to_string());
    server.address.clone_from(&address);
    assert!(token.len() == 32 && address.starts_with("127.0.0.1:"), "{address} {token}");
    let ask = |line: &str, more: &str| server.ask(&format!("{line} HTTP/1.1\r\nhost: {address}{more}"), b"");

    let (status, page) = ask("GET /", "");
    assert_eq!(status, 200);
    assert!(page.contains("connect-src 'self'") && !page.contains(&token) && !page.contains("src=\"http"));
    assert_eq!(server.ask("GET / HTTP/1.1\r\nhost: elsewhere.example", b"").0, 403, "another name");
    assert_eq!(ask("GET /nothing", "").0, 404);
    assert_eq!(ask("GET /stop", "").0, 405);

    let stream = server.send(&format!("GET /events HTTP/1.1\r\nhost: {address}"), b"");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("a time");
    let mut stream = BufReader::new(stream).lines().map_while(Result::ok);
    let mut news = || -> Value {
        let line = stream.find_map(|line| line.strip_prefix("data: ").map(String::from)).expect("an event");
        serde_json::from_str(&line).expect("JSON")
    };
    // A run that begins later appears, with its epochs one after another.
    let mut train = Command::new(env!("CARGO_BIN_EXE_neural"))
        .args([
            "train",
            "trees.toml",
            "--runs",
            "watched",
            "--name",
            "long",
            "--epochs",
            "100000000",
            "--quiet",
        ])
        .args(["--device", device_name()])
        .current_dir(home())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut epochs: Vec<Value> = Vec::new();
    let mut is_running = false;
    let add = |run: &Value, epochs: &mut Vec<Value>| {
        assert_eq!(run["id"], "watched/long");
        let from = run["from"].as_u64().expect("a number") as usize;
        assert!(from <= epochs.len());
        epochs.truncate(from);
        epochs.extend(run["epochs"].as_array().expect("a list").clone());
        if from == 0 {
            assert_eq!((&run["name"], &run["keys"]["train.epochs"]), (&"long".into(), &"100000000".into()));
        }
    };
    while !(is_running && epochs.len() > 20) {
        let run = &news()["runs"][0];
        add(run, &mut epochs);
        is_running = run["running"].as_bool().expect("yes or no");
    }
    for more in ["", "\r\nx-token: 0", &format!("\r\nauthorization: {token}")] {
        assert_eq!(ask("POST /stop?run=watched%2Flong", more).0, 403);
    }
    let given = format!("\r\nx-token: {token}");
    assert_eq!(ask("POST /stop?run=watched%2Fother", &given).0, 404);
    assert!(train.try_wait().expect("a child").is_none(), "it goes on without the token");
    let (status, said) = ask("POST /stop?run=watched%2Flong", &given);
    assert_eq!((status, said), (200, format!("{{\"process\":{}}}", train.id())));
    assert_eq!(train.wait().expect("an end").code(), Some(130));
    while is_running {
        let run = &news()["runs"][0];
        add(run, &mut epochs);
        is_running = run["running"].as_bool().expect("yes or no");
    }
    let kept = fs::read_to_string(home().join("watched/long/history.jsonl")).expect("a history");
    assert_eq!(epochs, lines(&kept), "every epoch came, once");
    let (status, said) = ask("POST /stop?run=watched%2Flong", &given);
    assert!(status == 409 && said.contains("ended already"), "{said}");

    fs::remove_dir_all(home().join("watched/long")).expect("removable");
    assert_eq!(news()["gone"], serde_json::json!(["watched/long"]));
    let ended = Command::new("kill").args(["-INT", &server.child.id().to_string()]).status().expect("kill");
    assert!(ended.success() && server.child.wait().expect("an end").code() == Some(0));
}
