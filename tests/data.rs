//! The readers against files of other libraries and of the formats' specifications, and against damaged ones.

use neural::data::cifar::Cifar;
use neural::data::images::{self, Color, Form};
use neural::data::table::Missing;
use neural::data::{self, Dataset, LastBatch, Scale, Scaling, Shuffle, Source, Splits, Targets};
use neural::data::{cifar, epoch_order, idx, npy, safetensors, split};
use neural::{Array, DType, Result};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn hex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn here() -> &'static Path {
    Path::new("file")
}

/// The message of an error, which must hold all of `parts`.
#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert!(!message.contains('\n'), "{message:?} is more than a line");
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, contents) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    folder
}

fn source(toml: &str, path: &Path) -> Result<Dataset, String> {
    let mut source: Source = toml::from_str(toml).map_err(|e| e.to_string())?;
    source.path = path.to_path_buf();
    source.load().map_err(|e| e.to_string())
}

fn numbers(n: u32) -> Vec<u32> {
    (0..n).collect()
}

mod idx_files {
    use super::*;

    fn with_header(kind: u8, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, sizes.len() as u8];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(elements);
        bytes
    }

    /// `gzip.compress(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 250]), mtime=0)` of Python.
    const GZIPPED: &str = "1f8b08000000000002036360e06062606000616646266616d65f007f2a355112000000";

    #[test]
    fn every_type() {
        let read =
            |kind, elements: &[u8], n| idx::decode(here(), &with_header(kind, &[n], elements)).unwrap();
        assert_eq!(read(0x08, &[1, 255], 2), Array::vector(&[1u8, 255]));
        assert_eq!(read(0x09, &[1, 255], 2), Array::vector(&[1i32, -1]));
        assert_eq!(read(0x0B, &[1, 0, 0xff, 0xfe], 2), Array::vector(&[256i32, -2]));
        assert_eq!(read(0x0C, &[0xff, 0xff, 0xff, 0x00], 1), Array::vector(&[-256i32]));
        assert_eq!(read(0x0D, &[0x3f, 0xc0, 0, 0], 1), Array::vector(&[1.5f32]));
        assert_eq!(read(0x0E, &[0xc0, 0x02, 0, 0, 0, 0, 0, 0], 1), Array::vector(&[-2.25f64]));
    }

    #[test]
    fn damaged_files() {
        let read = |bytes: &[u8]| idx::decode(here(), bytes);
        refused(read(&[]), &["file", "header of an IDX file"]);
        refused(read(b"\x89PNG\r\n"), &["starts 00 00", "[89, 50, 4e, 47]"]);
        refused(read(&with_header(0x0A, &[1], &[0])), &["type from 08 to 0e"]);
        refused(read(&with_header(8, &[2, 3], &[0; 5])), &["[2, 3]", "5 bytes", "cut short"]);
        refused(read(&with_header(8, &[2, 3], &[0; 7])), &["[2, 3]", "more than 6 bytes"]);
        refused(
            read(&with_header(8, &[u32::MAX; 2], &[0; 9])),
            &["[4294967295, 4294967295]", "no more than"],
        );
        refused(read(&with_header(0x0E, &[u32::MAX; 200], &[])), &["no more than"]);
        refused(read(&with_header(8, &[0, u32::MAX, u32::MAX, u32::MAX], &[])), &["no more than"]);
        refused(idx::read("/"), &["got a folder"]);
    }

    #[test]
    fn gzip_is_known_by_its_contents() {
        let gzipped = hex(GZIPPED);
        let expected = Array::new(&[2, 3], vec![1u8, 2, 3, 4, 5, 250]).unwrap();
        assert_eq!(idx::decode(here(), &gzipped).unwrap(), expected);
        for cut in 2..gzipped.len() {
            assert!(idx::decode(here(), &gzipped[..cut]).is_err(), "cut to {cut} bytes");
        }
        let mut checksum = gzipped;
        let at = checksum.len() - 8;
        checksum[at] ^= 1;
        refused(idx::decode(here(), &checksum), &["checksum"]);
    }

    fn digits(labels: u32) -> TempDir {
        folder(&[
            ("train-images-idx3-ubyte", &with_header(8, &[3, 1, 2], &[1, 2, 3, 4, 5, 6])),
            ("train-labels-idx1-ubyte", &with_header(8, &[3], &[0, 1, 2])),
            ("t10k-images.idx3-ubyte", &with_header(8, &[5, 1, 2], &[9; 10])),
            ("t10k-labels-idx1-ubyte", &with_header(8, &[labels], &vec![1; labels as usize])),
        ])
    }

    #[test]
    fn four_files_are_one_data_set() {
        let data = data::mnist(digits(5).path()).unwrap();
        assert_eq!(data.inputs.shape(), [8, 1, 2, 1]);
        assert_eq!(data.inputs.bytes()[..7], [1, 2, 3, 4, 5, 6, 9]);
        assert_eq!((data.rows(), data.sample_shape(), data.classes()), (8, &[1, 2, 1][..], Some(3)));
        assert_eq!(data.targets.labels().unwrap(), [0, 1, 2, 1, 1, 1, 1, 1]);
        let whole = Splits { train: vec![0, 1, 2], validation: vec![], test: vec![3, 4, 5, 6, 7] };
        assert_eq!(data.splits, whole);
        let halved = Splits { train: vec![0, 1, 2], validation: vec![3, 4], test: vec![5, 6, 7] };
        assert_eq!(data.clone().halve_test().splits, halved);
        assert_eq!(data.class_counts(&[0, 3, 4]), [1, 2, 0]);
        assert_eq!(data.samples(&[2, 3]).unwrap().bytes(), [5, 6, 9, 9]);
        refused(data.samples(&[8]), &["below 8", "got 8"]);
    }

    #[test]
    fn the_four_files_must_fit_together() {
        refused(data::mnist(digits(4).path()), &["a label for each of the 5 images", "got 4"]);
        let short = digits(5);
        fs::remove_file(short.path().join("train-labels-idx1-ubyte")).unwrap();
        refused(data::mnist(short.path()), &["train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz"]);
        let wide = digits(5);
        fs::write(wide.path().join("t10k-images.idx3-ubyte"), with_header(8, &[5, 1, 3], &[0; 15])).unwrap();
        refused(data::mnist(wide.path()), &["[3, 1, 2]", "[5, 1, 3]"]);
        let mixed = digits(5);
        fs::write(mixed.path().join("train-images-idx3-ubyte"), with_header(8, &[3], &[0; 3])).unwrap();
        refused(data::mnist(mixed.path()), &["images u8[n, height, width]", "got u8[3]"]);
        let alike = digits(5);
        fs::write(alike.path().join("train-labels-idx1-ubyte"), with_header(8, &[3], &[1; 3])).unwrap();
        refused(data::mnist(alike.path()), &["at least two classes", "only \"1\" in 8 rows"]);
    }
}

