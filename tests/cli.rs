//! The command line as a user meets it.

mod common;

use common::device_name;
use neural::runs::{Folder, Which};
use std::path::Path;
use std::process::{Command, Output};

fn neural(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neural"))
        .args(arguments)
        .current_dir(folder)
        // A backtrace has no place in a message, whatever the user's environment asks for.
        .env("RUST_BACKTRACE", "1")
        .output()
        .expect("the program starts")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Checks that the program ends with this code and one line on stderr that holds all of `words`.
fn refuses(arguments: &[&str], folder: &Path, code: i32, words: &[&str]) {
    let output = neural(arguments, folder);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    if code == 1 {
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn the_main_job_prints_a_line_an_epoch_and_the_table() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let folder = runs.path().to_string_lossy();
    let output = neural(&["train", "--epochs", "2", "--device", device_name(), "--runs", &folder], root());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "noise: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().filter(|line| line.starts_with("epoch ")).count(), 2, "{text}");
    assert_eq!(text.matches("compiled training").count(), 1, "{text}");
    assert_eq!(text.matches("compiled evaluation").count(), 1, "{text}");
    for part in ["train", "validation", "test"] {
        assert!(text.lines().any(|line| line.starts_with(part) && line.ends_with('%')), "{text}");
    }
}

#[test]
fn bad_input_gets_one_clear_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writable");
    refuses(&["train"], folder.path(), 1, &["data/mnist", "train-images-idx3-ubyte"]);
    refuses(&["train", "none.toml"], folder.path(), 1, &["none.toml", "No such file"]);
    refuses(&["train", "--device", "gpu"], root(), 1, &["device", "auto, cpu, cuda", "gpu"]);
    refuses(&["train", "--device", "cuda:99"], root(), 1, &["cuda:99: "]);
    refuses(&["train", "--batch-size", "0"], root(), 1, &["batch_size", "got 0"]);
    refuses(&["train", "--lr", "nan"], root(), 1, &["learning_rate", "NaN"]);
    refuses(&["train", "--epochs", "many"], root(), 2, &["--epochs", "many"]);
    refuses(&["train", "--set", "train.epoch=3"], root(), 1, &["epoch", "did you mean epochs"]);
    refuses(&["train", "--set", "epochs"], root(), 1, &["section.key=value"]);
    refuses(&["fly"], root(), 2, &["fly"]);

    let recipe = |layers: &str| {
        format!(
            "[data]\nformat = \"idx\"\npath = \"{}\"\n[model]\nlayers = {layers}\n[train]\nloss = \"softmax-cross-entropy\"\n\
             optimizer = {{ sgd = {{ learning_rate = 1.0 }} }}\n",
            root().join("data/mnist").display()
        )
    };
    write("typo.toml", &recipe("[\n  \"flatten\",\n  { dence = 10 }]"));
    refuses(
        &["train", "typo.toml"],
        folder.path(),
        1,
        &["typo.toml", "line 7", "dence", "did you mean dense"],
    );
    write("zero.toml", &recipe("[\"flatten\", { dense = 0 }]"));
    refuses(&["train", "zero.toml"], folder.path(), 1, &["layer 1 (dense)", "units", "above 0"]);
    write("flat.toml", &recipe("[{ dense = 10 }]"));
    refuses(&["train", "flat.toml"], folder.path(), 1, &["model", "[batch, outputs]", "flatten"]);
    write("few.toml", &recipe("[\"flatten\", { conv = { filters = 2, kernel = [3, 3] } }]"));
    refuses(&["train", "few.toml"], folder.path(), 1, &["layer 1 (conv)", "spatial axes"]);
    write("narrow.toml", &recipe("[\"flatten\", { dense = 9 }]"));
    refuses(&["train", "narrow.toml"], folder.path(), 1, &["model", "each of the 10 classes", ", 9]"]);
    write("negative.toml", &recipe("[\"flatten\", { dense = -1 }]"));
    refuses(&["train", "negative.toml"], folder.path(), 1, &["line 5", "-1", "a whole number of at least 0"]);
    let folder_for_recipe = neural(&["train", "."], folder.path());
    let said = String::from_utf8_lossy(&folder_for_recipe.stderr);
    assert!(!folder_for_recipe.status.success() && said.contains("neural init ."), "{said}");
    std::fs::write(folder.path().join("latin1.toml"), b"[data] # \xe9\n").expect("writable");
    refuses(&["train", "latin1.toml"], folder.path(), 1, &["latin1.toml", "UTF-8"]);
    write("broken.toml", "[data\n");
    refuses(&["train", "broken.toml"], folder.path(), 1, &["broken.toml", "line 1"]);
}

fn idx(shape: &[u32], elements: &[u8]) -> Vec<u8> {
    let sizes = shape.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, 8, shape.len() as u8].into_iter().chain(sizes).chain(elements.iter().copied()).collect()
}

