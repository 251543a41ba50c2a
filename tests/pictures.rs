//! Pictures against Pillow (tests/golden/pictures.py), and folders of them.

use neural::data::images::{self, Background, Color, Form};
use neural::data::{Dataset, Format, Source, Targets, safetensors};
use neural::{Array, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pictures.safetensors");

fn tensor(name: &str) -> Array {
    let contents = fs::read(GOLDEN).unwrap();
    safetensors::decode(Path::new(GOLDEN), &contents, name).unwrap().expect(name)
}

/// A picture's file, and its pixels as Pillow has them.
fn golden(name: &str) -> (Vec<u8>, Array) {
    (tensor(&format!("{name}/file")).bytes().to_vec(), tensor(&format!("{name}/pixels")))
}

fn decode(contents: &[u8], form: Form) -> Result<Array> {
    images::decode(Path::new("picture"), contents, form)
}

/// The pixels differ by `most` levels or less.
#[track_caller]
fn close(got: &Array, expected: &Array, most: i16) {
    assert_eq!(got.shape(), expected.shape());
    let apart = |(a, b): (&u8, &u8)| (i16::from(*a) - i16::from(*b)).abs();
    let largest = got.bytes().iter().zip(expected.bytes()).map(apart).max();
    assert!(largest <= Some(most), "{largest:?} levels apart, {most} allowed");
}

#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn pictures_stand_upright() {
    for orientation in 1..=8 {
        let (file, pixels) = golden(&format!("png-orientation-{orientation}"));
        assert_eq!(decode(&file, Form::default()).unwrap(), pixels, "orientation {orientation}");
    }
    for kind in ["baseline", "progressive", "restart"] {
        let (file, pixels) = golden(&format!("jpeg-{kind}"));
        assert_eq!(pixels.shape(), [24, 16, 3]);
        close(&decode(&file, Form::default()).unwrap(), &pixels, 3);
    }
}

#[test]
fn a_jpeg_that_is_cut_short_is_refused_wherever_the_cut_is() {
    for kind in ["baseline", "progressive", "restart"] {
        let (file, pixels) = golden(&format!("jpeg-{kind}"));
        for cut in 3..file.len() {
            refused(decode(&file[..cut], Form::default()), &["picture: cut short", "end is missing"]);
        }
        // Bytes that cameras write after the picture are not part of it.
        let longer = [&file[..], &[0; 9]].concat();
        close(&decode(&longer, Form::default()).unwrap(), &pixels, 3);
    }
}

#[test]
fn what_is_transparent_shows_the_background() {
    let over = |name: &str, background, form: Form| {
        let (file, pixels) = golden(name);
        close(&decode(&file, Form { background, ..form }).unwrap(), &pixels, 1);
    };
    over("rgba-over-white", Background::White, Form::default());
    over("rgba-over-black", Background::Black, Form::default());
    over("rgba-over-color", Background::Color([200, 100, 7]), Form::default());
    over("la-over-white", Background::White, Form::default());
    over("palette-over-white", Background::White, Form::default());
    // On a background with colours gray gets these.
    let (file, _) = golden("la-over-white");
    let form = Form { background: Background::Color([255, 0, 0]), color: Some(Color::Rgb), size: None };
    let picture = decode(&file, form).unwrap();
    assert_eq!(&picture.bytes()[..3], [255, 0, 0], "the first pixel is transparent");
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    let (file, pixels) = golden("gray-16");
    assert_eq!(decode(&file, Form::default()).unwrap(), pixels);
}

#[test]
fn sizes_change_as_pillow_changes_them() {
    for (height, width) in [(16, 16), (13, 29), (80, 60)] {
        let (file, pixels) = golden(&format!("resized-{height}-{width}"));
        let form = Form { size: Some([height, width]), ..Form::default() };
        close(&decode(&file, form).unwrap(), &pixels, 1);
    }
}

#[test]
fn other_formats_are_named() {
    refused(decode(b"GIF89a", Form::default()), &["PNG or JPEG", "got GIF", "convert it"]);
    refused(decode(b"BM______", Form::default()), &["got BMP"]);
    refused(decode(b"hello", Form::default()), &["got a file that is none"]);
}

/// A folder of copies of one picture.
fn folder(names: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (picture, _) = golden("png-orientation-1");
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &picture).unwrap();
    }
    folder
}

fn read(path: &Path) -> Result<Dataset> {
    images::folder(path, Form::default())
}

fn labels(data: &Dataset) -> &[i32] {
    data.targets.labels().unwrap()
}

#[test]
fn links_are_followed_but_not_in_circles() {
    let elsewhere = folder(&["b/3.png", "4.png"]);
    let shapes = folder(&["a/1.png"]);
    symlink(elsewhere.path().join("b"), shapes.path().join("b")).unwrap();
    symlink(elsewhere.path().join("4.png"), shapes.path().join("a/2.png")).unwrap();
    let data = read(shapes.path()).unwrap();
    assert_eq!(labels(&data), [0, 0, 1]);
    for target in [shapes.path().join("a"), shapes.path().to_path_buf()] {
        let link = shapes.path().join("a/link");
        symlink(target, &link).unwrap();
        refused(read(shapes.path()), &["link to a folder that it lies in", "a/link"]);
        fs::remove_file(link).unwrap();
    }
    symlink("gone.png", shapes.path().join("a/0.png")).unwrap();
    refused(read(shapes.path()), &["cannot read", "a/0.png"]);
}