mod orders {
    use super::*;

    /// A batch of 256 from MNIST: 235 steps, the last of 96 new rows and 160 repeated ones.
    #[test]
    fn the_last_batch_ends_in_three_ways() {
        let rows = numbers(60_000);
        let fill = epoch_order(&rows, 256, LastBatch::Fill, None).unwrap();
        assert_eq!((fill.steps(), fill.rows.len()), (235, 60_160));
        assert_eq!(fill.rows[60_000..], rows[..160]);
        assert_eq!(fill.valid, [256; 235]);
        let mask = epoch_order(&rows, 256, LastBatch::Mask, None).unwrap();
        assert_eq!(mask.rows, fill.rows);
        assert_eq!((&mask.valid[..234], mask.valid[234]), (&[256; 234][..], 96));
        let drop = epoch_order(&rows, 256, LastBatch::Drop, None).unwrap();
        assert_eq!((drop.rows, drop.valid), (rows[..59_904].to_vec(), vec![256; 234]));
    }

    #[test]
    fn a_batch_may_be_larger_than_the_rows() {
        let fill = epoch_order(&[4, 9], 5, LastBatch::Fill, None).unwrap();
        assert_eq!((fill.rows, fill.valid), (vec![4, 9, 4, 9, 4], vec![5]));
        assert_eq!(epoch_order(&[4, 9], 5, LastBatch::Mask, None).unwrap().valid, [2]);
        refused(
            epoch_order(&[4, 9], 5, LastBatch::Drop, None),
            &["batch_size", "at most the 2 rows", "got 5"],
        );
        refused(epoch_order(&[4], 0, LastBatch::Mask, None), &["batch_size", "got 0"]);
        refused(epoch_order(&[4], usize::MAX, LastBatch::Mask, None), &["batch_size", "16777216"]);
        refused(epoch_order(&[], 5, LastBatch::Mask, None), &["at least one row"]);
    }

    /// Expected values: the generator Philox(number=4, width=32) of the Python package randomgen 2.5.1, key = seed,
    /// counter = block + 2^32 + 2^64 epoch, through Lemire's bounded draw and Durstenfeld's shuffle.
    #[test]
    fn a_shuffle_is_the_same_on_every_machine() {
        let shuffled = |seed, epoch| {
            epoch_order(&numbers(10), 10, LastBatch::Mask, Some(Shuffle { seed, epoch })).unwrap().rows
        };
        assert_eq!(shuffled(1, 0), [2, 7, 4, 6, 3, 9, 0, 8, 1, 5]);
        assert_eq!(shuffled(1, 1), [6, 3, 7, 9, 8, 4, 1, 2, 5, 0]);
        assert_eq!(shuffled((1 << 40) + 7, (1 << 33) + 5), [3, 5, 2, 8, 4, 1, 7, 6, 0, 9]);
    }

    #[test]
    fn the_fill_repeats_the_shuffled_order() {
        let order =
            epoch_order(&numbers(10), 4, LastBatch::Fill, Some(Shuffle { seed: 1, epoch: 0 })).unwrap();
        assert_eq!(order.rows, [2, 7, 4, 6, 3, 9, 0, 8, 1, 5, 2, 7]);
    }

    #[test]
    fn balanced_rows_are_equally_many_of_each_class() {
        let labels: Vec<i32> = (0..100).map(|i| if i < 90 { 0 } else { 1 + i % 2 }).collect();
        let rows = data::balanced(&numbers(100), &labels, Shuffle { seed: 3, epoch: 0 }).unwrap();
        let count = |class| rows.iter().filter(|&&row| labels[row as usize] == class).count();
        assert_eq!((count(0), count(1), count(2)), (33, 33, 34));
        let distinct: BTreeSet<u32> = rows.iter().copied().filter(|&row| row < 90).collect();
        assert_eq!(distinct.len(), 33);
        let later = data::balanced(&numbers(100), &labels, Shuffle { seed: 3, epoch: 1 }).unwrap();
        assert_ne!(rows, later);
        refused(data::balanced(&[100], &labels, Shuffle { seed: 0, epoch: 0 }), &["below 100"]);
    }

    proptest! {
        #[test]
        fn every_row_comes_once_and_counts_once(n in 1u32..300, batch in 1usize..70, seed: u64, epoch: u64) {
            let rows: Vec<u32> = (0..n).map(|i| i * 3 + 1).collect();
            let shuffle = Some(Shuffle { seed, epoch });
            let order = epoch_order(&rows, batch, LastBatch::Mask, shuffle).unwrap();
            prop_assert_eq!(order.rows.len(), order.steps() * batch);
            let mut counted = Vec::new();
            for (rows, &valid) in order.rows.chunks(batch).zip(&order.valid) {
                counted.extend_from_slice(&rows[..valid as usize]);
            }
            counted.sort_unstable();
            prop_assert_eq!(counted, rows);
        }
    }
}

mod scalings {
    use super::*;

    fn table() -> Array {
        // The fifth row is not for training.
        let rows = vec![1f32, 10., 5., 2., -3., 5., 4., 0.5, 5., 9., 7., 5., 1e9, 1e9, 1e9];
        Array::new(&[5, 3], rows).unwrap()
    }

    #[track_caller]
    fn close(array: &Array, shape: &[usize], expected: &[f64]) {
        assert_eq!((array.shape(), array.dtype()), (shape, DType::F32));
        for (got, expected) in array.to_f64().iter().zip(expected) {
            assert!((got - expected).abs() <= 1e-6 * expected.abs(), "{array:?}");
        }
    }