/// NPY version 1.0 of little-endian elements.
fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), elements].concat()
}

/// Tensors x, f32 `[4, 1]`, and y, i32 `[4]`, with the given fields for x in the header.
fn safetensors(x: &str, elements: &[u8]) -> Vec<u8> {
    let header =
        format!(r#"{{"x":{{"dtype":"F32",{x}}},"y":{{"dtype":"I32","shape":[4],"data_offsets":[16,32]}}}}"#);
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), elements].concat()
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(width, height).write_to(&mut file, image::ImageFormat::Png).expect("encoded");
    file.into_inner()
}

/// Each reader on each kind of damage.
#[test]
fn bad_data_gets_one_clear_sentence() {
    let home = tempfile::tempdir().expect("a temporary folder");
    // `bad` replaces a part of good data: a file's contents, or a folder in its place.
    let refused = |format: &str, good: &[(&str, &[u8])], bad: (&str, Option<&[u8]>), words: &[&str]| {
        let folder = tempfile::tempdir_in(home.path()).expect("a temporary folder");
        for (name, contents) in good.iter().filter(|(name, _)| *name != bad.0) {
            std::fs::create_dir_all(folder.path().join(name).parent().expect("a folder")).expect("writable");
            std::fs::write(folder.path().join(name), contents).expect("writable");
        }
        let place = folder.path().join(bad.0);
        std::fs::create_dir_all(place.parent().expect("a folder")).expect("writable");
        match bad.1 {
            Some(contents) => std::fs::write(&place, contents).expect("writable"),
            None => std::fs::create_dir(&place).expect("writable"),
        }
        let path = if good.len() < 2 { &place } else { folder.path() };
        let recipe = format!(
            "data = {{ format = \"{format}\", path = \"{}\" }}\nmodel.layers = [\"flatten\"]\n\
             train = {{ loss = \"hinge\", optimizer = {{ sgd = {{ learning_rate = 1.0 }} }} }}\n",
            path.display()
        );
        std::fs::write(home.path().join("r.toml"), recipe).expect("writable");
        refuses(&["data", "r.toml"], home.path(), 1, words);
    };

    let (images, labels) = (idx(&[4, 2, 2], &[7; 16]), idx(&[4], &[0, 1, 0, 1]));
    let [train_x, train_y] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
    let digits: [(&str, &[u8]); 4] = [
        (train_x, &images),
        (train_y, &labels),
        ("t10k-images-idx3-ubyte", &images),
        ("t10k-labels-idx1-ubyte", &labels),
    ];
    let bad_idx =
        |name, contents: Option<&[u8]>, words: &[&str]| refused("idx", &digits, (name, contents), words);
    bad_idx(train_x, Some(&images[..7]), &[train_x, "ends within it"]);
    bad_idx(train_x, Some(&images[..19]), &[train_x, "[4, 2, 2]", "3 bytes"]);
    bad_idx(train_x, Some(&idx(&[u32::MAX, u32::MAX, 9], &[])), &["4294967295", "no more than 16 bytes"]);
    bad_idx(train_x, Some(&idx(&[4, 2, 3], &[7; 24])), &["[4, 2, 3]", "[4, 2, 2]"]);
    bad_idx(train_x, Some(&idx(&[4, 0, 2], &[])), &["one shape"]);
    bad_idx(train_x, Some(b"\x89PNG\r\n\x1a\n"), &["expected an IDX file"]);
    bad_idx(train_y, Some(&idx(&[3], &[0, 1, 0])), &["each of the 4 images", "got 3"]);
    bad_idx(train_x, None, &[train_x, "got a folder"]);

    let bad_table = |text: &[u8], words: &[&str]| {
        let good: [(&str, &[u8]); 1] = [("t.csv", b"")];
        refused("table", &good, ("t.csv", Some(text)), words);
    };
    bad_table(b"", &["at least one row"]);
    bad_table(b"a,b\n", &["at least one row"]);
    bad_table(b"a,b\n1,x\n2", &["2 cells", "line 3"]);
    bad_table(b"a,a\n1,x\n", &["\"a\" twice"]);
    bad_table(b"a,b\n1,x\n-inf,y\n", &["first line (a, b)", "header = true"]);
    bad_table(b"a,b\n1,x\n2,\xff\n", &["UTF-8", "line 3"]);
    refused("table", &[], ("t.csv", None), &["t.csv", "got a folder"]);

    let picture = png(2, 2);
    let photos: [(&str, &[u8]); 2] = [("a/1.png", &picture), ("b/1.png", &picture)];
    let bad_image =
        |name, contents: Option<&[u8]>, words: &[&str]| refused("images", &photos, (name, contents), words);
    bad_image("b/2.png", Some(&picture[..40]), &["2.png", "cannot be decoded"]);
    bad_image("b/2.png", Some(&png(3, 2)), &["2.png", "[2, 2, 1]", "[2, 3, 1]", "size"]);
    bad_image("b/2.png", Some(b"text"), &["2.png", "PNG or JPEG"]);
    refused(
        "images",
        &[("a/1.png", &picture), ("a/2.png", &picture)],
        ("a/3.png", Some(&picture)),
        &["two classes"],
    );
    let mut vast = picture.clone();
    vast[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    bad_image("b/2.png", Some(&vast), &["2.png", "cannot be decoded"]);

    let record = |label: u8| [vec![label], vec![0; 3072]].concat();
    let both = [record(0), record(1)].concat();
    let names = [1, 2, 3, 4, 5].map(|i| format!("data_batch_{i}.bin"));
    let mut batches: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &both[..])).collect();
    batches.push(("test_batch.bin", &both));
    let bad_cifar = |name, contents: Option<&[u8]>, words: &[&str]| {
        refused("cifar10", &batches, (name, contents), words);
    };
    bad_cifar("test_batch.bin", Some(&[]), &["records of 3073 bytes", "got 0"]);
    bad_cifar("test_batch.bin", Some(&both[..4000]), &["records of 3073 bytes", "got 4000"]);
    bad_cifar("test_batch.bin", Some(&record(10)), &["from 0 to 9", "got 10 in record 0"]);
    bad_cifar("test_batch.bin", None, &["test_batch.bin", "got a folder"]);

    let reals = [0.5f32, 1.0, 2.0, 4.0].map(f32::to_le_bytes).concat();
    let wholes = [0i32, 1, 0, 1].map(i32::to_le_bytes).concat();
    let (x, y) = (npy("<f4", "(4,)", &reals), npy("<i4", "(4,)", &wholes));
    let arrays: [(&str, &[u8]); 2] = [("x.npy", &x), ("y.npy", &y)];
    let bad_npy =
        |name, contents: Option<&[u8]>, words: &[&str]| refused("npy", &arrays, (name, contents), words);
    bad_npy("x.npy", Some(&x[..9]), &["x.npy", "ends within it"]);
    bad_npy("x.npy", Some(&x[..x.len() - 1]), &["x.npy", "[4]", "15 bytes"]);
    bad_npy(
        "x.npy",
        Some(&npy("<f4", "(1099511627776, 1048576)", &reals)),
        &["1099511627776", "no more than"],
    );
    bad_npy("x.npy", Some(&npy("<f4", "(-1,)", &reals)), &["shape", "-1"]);
    bad_npy("x.npy", Some(&npy("<f4", "(4,)", &[f32::NAN.to_le_bytes(); 4].concat())), &["finite", "NaN"]);
    bad_npy("x.npy", Some(&npy("|O", "(4,)", &reals)), &["'|O'"]);
    bad_npy("y.npy", Some(&npy("<i4", "(4,)", &(-1i32).to_le_bytes().repeat(4))), &["two classes", "-1"]);
    bad_npy("y.npy", Some(&npy("<i4", "(4,)", &[0; 16])), &["two classes"]);
    bad_npy("y.npy", Some(&npy("<i4", "(0,)", &[])), &["as many rows", "[0]"]);
    bad_npy("x.npy", None, &["x.npy", "got a folder"]);
    let bad_npz = |contents: &[u8], words: &[&str]| {
        let good: [(&str, &[u8]); 1] = [("a.npz", b"")];
        refused("npy", &good, ("a.npz", Some(contents)), words);
    };
    bad_npz(b"PK\x03\x04", &["NPZ archive"]);
    bad_npz(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", &["the tensors x and y", "got none"]);

    let bad_safetensors = |contents: &[u8], words: &[&str]| {
        let good: [(&str, &[u8]); 1] = [("a.safetensors", b"")];
        refused("safetensors", &good, ("a.safetensors", Some(contents)), words);
    };
    let good = r#""shape":[4,1],"data_offsets":[0,16]"#;
    let elements = [&reals[..], &wholes].concat();
    bad_safetensors(b"abc", &["expected a safetensors file"]);
    bad_safetensors(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), &["expected a safetensors file"]);
    bad_safetensors(&safetensors(good, &elements[..31]), &["expected a safetensors file"]);
    let vast = r#""shape":[4611686018427387904,4],"data_offsets":[0,16]"#;
    bad_safetensors(&safetensors(vast, &elements), &["expected a safetensors file"]);
    bad_safetensors(&safetensors("\"shape\":\"\u{1}\"", &elements), &["expected a safetensors file"]);
    let nan = f32::NAN.to_le_bytes().repeat(4);
    bad_safetensors(&safetensors(good, &[&nan[..], &wholes].concat()), &["finite", "NaN"]);
    bad_safetensors(&safetensors(good, &[&reals[..], &[0; 16]].concat()), &["two classes"]);
    bad_safetensors(&safetensors(good, &[&reals[..], &[0xff; 16]].concat()), &["two classes", "-1"]);
    refused("safetensors", &[], ("a.safetensors", None), &["got a folder"]);
}