#[test]
fn folders_within_those_of_classes_belong_to_the_class() {
    let data = read(folder(&["a/1.png", "a/sub/deep/0.png", "b/2.png"]).path()).unwrap();
    assert_eq!(labels(&data), [0, 0, 1]);
    assert_eq!(data.targets.names(), ["a", "b"]);
}

#[test]
fn junk_is_passed_over_and_counted() {
    let shapes = folder(&["a/1.png", "b/1.png"]);
    let junk = [
        "a/Thumbs.db",
        "b/.DS_Store",
        ".DS_Store",
        "README.txt",
        "b/notes.txt",
        "a/._1.png",
        "a/.cache/x.png",
    ];
    for name in junk {
        let path = shapes.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "no picture").unwrap();
    }
    let data = read(shapes.path()).unwrap();
    assert_eq!(data.rows(), 2);
    assert_eq!(
        data.notes,
        [
            "passed over 7 files that are no pictures of a class: .DS_Store (2), ._1.png, .cache, README.txt, Thumbs.db, notes.txt"
        ]
    );
    fs::write(shapes.path().join("b/model.bin"), "no picture").unwrap();
    refused(read(shapes.path()), &["b/model.bin", "PNG or JPEG", "a file that is none"]);
    assert!(read(folder(&["a/1.png", "b/1.png"]).path()).unwrap().notes.is_empty());
}

#[test]
fn parts_go_by_several_names() {
    for validation in ["valid", "val", "validation", "Valid"] {
        let second = format!("{validation}/b/1.png");
        let shapes = folder(&["train/a/1.png", "train/b/1.png", "train/b/2.png", &second, "test/a/1.png"]);
        let data = read(shapes.path()).unwrap();
        assert_eq!(labels(&data), [0, 1, 1, 1, 0]);
        assert_eq!((&data.splits.validation[..], &data.splits.test[..]), (&[3][..], &[4][..]));
        assert_eq!(data.origins.validation, format!("the folder {validation}"));
    }
    refused(
        read(folder(&["train/a/1.png", "val/a/1.png", "valid/a/1.png"]).path()),
        &["val", "valid", "got both"],
    );
    refused(read(folder(&["test/a/1.png", "valid/a/1.png"]).path()), &["a folder train", "got test, valid"]);
    // A file that belongs to no part is reported.
    let data = read(folder(&["train/a/1.png", "train/b/1.png", "unlabelled/1.png"]).path()).unwrap();
    assert_eq!(data.notes, ["passed over 1 file that is no picture of a class: unlabelled"]);
}

#[test]
fn a_class_without_pictures_is_refused() {
    let shapes = folder(&["a/1.png", "b/1.png"]);
    fs::create_dir(shapes.path().join("c")).unwrap();
    refused(read(shapes.path()), &["/c: ", "got none", "remove the folder"]);
}

#[test]
fn pictures_keep_their_order_on_any_number_of_cores() {
    let shapes = TempDir::new().unwrap();
    let names: Vec<String> = (1..=8).map(|i| format!("png-orientation-{i}")).collect();
    for (class, name) in [("a", &names[0]), ("a", &names[1]), ("b", &names[2]), ("b", &names[3])] {
        fs::create_dir_all(shapes.path().join(class)).unwrap();
        fs::write(shapes.path().join(format!("{class}/{name}.png")), golden(name).0).unwrap();
    }
    let data = read(shapes.path()).unwrap();
    let expected: Vec<u8> = names[..4].iter().flat_map(|name| golden(name).1.bytes().to_vec()).collect();
    assert_eq!(data.inputs.bytes(), expected);
    // Of several that are refused, the first is named.
    for name in ["a/x.png", "b/0.png"] {
        fs::write(shapes.path().join(name), "no picture").unwrap();
    }
    for _ in 0..20 {
        refused(read(shapes.path()), &["a/x.png"]);
    }
}

#[test]
fn the_background_is_a_key() {
    let shapes = folder(&["b/1.png"]);
    fs::create_dir(shapes.path().join("a")).unwrap();
    fs::write(shapes.path().join("a/1.png"), golden("rgba-over-color").0).unwrap();
    let keys = "format = 'images'\npath = ''\nsize = [4, 5]\nbackground = { color = [200, 100, 7] }";
    let mut source: Source = toml::from_str(keys).unwrap();
    source.path = shapes.path().into();
    let data = source.load().unwrap();
    close(&data.samples(&[0]).unwrap().reshape(&[4, 5, 3]).unwrap(), &golden("rgba-over-color").1, 1);
    let Targets::Classes { names, .. } = &data.targets else { panic!("classes") };
    assert_eq!(*names, ["a", "b"]);
    let table = Source { background: Background::Black, ..Source::new(Format::Table, "a.csv") };
    refused(table.load(), &["background", "[images]", "got table"]);
}