    /// Expected values: `StandardScaler` and `MinMaxScaler` of scikit-learn 1.9.1, and NumPy's mean and std of all.
    #[test]
    fn fits_as_other_libraries_do() {
        let fit = |scale| Scaling::fit(&table(), &numbers(4), scale).unwrap();
        let features = fit(Scale::StandardizeFeatures);
        close(&features.mean, &[3], &[4.0, 3.625, 5.0]);
        close(&features.deviation, &[3], &[3.082207, 5.1402213, 1.0]);
        let all = fit(Scale::Standardize);
        close(&all.mean, &[], &[4.208333333333333]);
        close(&all.deviation, &[], &[3.5086698175931135]);
        let unit = fit(Scale::Unit);
        close(&unit.mean, &[3], &[1.0, -3.0, 5.0]);
        close(&unit.deviation, &[3], &[8.0, 13.0, 1.0]);
        assert!(fit(Scale::None).is_none());
    }

    /// The same numbers as bytes: 1, 2, 4, 9 have the mean 4 and the variance (9 + 4 + 0 + 25) / 4.
    #[test]
    fn bytes_are_fitted_exactly() {
        let inputs = Array::new(&[4, 2], vec![1u8, 255, 2, 255, 4, 255, 9, 255]).unwrap();
        let features = Scaling::fit(&inputs, &numbers(4), Scale::StandardizeFeatures).unwrap();
        close(&features.mean, &[2], &[4.0, 255.0]);
        close(&features.deviation, &[2], &[9.5f64.sqrt(), 1.0]);
        let all = Scaling::fit(&inputs, &numbers(4), Scale::Standardize).unwrap();
        close(&all.mean, &[], &[129.5]);
        close(&all.deviation, &[], &[(9.5 / 2.0 + 125.5f64.powi(2)).sqrt()]);
        let unit = Scaling::fit(&inputs, &numbers(4), Scale::Unit).unwrap();
        close(&unit.mean, &[], &[0.0]);
        close(&unit.deviation, &[], &[255.0]);
    }

    #[test]
    fn what_cannot_be_fitted() {
        let fit = |rows: &[u32]| Scaling::fit(&table(), rows, Scale::Standardize);
        refused(fit(&[]), &["at least one training row"]);
        refused(fit(&[5]), &["below 5", "got 5"]);
        let broken = Array::new(&[2, 1], vec![1f32, f32::NAN]).unwrap();
        refused(Scaling::fit(&broken, &[0, 1], Scale::Unit), &["finite", "NaN in row 1"]);
        let wider = Array::new(&[2, 1], vec![1i64, 2]).unwrap();
        refused(Scaling::fit(&wider, &[0, 1], Scale::Standardize), &["u8, i32, f32 or f64", "got i64"]);
        let wide = Array::new(&[2, 1], vec![f32::MIN, f32::MAX]).unwrap();
        refused(Scaling::fit(&wide, &[0, 1], Scale::Unit), &["range of f32"]);
    }

    #[test]
    fn what_is_saved_is_read_back_bit_by_bit() {
        let values = vec![0.1f32, f32::MIN_POSITIVE, -f32::MAX, 1.0 / 3.0];
        let scaling = Scaling {
            mean: Array::vector(&values),
            deviation: Array::vector(&[3.3333333f32, 1e-38, 7.0, 0.7]),
        };
        let text = toml::to_string(&scaling).unwrap();
        assert_eq!(toml::from_str::<Scaling>(&text).unwrap(), scaling);
        let text = serde_json::to_string(&Scaling::none()).unwrap();
        assert_eq!(text, r#"{"shape":[],"mean":[0.0],"deviation":[1.0]}"#);
        for wrong in [
            r#"{"shape":[],"mean":[0.0],"deviation":[0.0]}"#,
            r#"{"shape":[2],"mean":[0.0],"deviation":[1.0]}"#,
            r#"{"shape":[],"mean":[1e300],"deviation":[1.0]}"#,
        ] {
            assert!(serde_json::from_str::<Scaling>(wrong).is_err(), "{wrong}");
        }
    }
}

mod splits {
    use super::*;

    #[test]
    fn a_fraction_of_each_class() {
        let labels: Vec<i32> = (0..100).map(|i| i32::from(i % 10 == 0)).collect();
        let (train, test) = split::fraction("test_fraction", &numbers(100), Some(&labels), 0.2, 1).unwrap();
        let ones = |rows: &[u32]| rows.iter().filter(|&&row| row % 10 == 0).count();
        assert_eq!((train.len(), ones(&train), test.len(), ones(&test)), (80, 8, 20, 2));
        let (_, other) = split::fraction("test_fraction", &numbers(100), Some(&labels), 0.2, 2).unwrap();
        assert_ne!(test, other);
    }

    #[test]
    fn what_cannot_be_split() {
        for fraction in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
            refused(
                split::fraction("test_fraction", &[0, 1], None, fraction, 0),
                &["test_fraction", "below 1"],
            );
        }
        refused(split::fraction("test_fraction", &[0, 1], None, 0.1, 0), &["at least one of 2 rows"]);
        refused(split::fraction("test_fraction", &[0, 1], Some(&[0]), 0.5, 0), &["below 1", "got 1"]);
        refused(split::k_fold(&[0, 1], None, 3, 0, 0), &["folds", "the 2 rows", "got 3"]);
        refused(split::k_fold(&[0, 1], None, 1, 0, 0), &["folds", "got 1"]);
        refused(split::k_fold(&[0, 1], None, 2, 2, 0), &["fold", "from 0 to 1", "got 2"]);
    }

    proptest! {
        #[test]
        fn folds_part_the_rows(labels in prop::collection::vec(0i32..4, 10..80), folds in 2usize..10, seed: u64) {
            let rows = numbers(labels.len() as u32);
            let mut seen = Vec::new();
            for fold in 0..folds {
                let (train, validation) = split::k_fold(&rows, Some(&labels), folds, fold, seed).unwrap();
                prop_assert!(train.is_sorted() && validation.is_sorted());
                prop_assert_eq!(train.len() + validation.len(), rows.len());
                for class in 0..4 {
                    let all = labels.iter().filter(|&&label| label == class).count();
                    let part = validation.iter().filter(|&&row| labels[row as usize] == class).count();
                    prop_assert!(part == all / folds || part == all.div_ceil(folds));
                }
                seen.extend(validation);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, rows);
        }

        #[test]
        fn a_fraction_parts_the_rows(n in 3u32..200, fraction in 0.2..0.8, seed: u64) {
            let (mut rest, part) = split::fraction("f", &numbers(n), None, fraction, seed).unwrap();
            prop_assert_eq!(part.len(), (f64::from(n) * fraction).round() as usize);
            rest.extend(part);
            rest.sort_unstable();
            prop_assert_eq!(rest, numbers(n));
        }
    }
}