/// A second Ctrl-C does not wait for the call of the device that is under way, whose threads still run.
#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_the_process_at_once() {
    use std::io::{BufRead, BufReader, Read};
    let runs = tempfile::tempdir().expect("a temporary folder");
    // All steps of an epoch in one call, which takes seconds.
    let settings = ["--batch-size", "1", "--set", "train.steps_per_call=60000"];
    let mut process = Command::new(env!("CARGO_BIN_EXE_neural"))
        .args(["train", "--device", device_name(), "--runs"])
        .arg(runs.path())
        .args(settings)
        .current_dir(root())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.starts_with("compiled training"))));
    // Before its first call the program still ends by itself.
    std::thread::sleep(std::time::Duration::from_millis(500));
    for _ in 0..2 {
        // SAFETY: the process is a child that was not waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(process.id() as libc::pid_t, libc::SIGINT) }, 0);
        // Two pending signals of one kind are delivered as one.
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let mut said = String::new();
    process.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    // A signal, as of memory that was taken down under a thread, would leave no code.
    assert_eq!(process.wait().expect("it ended").code(), Some(130), "{said}");
    assert_eq!(said, "interrupted; the run's last checkpoint stays\n");
}

#[test]
fn a_run_that_finds_no_room_says_so_and_goes_on_later() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let table: String = (0..40).map(|i| format!("{i},{},{}\n", i * i % 7, i % 2)).collect();
    std::fs::write(home.path().join("t.csv"), format!("a,b,odd\n{table}")).expect("writable");
    let recipe = r#"
        data = { format = "table", path = "t.csv", scale = "standardize-features" }
        model.layers = [{ dense = 400 }, "relu", { dense = 2 }]
        train = { loss = "softmax-cross-entropy", optimizer = { sgd = { learning_rate = 0.1 } }, batch_size = 8, epochs = 2 }
    "#;
    std::fs::write(home.path().join("t.toml"), recipe).expect("writable");
    let train = |arguments: &[&str]| {
        let output =
            neural(&[&["train", "--device", device_name(), "--quiet"], arguments].concat(), home.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let file = |run: &str| std::fs::read(home.path().join("runs").join(run).join("last.safetensors"));
    let state = |run: &str| {
        let folder = Folder::open(home.path().join("runs").join(run)).expect("a run");
        folder.checkpoint(Which::Last).expect("whole").checkpoint
    };
    train(&["t.toml", "--name", "whole"]);
    train(&["t.toml", "--name", "stopped", "--epochs", "1"]);
    let before = file("stopped").expect("there");

    // No file may be larger than 4096 bytes, which is less than a checkpoint.
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let program = env!("CARGO_BIN_EXE_neural");
    let resume = ["train", "--resume", "runs/stopped", "--epochs", "2", "--device", device_name()];
    let output =
        Command::new("sh").args(["-c", limited, program]).args(resume).current_dir(home.path()).output();
    let output = output.expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("error: run runs/stopped: cannot write ") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(file("stopped").expect("there"), before);
    let entries = std::fs::read_dir(home.path().join("runs/stopped")).expect("readable");
    let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    let hidden: Vec<String> = names.filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, [".lock"], "nothing half-written is left");

    train(&["--resume", "runs/stopped"]);
    assert_eq!(state("stopped"), state("whole"));
    // A folder in a checkpoint's place.
    std::fs::remove_file(home.path().join("runs/stopped/last.safetensors")).expect("there");
    std::fs::create_dir(home.path().join("runs/stopped/last.safetensors")).expect("writable");
    refuses(&resume, home.path(), 1, &["last.safetensors", "got a folder", "--restart"]);
}
