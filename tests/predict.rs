//! `neural predict` on every form of data that a model is trained on, against `Model::predict` on the same rows.

mod common;

use common::{device, device_name};
use neural::data::images::{self, Form};
use neural::data::safetensors;
use neural::data::table::{Layout, Table};
use neural::runs::Folder;
use neural::{Array, DType};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// An NPY file of version 1.0.
fn npy(array: &Array) -> Vec<u8> {
    let kind = match array.dtype() {
        DType::U8 => "|u1",
        DType::F32 => "<f4",
        other => panic!("{other} is not written here"),
    };
    let sizes: String = array.shape().iter().map(|size| format!("{size},")).collect();
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes})}}");
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), array.bytes()]
        .concat()
}

fn npz(path: &Path, arrays: &[(&str, &Array)]) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, array) in arrays {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(&npy(array)).unwrap();
    }
    archive.finish().unwrap();
}

fn neural(home: &Path, arguments: &[&str]) -> Output {
    let device = ["--device", device_name()];
    Command::new(env!("CARGO_BIN_EXE_neural"))
        .args(arguments)
        .args(device)
        .current_dir(home)
        .output()
        .expect("the program runs")
}

#[track_caller]
fn said(home: &Path, arguments: &[&str]) -> String {
    let output = neural(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Trains in `runs/one` on data of these keys, with one layer after `before`.
fn trained(home: &Path, data: &str, before: &str, loss: &str, outputs: usize) {
    let recipe = format!(
        "[data]\n{data}\n[model]\nlayers = [{before}{{ dense = {outputs} }}]\n[train]\nloss = \"{loss}\"\n\
         optimizer = {{ sgd = {{ learning_rate = 0.1 }} }}\nbatch_size = 8\nepochs = 2\n"
    );
    fs::write(home.join("one.toml"), recipe).unwrap();
    said(home, &["train", "one.toml", "--name", "one"]);
}

/// The model's outputs for samples.
fn expected(home: &Path, samples: &Array) -> Vec<Vec<f64>> {
    let model = Folder::open(home.join("runs/one")).unwrap().model().unwrap();
    let outputs = model.predict(device(), samples).unwrap();
    outputs.to_f64().chunks_exact(outputs.shape()[1]).map(<[f64]>::to_vec).collect()
}

#[track_caller]
fn close(got: &Value, expected: f64) {
    let got = got.as_f64().expect("a number");
    assert!((got - expected).abs() < 1e-6, "{got} for {expected}");
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    parts.iter().for_each(|part| assert!(said.contains(part), "{said:?} lacks {part:?}"));
}

const ROWS: usize = 24;

/// Rows of three numbers whose first tells the class.
fn numbers() -> (Array, Array) {
    let x = common::numbers(3 * ROWS, 1);
    let y = x.chunks_exact(3).map(|row| if row[0] > 0.0 { 1f32 } else { 0.0 }).collect();
    let x = x.into_iter().map(|value| value as f32).collect();
    (Array::new(&[ROWS, 3], x).unwrap(), Array::new(&[ROWS], y).unwrap())
}

/// A run on numbers in an archive.
fn of_numbers() -> (TempDir, Array) {
    let home = TempDir::new().unwrap();
    let (x, y) = numbers();
    npz(&home.path().join("a.npz"), &[("x", &x), ("y", &y)]);
    trained(home.path(), "format = \"npy\"\npath = \"a.npz\"", "", "softmax-cross-entropy", 2);
    (home, x)
}

#[test]
fn arrays_are_read_as_in_training() {
    let (folder, x) = of_numbers();
    let home = folder.path();
    let expected = expected(home, &x);
    fs::write(home.join("x.npy"), npy(&x)).unwrap();
    fs::write(home.join("x.safetensors"), safetensors::encode(&[("x", &x), ("z", &x)], None).unwrap())
        .unwrap();
    npz(&home.join("other.npz"), &[("samples", &x)]);
    fs::create_dir(home.join("folder")).unwrap();
    fs::write(home.join("folder/x.npy"), npy(&x)).unwrap();
    for file in ["a.npz", "x.npy", "x.safetensors", "other.npz", "folder"] {
        let rows = rows(&said(home, &["predict", "runs/one", file, "--jsonl"]));
        assert_eq!(rows.len(), ROWS, "{file}");
        for (number, (row, expected)) in rows.iter().zip(&expected).enumerate() {
            assert_eq!((&row["input"], &row["row"]), (&file.into(), &number.into()));
            close(&row["probabilities"]["1"], expected[1]);
            assert_eq!(row["y"], if expected[1] > expected[0] { "1" } else { "0" });
        }
    }
    npz(&home.join("two.npz"), &[("b", &x), ("c", &x)]);
    refused(&neural(home, &["predict", "runs/one", "two.npz"]), &["tensor x", "got b, c", "--inputs"]);
    assert_eq!(rows(&said(home, &["predict", "runs/one", "two.npz", "--inputs", "c", "--json"])).len(), ROWS);
}

#[test]
fn answers_go_where_they_are_asked_to_go() {
    let (folder, _) = of_numbers();
    let home = folder.path();
    let csv = said(home, &["predict", "runs/one", "a.npz", "--format", "csv"]);
    assert_eq!(csv.lines().next(), Some("input,row,y,probability_0,probability_1"));
    for (file, form) in [("out.csv", "csv"), ("out.jsonl", "jsonl"), ("out.txt", "text")] {
        let on_screen = said(home, &["predict", "runs/one", "a.npz", "--format", form]);
        assert_eq!(said(home, &["predict", "runs/one", "a.npz", "--output", file]), "");
        assert_eq!(fs::read_to_string(home.join(file)).unwrap(), on_screen);
    }
    // After an error there is the old file, and nothing half-written.
    refused(
        &neural(home, &["predict", "runs/one", "a.npz", "none.npy", "--output", "out.csv"]),
        &["none.npy"],
    );
    assert_eq!(fs::read_to_string(home.join("out.csv")).unwrap(), csv);
    let hidden =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().starts_with('.');
    assert!(!fs::read_dir(home).unwrap().any(hidden));
    refused(
        &neural(home, &["predict", "runs/one", "a.npz", "--output", "no/such/folder.csv"]),
        &["cannot write"],
    );
}

#[test]
fn rows_that_cannot_be_taken_are_named_and_left_out_if_asked() {
    let (folder, x) = of_numbers();
    let home = folder.path();
    let mut values = x.to_vec::<f32>().unwrap();
    values[2 * 3 + 1] = f32::NAN;
    fs::write(home.join("holes.npy"), npy(&Array::new(&[ROWS, 3], values).unwrap())).unwrap();
    refused(&neural(home, &["predict", "runs/one", "holes.npy"]), &["holes.npy", "row 2", "NaN"]);
    let output = neural(home, &["predict", "runs/one", "holes.npy", "--skip-bad", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("skipped: holes.npy: ") && said.contains("NaN in row 2, place 1"), "{said}");
    assert!(said.matches("row ").count() == 2 && said.contains("1 row was left out"), "{said}");
    let rows = rows(&String::from_utf8_lossy(&output.stdout));
    let numbers: Vec<u64> = rows.iter().map(|row| row["row"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..ROWS as u64).filter(|row| *row != 2).collect::<Vec<_>>());

    let pipe = home.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(&neural(home, &["predict", "runs/one", "pipe"]), &["regular file", "got a pipe"]);
    refused(&neural(home, &["predict", "runs/one", "/dev/zero"]), &["regular file", "got a device"]);
}

/// More rows than are read ahead.
#[test]
fn answers_come_in_order_up_to_an_error() {
    const MANY: usize = 4500;
    let (folder, x) = of_numbers();
    let home = folder.path();
    let mut values: Vec<f32> = x.to_vec::<f32>().unwrap().into_iter().cycle().take(3 * MANY).collect();
    let write = |name: &str, values: &[f32]| {
        let array = Array::new(&[MANY, 3], values.to_vec()).unwrap();
        fs::write(home.join(name), npy(&array)).unwrap();
    };
    write("long.npy", &values);
    let answered = |file: &str| {
        let output = neural(home, &["predict", "runs/one", file, "none.npy", "--json"]);
        let numbers = rows(&String::from_utf8_lossy(&output.stdout)).into_iter();
        (numbers.map(|row| row["row"].as_u64().unwrap()).collect::<Vec<_>>(), output)
    };
    let (numbers, output) = answered("long.npy");
    assert_eq!(numbers, (0..MANY as u64).collect::<Vec<_>>());
    refused(&output, &["none.npy"]);
    values[3 * 2300] = f32::NAN;
    write("hole.npy", &values);
    let (numbers, output) = answered("hole.npy");
    assert!(numbers.len() == 2000 && numbers.iter().copied().eq(0..numbers.len() as u64));
    refused(&output, &["hole.npy", "NaN in row 2300"]);
}

#[test]
fn values_are_named_after_their_target() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let (x, y) = numbers();
    npz(&home.join("a.npz"), &[("x", &x), ("price", &y)]);
    trained(home, "format = \"npy\"\npath = \"a.npz\"\ntarget = \"price\"", "", "mean-squared-error", 1);
    let expected = expected(home, &x);
    let csv = said(home, &["predict", "runs/one", "a.npz", "--csv"]);
    assert_eq!(csv.lines().next(), Some("input,row,price"));
    let rows = rows(&said(home, &["predict", "runs/one", "a.npz", "--json"]));
    rows.iter().zip(&expected).for_each(|(row, expected)| close(&row["price"], expected[0]));
    let text = said(home, &["predict", "runs/one", "a.npz"]);
    assert_eq!(text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), ["input", "price"]);
}

/// Pictures of 4 x 4 x 3 with random bytes, brighter in class b.
fn pictures(home: &Path) -> (Vec<String>, Vec<u8>) {
    let (mut names, mut bytes) = (Vec::new(), Vec::new());
    for (i, noise) in common::numbers(48 * 12, 3).chunks_exact(48).enumerate() {
        let (class, light) = if i < 6 { ("a", 60.0) } else { ("b", 180.0) };
        let pixels: Vec<u8> = noise.iter().map(|x| (light + 60.0 * x) as u8).collect();
        let name = format!("shapes/{class}/{i:02}.png");
        fs::create_dir_all(home.join(&name).parent().unwrap()).unwrap();
        image::RgbImage::from_raw(4, 4, pixels.clone()).unwrap().save(home.join(&name)).unwrap();
        names.push(name);
        bytes.extend(pixels);
    }
    (names, bytes)
}

#[test]
fn folders_of_pictures_are_read_as_in_training() {
    let folder = TempDir::new().unwrap();
    let home = folder.path();
    let (names, bytes) = pictures(home);
    trained(
        home,
        "format = \"images\"\npath = \"shapes\"\nscale = \"unit\"",
        "\"flatten\", ",
        "softmax-cross-entropy",
        2,
    );
    let expected = expected(home, &Array::from_bytes(DType::U8, &[12, 4, 4, 3], bytes).unwrap());
    let check = |rows: &[Value]| {
        for row in rows {
            let at = names.iter().position(|name| row["input"] == **name).expect("a picture");
            close(&row["probabilities"]["b"], expected[at][1]);
            assert_eq!(row["class"], if expected[at][1] > 0.5 { "b" } else { "a" });
        }
    };
    let all = rows(&said(home, &["predict", "runs/one", "shapes", "--json"]));
    assert_eq!(all.len(), 12);
    assert!(all.iter().map(|row| &row["input"]).eq(names.iter().map(String::as_str)));
    check(&all);

    fs::write(home.join("shapes/a/03.png"), "no picture").unwrap();
    refused(&neural(home, &["predict", "runs/one", "shapes"]), &["shapes/a/03.png", "PNG or JPEG"]);
    let output = neural(home, &["predict", "runs/one", "shapes", "--skip-bad", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let most = rows(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(most.len(), 11);
    check(&most);
}

#[test]
fn arrays_with_channels_first_are_turned_as_in_training() {
    let folder = TempDir::new().unwrap();
    let home = folder.path();
    let pixels: Vec<u8> =
        common::numbers(8 * 3 * 5 * 6, 2).iter().map(|x| (128.0 + 100.0 * x) as u8).collect();
    let first = Array::from_bytes(DType::U8, &[8, 3, 5, 6], pixels.clone()).unwrap();
    let at = |n: usize, c: usize, y: usize, x: usize| pixels[((n * 3 + c) * 5 + y) * 6 + x];
    let mut turned = Vec::new();
    for n in 0..8 {
        for (y, x) in (0..5).flat_map(|y| (0..6).map(move |x| (y, x))) {
            turned.extend((0..3).map(|c| at(n, c, y, x)));
        }
    }
    let labels = Array::vector(&[0u8, 1, 0, 1, 0, 1, 0, 1]);
    npz(&home.join("a.npz"), &[("x", &first), ("y", &labels)]);
    let recipe = |layout: &str| format!("format = \"npy\"\npath = \"a.npz\"\nscale = \"unit\"\n{layout}");
    let layers = "{ conv = { filters = 2, kernel = [2, 2] } }, \"flatten\", ";
    trained(home, &recipe("layout = \"nchw\""), layers, "softmax-cross-entropy", 2);
    let expected = expected(home, &Array::from_bytes(DType::U8, &[8, 5, 6, 3], turned).unwrap());
    let rows = rows(&said(home, &["predict", "runs/one", "a.npz", "--json"]));
    rows.iter().zip(&expected).for_each(|(row, expected)| close(&row["probabilities"]["1"], expected[1]));

    fs::write(
        home.join("two.toml"),
        fs::read_to_string(home.join("one.toml")).unwrap().replace("layout = \"nchw\"", ""),
    )
    .unwrap();
    refused(&neural(home, &["train", "two.toml"]), &["[8, 3, 5, 6]", "channels first", "layout = \"nchw\""]);
    fs::write(
        home.join("two.toml"),
        fs::read_to_string(home.join("one.toml")).unwrap().replace("nchw", "nhwc"),
    )
    .unwrap();
    assert!(neural(home, &["train", "two.toml"]).status.success());
}

#[test]
fn images_in_idx_files_are_read() {
    let folder = TempDir::new().unwrap();
    let home = folder.path();
    let idx = |sizes: &[u32], elements: &[u8]| {
        let sizes_: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
        [&[0, 0, 8, sizes.len() as u8], &sizes_[..], elements].concat()
    };
    let pixels: Vec<u8> = (0..16 * 4).map(|i| (i * 37 % 256) as u8).collect();
    fs::create_dir(home.join("digits")).unwrap();
    for (part, pixels) in [("train", &pixels[..48]), ("t10k", &pixels[48..])] {
        let n = (pixels.len() / 4) as u32;
        let labels: Vec<u8> = (0..n).map(|i| 1 + (i % 2) as u8).collect();
        fs::write(home.join(format!("digits/{part}-images-idx3-ubyte")), idx(&[n, 2, 2], pixels)).unwrap();
        fs::write(home.join(format!("digits/{part}-labels-idx1-ubyte")), idx(&[n], &labels)).unwrap();
    }
    trained(home, "format = \"idx\"\npath = \"digits\"", "\"flatten\", ", "softmax-cross-entropy", 2);
    let expected =
        expected(home, &Array::from_bytes(DType::U8, &[4, 2, 2, 1], pixels[48..].to_vec()).unwrap());
    for file in ["digits/t10k-images-idx3-ubyte", "digits"] {
        let rows = rows(&said(home, &["predict", "runs/one", file, "--json"]));
        assert_eq!(rows.len(), 4);
        // The classes are the labels that are there.
        rows.iter().zip(&expected).for_each(|(row, expected)| close(&row["probabilities"]["2"], expected[1]));
    }
    let one = images::read(home.join("digits/t10k-images-idx3-ubyte"), Form::default());
    assert!(one.is_err(), "it is no picture");
}

/// Rows with gaps, unseen names and unseen words go through the columns that the run keeps, in every command.
#[test]
fn texts_and_lists_are_read_beside_numbers() {
    let folder = TempDir::new().unwrap();
    let home = folder.path();
    let row = |i: usize| {
        let (review, stayed) = [("warm rooms, good food", "yes"), ("cold rooms and bad food", "no")][i % 2];
        let tags = ["pool;bar", "bar", ""][i % 3];
        format!("\"{review}\",{},{tags},{stayed}\n", 20 + i)
    };
    let guests = "review,age,tags,stayed\n".to_string() + &(0..ROWS).map(row).collect::<String>();
    fs::write(home.join("guests.csv"), guests).unwrap();
    let recipe = r#"
        [data]
        format = "table"
        path = "guests.csv"
        missing = "mean"
        scale = "standardize-features"
        [data.columns]
        review = { text = { vocabulary = 50 } }
        tags = "list"
        [model.nodes]
        known = { from = "input", layers = [{ dense = 4 }, "relu"] }
        read = { from = "review", layers = [{ embedding = { vocabulary = 50, units = 4, padding = 0 } }, "global-avg-pool"] }
        answer = { from = ["known", "read"], join = "concatenate", layers = [{ dense = 2 }] }
        [train]
        loss = "softmax-cross-entropy"
        optimizer = { adam = 0.05 }
        batch_size = 8
        epochs = 20
    "#;
    fs::write(home.join("one.toml"), recipe).unwrap();
    said(home, &["train", "one.toml", "--name", "one"]);
    let new = "tags,review,age\npool;sauna,lovely warm food,\n,,30\nbar,\"cold, cold, bad\",25\n";
    fs::write(home.join("new.csv"), new).unwrap();
    let output = neural(home, &["predict", "runs/one", "new.csv", "--json"]);
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(notes.contains("one row holds a name in column \"tags\""), "{notes}");

    let model = Folder::open(home.join("runs/one")).unwrap().model().unwrap();
    let table = Table::parse(Path::new("new"), new.as_bytes(), &Layout::default()).unwrap();
    let encoded = table.try_encode(&model.description.columns).unwrap();
    let outputs = model.predict_all(device(), &[encoded.features, encoded.inputs[0].1.clone()]).unwrap();
    let rows = rows(&String::from_utf8_lossy(&output.stdout));
    for (row, expected) in rows.iter().zip(outputs[0].to_f64().chunks_exact(2)) {
        close(&row["probabilities"]["yes"], expected[1]);
    }
    let answers: Vec<_> = [0, 2].map(|i: usize| rows[i]["stayed"].as_str().unwrap()).to_vec();
    assert_eq!((rows.len(), answers), (3, vec!["yes", "no"]));

    let evaluated = said(home, &["evaluate", "runs/one", "--data", "guests.csv", "--json"]);
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    assert_eq!(evaluated["rows"], ROWS, "{evaluated}");
    // Its worst mistakes are shown with their probabilities.
    let wrong = fs::read_to_string(home.join("guests.csv")).unwrap().replace(",yes\n", ",?\n");
    let wrong = wrong.replace(",no\n", ",yes\n").replace(",?\n", ",no\n");
    fs::write(home.join("wrong.csv"), wrong).unwrap();
    assert!(said(home, &["evaluate", "runs/one", "--data", "wrong.csv"]).contains("0.00%"));
    let export = ["export", "runs/one", "--to", "onnx", "--out", "one.onnx"];
    let exported =
        Command::new(env!("CARGO_BIN_EXE_neural")).args(export).current_dir(home).output().unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    refused(&neural(home, &["explain", "runs/one"]), &["columns"]);
    fs::write(home.join("lacks.csv"), "tags,age\nbar,30\n").unwrap();
    refused(&neural(home, &["predict", "runs/one", "lacks.csv"]), &["a column \"review\""]);
}

#[test]
fn an_output_without_a_class_takes_no_name_of_one() {
    let home = TempDir::new().unwrap();
    let table: String =
        (0..40).map(|i| format!("{},{}\n", f64::from(i % 7), if i % 2 == 0 { 2 } else { 5 })).collect();
    fs::write(home.path().join("t.csv"), format!("x,y\n{table}")).unwrap();
    let data = "format = \"table\"\npath = \"t.csv\"\ntarget = \"y\"";
    trained(home.path(), data, "", "softmax-cross-entropy", 3);
    let answer = said(home.path(), &["predict", "runs/one", "t.csv", "--json"]);
    let answer = rows(&answer).remove(0);
    let names: Vec<&String> = answer["probabilities"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["2", "5", "output 2"]);
}

#[cfg(unix)]
#[test]
fn a_best_checkpoint_that_is_no_file_is_refused() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("t.csv"), "x,y\n1,a\n2,b\n3,a\n4,b\n5,a\n6,b\n7,a\n8,b\n").unwrap();
    let data = "format = \"table\"\npath = \"t.csv\"\ntarget = \"y\"";
    trained(home.path(), data, "", "softmax-cross-entropy", 2);
    let best = home.path().join("runs/one/best.safetensors");
    fs::remove_file(&best).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &best).unwrap();
    let output = neural(home.path(), &["predict", "runs/one", "t.csv"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && message.contains("best.safetensors"), "{message}");
}