mod pictures {
    use super::*;

    // Written by Pillow 13.0.0: [[red, green, blue], [(1, 2, 3), (4, 5, 6), (250, 251, 252)]]; gray
    // [[0, 64, 128], [255, 32, 16]]; and 8 x 8 of 77 as JPEG of quality 90.
    const RGB: &str = "89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000001849444154789c63f8cfc0\
        c000c18c4ccc2cac6cbf7eff0100333e06043faa08b50000000049454e44ae426082";
    const GRAY: &str = "89504e470d0a1a0a0000000d4948445200000003000000020800000000b81f39c60000001049444154789c63647070\
        60f8af200000061d01b1d93b7df30000000049454e44ae426082";
    const JPEG: &str = "ffd8ffe000104a46494600010100000100010000ffdb004300030202030202030303030403030405080505040405\
        0a070706080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffc0000b08000800080101\
        1100ffc40014000100000000000000000000000000000008ffc40014100100000000000000000000000000000000ffda000801010000\
        3f003bbfffd9";

    #[test]
    fn as_they_are_stored() {
        let read = |digits| images::decode(here(), &hex(digits), Form::default()).unwrap();
        assert_eq!(read(GRAY), Array::new(&[2, 3, 1], vec![0u8, 64, 128, 255, 32, 16]).unwrap());
        let rgb = vec![255u8, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3, 4, 5, 6, 250, 251, 252];
        assert_eq!(read(RGB), Array::new(&[2, 3, 3], rgb).unwrap());
        assert_eq!(read(JPEG), Array::full(DType::U8, &[8, 8, 1], 77.0));
    }

    /// Expected values: Pillow's `convert("L")`.
    #[test]
    fn gray_is_luma() {
        let gray = Form { color: Some(Color::Gray), ..Form::default() };
        let picture = images::decode(here(), &hex(RGB), gray).unwrap();
        assert_eq!(picture, Array::new(&[2, 3, 1], vec![76u8, 150, 29, 2, 5, 251]).unwrap());
    }

    #[test]
    fn resized_to_a_samples_shape() {
        let form = Form::of_sample(&[4, 5, 3]).unwrap();
        let picture = images::decode(here(), &hex(JPEG), form).unwrap();
        assert_eq!(picture, Array::full(DType::U8, &[4, 5, 3], 77.0));
        assert_eq!(Form::of_sample(&[4, 5, 1]).unwrap().color, Some(Color::Gray));
        assert_eq!(Form::of_sample(&[784]), None);
        let form = Form { size: Some([0, 5]), ..Form::default() };
        refused(images::decode(here(), &hex(JPEG), form), &["size", "0 x 5"]);
    }

    #[test]
    fn damaged_pictures() {
        let read = |bytes: &[u8]| images::decode(here(), bytes, Form::default());
        refused(read(b"GIF89a"), &["PNG or JPEG"]);
        refused(read(&hex(GRAY)[..60]), &["cannot be decoded"]);
        // A header of 16,000 x 16,000 pixels with a correct checksum, and bytes for six.
        let mut large = hex(RGB);
        large[16..24].copy_from_slice(&[0, 0, 0x3e, 0x80, 0, 0, 0x3e, 0x80]);
        let mut crc = flate2::Crc::new();
        crc.update(&large[12..29]);
        large[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        refused(read(&large), &["cannot be decoded"]);
    }

    #[test]
    fn folders_by_class() {
        let (gray, text) = (hex(GRAY), b"text".to_vec());
        let shapes = folder(&[
            ("b/2.png", &gray),
            ("b/.hidden", &text),
            ("a/10.png", &gray),
            ("a/1.jpg", &gray),
            ("README", &text),
        ]);
        let data = images::folder(shapes.path(), Form::default()).unwrap();
        assert_eq!(data.inputs.shape(), [3, 2, 3, 1]);
        let names = vec!["a".to_string(), "b".to_string()];
        assert_eq!(data.targets, Targets::Classes { labels: vec![0, 0, 1], names });
        assert_eq!(data.splits.train, [0, 1, 2]);

        fs::write(shapes.path().join("b/3.png"), hex(RGB)).unwrap();
        refused(
            images::folder(shapes.path(), Form::default()),
            &["3.png", "[2, 3, 1]", "1.jpg", "[2, 3, 3]", "color"],
        );
        let rgb = Form { color: Some(Color::Rgb), ..Form::default() };
        assert_eq!(images::folder(shapes.path(), rgb).unwrap().inputs.shape(), [4, 2, 3, 3]);
        fs::write(shapes.path().join("b/4.png"), hex(JPEG)).unwrap();
        refused(images::folder(shapes.path(), rgb), &["4.png", "[8, 8, 3]", "size"]);
        fs::write(shapes.path().join("b/4.png"), text).unwrap();
        refused(images::folder(shapes.path(), rgb), &["4.png", "PNG or JPEG"]);
    }

    #[test]
    fn folders_that_are_split_or_empty() {
        let gray = hex(GRAY);
        let files = ["train/a/1", "train/b/1", "train/b/2", "val/b/1", "test/a/1", "test/b/1"];
        let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, &gray[..])).collect();
        let shapes = folder(&files);
        let data = images::folder(shapes.path(), Form::default()).unwrap();
        assert_eq!(data.targets.labels().unwrap(), [0, 1, 1, 1, 0, 1]);
        assert_eq!(data.splits, Splits { train: vec![0, 1, 2], validation: vec![3], test: vec![4, 5] });
        fs::rename(shapes.path().join("test/a"), shapes.path().join("test/c")).unwrap();
        refused(images::folder(shapes.path(), Form::default()), &["classes a, b", "\"c\""]);

        refused(images::folder(folder(&[("x", b"")]).path(), Form::default()), &["got no folder"]);
        refused(
            images::folder(folder(&[("a/.x", b""), ("b/.x", b"")]).path(), Form::default()),
            &["got none"],
        );
        refused(images::folder(folder(&[("a/1", &gray)]).path(), Form::default()), &["two classes"]);
        refused(images::folder("nowhere", Form::default()), &["cannot read nowhere"]);
    }
}

mod cifar_binaries {
    use super::*;

    /// Red, green and blue planes of one value each, except the pixel in row 1, column 2.
    fn record(labels: &[u8]) -> Vec<u8> {
        let mut record = labels.to_vec();
        for (plane, value) in [10, 20, 30].into_iter().enumerate() {
            record.extend([value; 1024]);
            record[labels.len() + plane * 1024 + 32 + 2] = 100 + value;
        }
        record
    }

    #[test]
    fn planes_become_channels() {
        let contents = [record(&[3]), record(&[9])].concat();
        let (pictures, labels) = cifar::decode(here(), &contents, Cifar::Ten).unwrap();
        assert_eq!((pictures.shape(), labels), (&[2, 32, 32, 3][..], vec![3, 9]));
        assert_eq!(pictures.bytes()[..3], [10, 20, 30]);
        assert_eq!(pictures.bytes()[(32 + 2) * 3..][..4], [110, 120, 130, 10]);
        let (_, labels) = cifar::decode(here(), &record(&[19, 99]), Cifar::Hundred).unwrap();
        assert_eq!(labels, [99]);
    }

    #[test]
    fn damaged_files() {
        let read = |bytes: &[u8], which| cifar::decode(here(), bytes, which);
        refused(read(&[], Cifar::Ten), &["records of 3073 bytes", "got 0"]);
        refused(read(&record(&[1])[1..], Cifar::Ten), &["3073", "got 3072"]);
        refused(read(&record(&[10]), Cifar::Ten), &["from 0 to 9", "got 10 in record 0"]);
        refused(read(&record(&[0, 100]), Cifar::Hundred), &["from 0 to 99", "got 100"]);
    }

    #[test]
    fn a_folder_of_batches() {
        let (one, two) = (record(&[1]), record(&[2]));
        let batches = folder(&[
            ("data_batch_1.bin", &one),
            ("data_batch_2.bin", &two),
            ("data_batch_3.bin", &one),
            ("data_batch_4.bin", &two),
            ("data_batch_5.bin", &one),
            ("test_batch.bin", &[two.clone(), one.clone(), one.clone()].concat()),
            ("batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n"),
        ]);
        let data = cifar::read(batches.path(), Cifar::Ten).unwrap();
        assert_eq!(data.targets.labels().unwrap(), [1, 2, 1, 2, 1, 2, 1, 1]);
        assert_eq!(
            (data.splits.train.len(), &data.splits.validation[..], &data.splits.test[..]),
            (5, &[][..], &[5, 6, 7][..])
        );
        assert_eq!(data.classes(), Some(10));
        fs::write(batches.path().join("batches.meta.txt"), "a\n").unwrap();
        refused(cifar::read(batches.path(), Cifar::Ten), &["10 class names", "got 1"]);
        fs::remove_file(batches.path().join("data_batch_4.bin")).unwrap();
        refused(cifar::read(batches.path(), Cifar::Ten), &["data_batch_4.bin", "got none"]);
    }
}

mod numpy {
    use super::*;

    /// As `numpy.save` writes it, in version 1.0 of the format.
    fn file(descr: &str, fortran: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(elements);
        bytes
    }

    // Written by NumPy 2.4.6; PAD stands for blanks that fill the header up.
    const I2: &str = "934e554d5059010076007b276465736372273a20273c6932272c2027666f727472616e5f6f72646572273a2046616c73\
        652c20277368617065273a2028322c2033292c207d PAD0a0100feff030004000500faff";
    const BOOL_V2: &str = "934e554d50590200740000007b276465736372273a20277c6231272c2027666f727472616e5f6f72646572273a20\
        46616c73652c20277368617065273a2028332c292c207d PAD0a010001";
    const F2_V3: &str = "934e554d50590300740000007b276465736372273a20273c6632272c2027666f727472616e5f6f72646572273a2046\
        616c73652c20277368617065273a2028322c2031292c207d PAD0a0038ff7b";
    const BIG_F4: &str = "934e554d5059010076007b276465736372273a20273e6634272c2027666f727472616e5f6f72646572273a204661\
        6c73652c20277368617065273a2028322c292c207d PAD0a3fc00000c0100000";
    /// `numpy.asfortranarray(numpy.arange(24.).reshape(2, 3, 4))`
    const FORTRAN: &str = "934e554d5059010076007b276465736372273a20273c6638272c2027666f727472616e5f6f72646572273a20547275652c20\
        277368617065273a2028322c20332c2034292c207d PAD0a0000000000000000000000000000284000000000000010400000\
        00000000304000000000000020400000000000003440000000000000f03f0000000000002a40000000000000144000000000\
        000031400000000000002240000000000000354000000000000000400000000000002c400000000000001840000000000000\
        32400000000000002440000000000000364000000000000008400000000000002e400000000000001c400000000000003340\
        00000000000026400000000000003740";

    fn saved(digits: &str) -> Vec<u8> {
        let digits = digits.replace("    ", "");
        let (start, end) = digits.split_once(" PAD").unwrap();
        // The elements start at a multiple of 64 bytes.
        let pad = (2 * 128 - start.len() - 2) / 2;
        hex(&format!("{start}{}{end}", "20".repeat(pad)))
    }

    #[test]
    fn files_that_numpy_wrote() {
        let read = |digits| npy::decode(here(), &saved(digits)).unwrap();
        assert_eq!(read(I2), Array::new(&[2, 3], vec![1i32, -2, 3, 4, 5, -6]).unwrap());
        assert_eq!(read(BOOL_V2), Array::vector(&[true, false, true]));
        assert_eq!(read(F2_V3), Array::new(&[2, 1], vec![0.5f32, 65504.0]).unwrap());
        assert_eq!(read(BIG_F4), Array::vector(&[1.5f32, -2.25]));
        assert_eq!(read(FORTRAN), Array::new(&[2, 3, 4], (0..24).map(f64::from).collect()).unwrap());
    }

    #[test]
    fn every_type() {
        let read = |descr: &str, elements: &[u8]| {
            npy::decode(here(), &file(descr, "False", "(1,)", elements)).unwrap()
        };
        assert_eq!(read("'|i1'", &[0xff]), Array::vector(&[-1i32]));
        assert_eq!(read("'|u1'", &[0xff]), Array::vector(&[255u8]));
        assert_eq!(read("'<u2'", &[0xff, 0xff]), Array::vector(&[65535i32]));
        assert_eq!(read("'<i4'", &[0xff; 4]), Array::vector(&[-1i32]));
        assert_eq!(read("'<u4'", &[0xff; 4]), Array::vector(&[u32::MAX]));
        assert_eq!(read("'<i8'", &[0xff; 8]), Array::vector(&[-1i64]));
        assert_eq!(read("'<u8'", &[0xff; 8]), Array::vector(&[u64::MAX]));
        let scalar = npy::decode(here(), &file("'<i4'", "False", "()", &[7, 0, 0, 0])).unwrap();
        assert_eq!(scalar, Array::scalar(7i32));
    }

    /// More rows than are transposed at a time.
    #[test]
    fn large_arrays_with_the_first_index_fastest() {
        let (rows, columns) = (150_001, 3);
        let elements: Vec<u8> = (0..rows * columns).flat_map(|i| (i as u32).to_le_bytes()).collect();
        let got = npy::decode(here(), &file("'<u4'", "True", "(150001, 3)", &elements)).unwrap();
        let at = |i: usize| ((i % columns) * rows + i / columns) as u32;
        assert!(got == Array::new(&[rows, columns], (0..rows * columns).map(at).collect()).unwrap());
    }

    #[test]
    fn damaged_files() {
        let read = |descr: &str, fortran: &str, shape: &str, elements: &[u8]| {
            npy::decode(here(), &file(descr, fortran, shape, elements))
        };
        refused(npy::decode(here(), b"PK"), &["header of an NPY file"]);
        refused(npy::decode(here(), b"PKPKPKPK"), &["NPY file", "NUMPY"]);
        refused(npy::decode(here(), b"\x93NUMPY\x09\x00"), &["version 9"]);
        refused(npy::decode(here(), b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), &["4294967295"]);
        refused(npy::decode(here(), b"\x93NUMPY\x01\x00\x02\x00\xff\xff"), &["UTF-8"]);
        refused(read("'<c8'", "False", "(1,)", &[0; 8]), &["'<c8'", "float32"]);
        refused(read("'<U4'", "False", "(1,)", &[0; 16]), &["'<U4'"]);
        refused(read("[('a', '<f4')]", "False", "(1,)", &[0; 4]), &["'descr'"]);
        refused(read("'<f4'", "Maybe", "(1,)", &[0; 4]), &["'fortran_order'"]);
        refused(read("'<f4'", "False", "(-1,)", &[0; 4]), &["'shape'"]);
        refused(read("'<f4'", "False", "(2,)", &[0; 4]), &["[2]", "got 4 bytes"]);
        refused(read("'<f4'", "False", "(1,)", &[0; 5]), &["more than 4 bytes"]);
        refused(read("'<f4'", "True", "(2, 1)", &[0; 4]), &["[2, 1]", "got 4 bytes"]);
        refused(read("'<f4'", "True", "(1, 1)", &[0; 5]), &["more than 4 bytes"]);
        refused(read("'<f4'", "True", "(4294967296, 4294967296)", &[]), &["no more than"]);
        refused(read("'<f4'", "True", "(0, 4294967296, 4294967296)", &[]), &["no more than"]);
    }

    // numpy.savez_compressed(x_train=uint8 arange(12) as 4 x 3, y_train=[0, 1, 1, 0], x_test=[[7, 8, 9], [1, 1, 1]],
    // y_test=[1, 0]), NumPy 2.4.6
    const NPZ: &str = "504b03042d000000080000002100f62ceb6fffffffffffffffff0b001400785f747261696e2e6e7079010010008c00000\
        00000000052000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a12774b\
        cc294e058a17672416a402f91a263a0ac69a3a0ab50a64032e06462666165636760e4e2e6e00504b03042d000000080000002100d2709d76f\
        fffffffffffffff0b001400795f747261696e2e6e707901001000a0000000000000004b000000000000009bec17ea1b10c9c850c650ad9e92\
        5a9c5ca46ea5a06e9369a1aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a263a9a3a0ab50a14002e0628604\
        4a3610000504b03042d00000008000000210084af5d71ffffffffffffffff0a001400785f746573742e6e7079010010008600000000000000\
        4c000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a12774bcc294e058\
        a17672416a402f91a463a0ac69a3a0ab50a64032e760e4e46464600504b03042d00000008000000210071fb39abffffffffffffffff0a0014\
        00795f746573742e6e707901001000900000000000000048000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a1a\
        ea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a9a3a0ab50a14002e4606540000504b01022d032d000000\
        080000002100f62ceb6f520000008c0000000b0000000000000000000000800100000000785f747261696e2e6e7079504b01022d032d00000\
        0080000002100d2709d764b000000a00000000b000000000000000000000080018f000000795f747261696e2e6e7079504b01022d032d0000\
        0008000000210084af5d714c000000860000000a0000000000000000000000800117010000785f746573742e6e7079504b01022d032d00000\
        008000000210071fb39ab48000000900000000a000000000000000000000080019f010000795f746573742e6e7079504b0506000000000400\
        0400e2000000230200000000";

    pub fn archive() -> Vec<u8> {
        hex(&NPZ.replace(' ', ""))
    }

    #[test]
    fn archives() {
        let file = folder(&[("a.npz", &archive())]);
        let path = file.path().join("a.npz");
        let data = source("format = 'npy'\npath = ''", &path).unwrap();
        assert_eq!(data.inputs.shape(), [6, 3]);
        assert_eq!(data.inputs.bytes()[9..], [9, 10, 11, 7, 8, 9, 1, 1, 1]);
        assert_eq!(data.targets.labels().unwrap(), [0, 1, 1, 0, 1, 0]);
        assert_eq!(data.splits, Splits { train: numbers(4), validation: vec![], test: vec![4, 5] });

        let lacking = source("format = 'npy'\npath = ''\ninputs = 'a'\ntarget = 'b'", &path).unwrap_err();
        assert!(lacking.contains("x_test, x_train, y_test, y_train"), "{lacking}");
        let mut archive = npy::Archive::open(&path).unwrap();
        assert_eq!(archive.array("z").unwrap(), None);
        refused(npy::Archive::new(here(), b"PK\x03\x04".to_vec()), &["NPZ archive"]);
    }

    #[test]
    fn folders_of_arrays() {
        let x = file("'<f8'", "False", "(3,)", &[1.0f64, 2.5, 1e300].map(f64::to_le_bytes).concat());
        let y = file("'<f4'", "False", "(3, 2)", &[1f32, 2., 3., 4., 5., 6.].map(f32::to_le_bytes).concat());
        let arrays = folder(&[("x.npy", &x), ("y.npy", &y)]);
        let load = |settings: &str| source(&format!("format = 'npy'\npath = ''\n{settings}"), arrays.path());
        let message = load("").unwrap_err();
        assert!(message.contains("finite") && message.contains("row 2"), "{message}");

        let x = file("'<f8'", "False", "(3,)", &[1.0f64, 2.5, 1e30].map(f64::to_le_bytes).concat());
        fs::write(arrays.path().join("x.npy"), x).unwrap();
        let data = load("").unwrap();
        assert_eq!(data.inputs, Array::new(&[3, 1], vec![1f32, 2.5, 1e30]).unwrap());
        assert_eq!(
            data.targets,
            Targets::Values(Array::new(&[3, 2], vec![1f32, 2., 3., 4., 5., 6.]).unwrap())
        );
        let Targets::Positions { labels, names } = load("target_kind = 'class'").unwrap().targets else {
            panic!("expected a class at each position");
        };
        assert_eq!((labels.to_vec::<i32>().unwrap(), names.len()), (vec![0, 1, 2, 3, 4, 5], 6));

        let targets = |descr: &str, elements: &[u8]| {
            fs::write(arrays.path().join("y.npy"), file(descr, "False", "(3,)", elements)).unwrap();
            load("")
                .map(|data| data.targets.labels().map(<[i32]>::to_vec))
                .map_err(|e| neural::Error::value("data", "targets", e))
        };
        assert_eq!(targets("'|i1'", &[0, 2, 1]).unwrap(), Some(vec![0, 2, 1]));
        assert_eq!(targets("'|i1'", &[0, 2, 0xff]).unwrap(), Some(vec![1, 2, 0]));
        assert_eq!(targets("'<i4'", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]).unwrap(), Some(vec![0, 0, 1]));
        refused(targets("'|u1'", &[1, 1, 1]), &["two classes"]);
        fs::write(arrays.path().join("y.npy"), file("'|u1'", "False", "(2,)", &[0, 1])).unwrap();
        assert!(load("").unwrap_err().contains("as many rows"));
        fs::remove_file(arrays.path().join("y.npy")).unwrap();
        assert!(load("").unwrap_err().contains("the tensor y that belongs to x"));
    }
}

mod safetensors_files {
    use super::*;

    /// `safetensors.numpy.save` 0.8.0 of x = float32 [[1, 2], [3, 4], [5, 6]], y = float64 [[0.5], [1.5], [2.5]] and
    /// h = float16 [1.5].
    pub fn contents() -> Vec<u8> {
        let header = r#"{"y":{"dtype":"F64","shape":[3,1],"data_offsets":[0,24]},"x":{"dtype":"F32","shape":[3,2],"data_offsets":[24,48]},"h":{"dtype":"F16","shape":[1],"data_offsets":[48,50]}}       "#;
        let elements = "000000000000e03f000000000000f83f00000000000004400000803f0000004000004040000080400000a0400000c040\
            003e";
        [&hex("b000000000000000"), &header.as_bytes()[..176], &hex(&elements.replace(' ', ""))].concat()
    }

    #[test]
    fn a_pair_of_tensors() {
        let file = folder(&[("a.safetensors", &contents())]);
        let path = file.path().join("a.safetensors");
        let data = source("format = 'safetensors'\npath = ''", &path).unwrap();
        assert_eq!(data.inputs, Array::new(&[3, 2], vec![1f32, 2., 3., 4., 5., 6.]).unwrap());
        assert_eq!(data.targets, Targets::Values(Array::new(&[3, 1], vec![0.5f32, 1.5, 2.5]).unwrap()));
        assert_eq!(safetensors::decode(here(), &contents(), "h").unwrap(), Some(Array::vector(&[1.5f32])));
        assert_eq!(safetensors::decode(here(), &contents(), "z").unwrap(), None);
        let lacking =
            source("format = 'safetensors'\npath = ''\ntarget = 'a'\ninputs = 'b'", &path).unwrap_err();
        assert!(lacking.contains("got h, x, y"), "{lacking}");
    }

    #[test]
    fn damaged_files() {
        let all = contents();
        for cut in 0..all.len() {
            refused(safetensors::names(here(), &all[..cut]), &["safetensors file"]);
        }
        let mut long = all;
        long[7] = 0x7f;
        refused(safetensors::decode(here(), &long, "x"), &["safetensors file"]);
    }
}

mod sources {
    use super::*;

    const TABLE: &str =
        "a,b,c\n1,2,no\n2,3,no\n3,4,yes\n4,5,no\n5,6,yes\n6,7,no\n7,8,no\n8,9,yes\n9,1,no\n0,1,yes\n";

    fn load(settings: &str) -> Result<Dataset, String> {
        let file = folder(&[("t.csv", TABLE.as_bytes())]);
        source(&format!("path = ''\n{settings}"), &file.path().join("t.csv"))
    }

    #[test]
    fn splits_and_scales_as_told() {
        let data = load("format = 'table'\nscale = 'standardize-features'\ntest_fraction = 0.2\nvalidation_fraction = 0.25\nstratify = true\nseed = 4").unwrap();
        let Splits { train, validation, test } = &data.splits;
        assert_eq!((train.len(), validation.len(), test.len()), (6, 2, 2));
        let rows: BTreeSet<u32> = train.iter().chain(validation).chain(test).copied().collect();
        assert_eq!(rows.len(), 10);
        assert!(data.class_counts(test).iter().all(|&count| count == 1), "{test:?}");
        let mean = train.iter().map(|&row| data.inputs.to_f64()[2 * row as usize]).sum::<f64>() / 6.0;
        assert!((data.scaling.mean.to_f64()[0] - mean).abs() < 1e-6);
        assert_eq!(data.inputs.to_f64()[..2], [1.0, 2.0], "the inputs themselves are not scaled");

        let data = load("format = 'table'\nfolds = 5\nfold = 4").unwrap();
        assert_eq!((data.splits.train.len(), data.splits.validation.len()), (8, 2));
    }

    #[test]
    fn keys_that_mean_nothing_are_refused() {
        let refused = |settings: &str, parts: &[&str]| {
            let message = load(settings).unwrap_err();
            parts.iter().for_each(|part| assert!(message.contains(part), "{message:?} lacks {part:?}"));
        };
        refused("format = 'table'\nspeed = 3", &["unknown field `speed`", "`seed`"]);
        refused("format = 'tables'", &["unknown variant `tables`", "`table`"]);
        refused("format = 'table'\nmissing = 'mode'", &["unknown variant `mode`"]);
        refused("format = 'table'\nsize = [2, 2]", &["size: expected", "one of [images]", "got table"]);
        refused(
            "format = 'idx'\ntarget = 'x'",
            &["target: expected", "[table, npy, safetensors]", "got idx"],
        );
        refused("format = 'table'\nfold = 1", &["fold: expected the number of folds"]);
        refused("format = 'table'\nfolds = 2\nvalidation_fraction = 0.1", &["folds: expected"]);
        refused(
            "format = 'table'\ntarget = 'a'\nstratify = true\ntest_fraction = 0.5",
            &["stratify", "classes"],
        );
    }

    #[test]
    fn test_rows_of_its_own_stay_together() {
        let file = folder(&[("a.npz", &numpy::archive())]);
        let path = file.path().join("a.npz");
        let data = source("format = 'npy'\npath = ''\nvalidation_fraction = 0.5", &path).unwrap();
        assert_eq!((data.splits.train.len(), data.splits.validation.len()), (2, 2));
        assert_eq!(data.splits.test, [4, 5]);
        let message = source("format = 'npy'\npath = ''\ntest_fraction = 0.5", &path).unwrap_err();
        assert!(message.contains("test_fraction") && message.contains("of its own"), "{message}");
    }

    #[test]
    fn a_source_is_read_back_as_it_was_written() {
        let text = "format = \"table\"\npath = \"a.csv\"\n";
        let mut source: Source = toml::from_str(text).unwrap();
        assert_eq!(source, Source::new(data::Format::Table, "a.csv"));
        assert_eq!(toml::to_string(&source).unwrap(), text);
        source.missing = Missing::Constant(2.0);
        source.ignore = vec!["id".into()];
        source.scale = Scale::Unit;
        assert_eq!(toml::from_str::<Source>(&toml::to_string(&source).unwrap()).unwrap(), source);
    }

    #[test]
    fn formats_are_told_by_what_is_there() {
        let detect = |files: &[&str]| {
            let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, &b""[..])).collect();
            data::Format::detect(folder(&files).path())
        };
        use data::Format::*;
        assert_eq!(detect(&["train-images-idx3-ubyte.gz"]), Some(Idx));
        assert_eq!(detect(&["data_batch_1.bin"]), Some(Cifar10));
        assert_eq!(detect(&["train.bin"]), Some(Cifar100));
        assert_eq!(detect(&["x.npy"]), Some(Npy));
        assert_eq!(detect(&["cat/1.png"]), Some(Images));
        assert_eq!(detect(&["README"]), None);
        assert_eq!(data::Format::detect("a.CSV".as_ref()), Some(Table));
        assert_eq!(data::Format::detect("a.npz".as_ref()), Some(Npy));
        assert_eq!(data::Format::detect("a".as_ref()), None);
    }
}

#[test]
fn a_data_set_must_hold_together() {
    let inputs = || Array::new(&[2, 1], vec![1f32, 2.0]).unwrap();
    let targets = |labels| Targets::numbered(labels).unwrap();
    let splits = |train| Splits { train, ..Splits::default() };
    assert!(Dataset::new(inputs(), targets(vec![0, 1]), splits(vec![0, 1])).is_ok());
    refused(Dataset::new(inputs(), targets(vec![0, 1, 1]), splits(vec![0])), &["2 inputs", "got 3"]);
    refused(Dataset::new(inputs(), targets(vec![0, 1]), splits(vec![2])), &["below 2", "got 2"]);
    refused(Dataset::new(inputs(), targets(vec![0, 1]), splits(vec![])), &["one row for training"]);
    refused(Dataset::new(inputs(), targets(vec![1, 1]), splits(vec![0])), &["two classes"]);
    let unnamed = Targets::Classes { labels: vec![0, 1], names: vec!["a".into()] };
    refused(Dataset::new(inputs(), unnamed, splits(vec![0])), &["classes below 1", "got 1"]);
    let flat = Array::vector(&[1f32, 2.0]);
    refused(Dataset::new(flat, targets(vec![0, 1]), splits(vec![0])), &["[n, sample...]", "f32[2]"]);
    let whole = Array::new(&[2, 1], vec![1i64, 2]).unwrap();
    refused(Dataset::new(whole, targets(vec![0, 1]), splits(vec![0])), &["u8, i32 or f32", "i64[2, 1]"]);
    let infinite = Array::new(&[2, 1], vec![1f32, f32::INFINITY]).unwrap();
    refused(Dataset::new(infinite, targets(vec![0, 1]), splits(vec![0])), &["inputs", "inf in row 1"]);
    let values = Targets::Values(Array::new(&[2, 1], vec![1f32, f32::NAN]).unwrap());
    refused(Dataset::new(inputs(), values, splits(vec![0])), &["targets", "NaN in row 1"]);
    refused(Targets::numbered(vec![0, i32::MAX]), &["classes from 0 to 65535", "2147483647 in row 1"]);
}

/// Contents with some bytes changed, cut away or doubled.
fn damaged(contents: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 0..4);
    (changes, any::<prop::sample::Index>(), 0u8..3).prop_map(move |(changes, at, kind)| {
        let mut contents = contents.clone();
        for (index, value) in changes {
            let at = index.index(contents.len());
            contents[at] = value;
        }
        let at = at.index(contents.len());
        match kind {
            0 => contents.truncate(at),
            1 => contents.extend_from_within(at..),
            _ => {}
        }
        contents
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_binaries_are_refused_or_read(
        idx_bytes in damaged([&[0, 0, 0x0D, 2, 0, 0, 0, 3, 0, 0, 0, 2][..], &[0; 24]].concat()),
        gz in damaged(hex("1f8b08000000000002036360e06062606000616646266616d65f007f2a355112000000")),
        npz in damaged(numpy::archive()),
        tensors in damaged(safetensors_files::contents()),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        for contents in [&idx_bytes, &gz, &noise] {
            if let Ok(array) = idx::decode(here(), contents) {
                prop_assert!(array.bytes().len() <= contents.len() * 1032);
            }
        }
        if let Ok(mut archive) = npy::Archive::new(here(), npz) {
            for name in archive.names() {
                let _ = archive.array(&name);
            }
        }
        for name in ["x", "y", "h"] {
            let _ = safetensors::decode(here(), &tensors, name);
        }
        let _ = npy::decode(here(), &noise);
        let _ = images::decode(here(), &noise, Form::default());
        let _ = cifar::decode(here(), &noise, Cifar::Ten);
    }
}
