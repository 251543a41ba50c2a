//! Targets and splits of data that comes as arrays.

use neural::data::{Dataset, Scale, Source, SplitOrder, Splits, Targets, Task};
use neural::{Array, Result};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// An NPY file of version 1.0.
fn npy(descr: &str, shape: &[usize], elements: &[u8]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size},")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes})}}");
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), elements].concat()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, contents) in files {
        fs::write(folder.path().join(name), contents).unwrap();
    }
    folder
}

fn source(format: &str, keys: &str, path: &Path) -> Source {
    let mut source: Source = toml::from_str(&format!("format = '{format}'\npath = ''\n{keys}")).unwrap();
    source.path = path.to_path_buf();
    source
}

#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

mod targets {
    use super::*;

    /// Four rows of targets, as a loss reads them.
    fn read(targets: &[u8], keys: &str, task: Option<Task>) -> Result<Targets> {
        let x = npy("|u1", &[4, 1], &[1, 2, 3, 4]);
        let arrays = folder(&[("x.npy", &x), ("y.npy", targets)]);
        source("npy", keys, arrays.path()).load_for(task).map(|data| data.targets)
    }

    fn classes(labels: &[i32], names: &[&str]) -> Targets {
        Targets::Classes { labels: labels.to_vec(), names: names.iter().map(ToString::to_string).collect() }
    }

    fn values(shape: &[usize], values: &[f32]) -> Targets {
        Targets::Values(Array::new(shape, values.to_vec()).unwrap())
    }

    const ALL: [Option<Task>; 4] = [Some(Task::Classes), Some(Task::Labels), Some(Task::Values), None];

    #[test]
    fn whole_floats_are_classes_to_a_loss_of_classes() {
        let y = npy("<f4", &[4], &f32s(&[7.0, 3.0, 3.0, 7.0]));
        let of = ALL.map(|task| read(&y, "", task).unwrap());
        let (as_classes, as_values) =
            (classes(&[1, 0, 0, 1], &["3", "7"]), values(&[4, 1], &[7.0, 3.0, 3.0, 7.0]));
        assert_eq!(of, [as_classes.clone(), as_classes.clone(), as_values.clone(), as_values.clone()]);
        assert_eq!(read(&y, "target_kind = 'value'", Some(Task::Classes)).unwrap(), as_values);
        assert_eq!(read(&y, "target_kind = 'class'", None).unwrap(), as_classes);
        // 0 and 1 are recognised as classes without a loss too, as in a table.
        let y = npy("<f8", &[4, 1], &[0.0f64, 1.0, 1.0, 0.0].map(f64::to_le_bytes).concat());
        assert_eq!(read(&y, "", None).unwrap(), classes(&[0, 1, 1, 0], &["0", "1"]));
    }

    #[test]
    fn integers_are_values_to_a_loss_of_values() {
        let y = npy("<i8", &[4], &[-1i64, 5, 5, 2].map(i64::to_le_bytes).concat());
        let as_classes = classes(&[0, 2, 2, 1], &["-1", "2", "5"]);
        let of = ALL.map(|task| read(&y, "", task).unwrap());
        let as_values = values(&[4, 1], &[-1.0, 5.0, 5.0, 2.0]);
        assert_eq!(of, [as_classes.clone(), as_classes.clone(), as_values, as_classes]);
    }

    #[test]
    fn one_hot_rows_are_classes_and_probabilities_are_not() {
        let one_hot = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let y = npy("<f4", &[4, 3], &f32s(&one_hot));
        let as_classes = classes(&[1, 0, 2, 1], &["0", "1", "2"]);
        assert_eq!(read(&y, "", Some(Task::Classes)).unwrap(), as_classes);
        assert_eq!(read(&y, "target_kind = 'class'", None).unwrap(), as_classes);
        // Labels that are independent of each other.
        for task in [Some(Task::Labels), Some(Task::Values), None] {
            assert_eq!(read(&y, "", task).unwrap(), values(&[4, 3], &one_hot));
        }
        let soft = [0.1, 0.9, 0.5, 0.5, 1.0, 0.0, 0.25, 0.75];
        let y = npy("<f4", &[4, 2], &f32s(&soft));
        assert_eq!(read(&y, "", Some(Task::Classes)).unwrap(), values(&[4, 2], &soft));
        refused(read(&y, "target_kind = 'class'", None), &["one class a row", "[4, 2]"]);
    }

    #[test]
    fn fractions_are_no_classes() {
        let y = npy("<f4", &[4], &f32s(&[0.0, 1.0, 0.25, 1.0]));
        refused(read(&y, "", Some(Task::Classes)), &["whole numbers", "0.25 in row 2", "mean-squared-error"]);
        // A probability of yes.
        assert_eq!(read(&y, "", Some(Task::Labels)).unwrap(), values(&[4, 1], &[0.0, 1.0, 0.25, 1.0]));
    }

    #[test]
    fn letters_are_numbered_from_1() {
        let idx = |kind: u8, sizes: &[u32], elements: &[u8]| {
            let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
            [&[0, 0, 8, kind], &sizes[..], elements].concat()
        };
        let letters = folder(&[
            ("train-images-idx3-ubyte", &idx(3, &[4, 1, 1], &[1, 2, 3, 4])),
            ("train-labels-idx1-ubyte", &idx(1, &[4], &[1, 2, 26, 1])),
            ("t10k-images-idx3-ubyte", &idx(3, &[1, 1, 1], &[5])),
            ("t10k-labels-idx1-ubyte", &idx(1, &[1], &[5])),
        ]);
        let data = source("idx", "", letters.path()).load().unwrap();
        assert_eq!(data.targets, classes(&[0, 1, 3, 0, 2], &["1", "2", "5", "26"]));
    }
}

mod splits {
    use super::*;

    /// Ten rows of training and, if asked for, four of the test, with targets that alternate.
    fn load(keys: &str, test: bool) -> Result<Dataset> {
        let rows = |n: u8| npy("|u1", &[usize::from(n), 1], &(0..n).collect::<Vec<_>>());
        let labels = |n: u8| npy("|u1", &[usize::from(n)], &(0..n).map(|i| i % 2).collect::<Vec<_>>());
        let (x, y, x_test, y_test) = (rows(10), labels(10), rows(4), labels(4));
        let files: &[(&str, &[u8])] = match test {
            true => {
                &[("x_train.npy", &x), ("y_train.npy", &y), ("x_test.npy", &x_test), ("y_test.npy", &y_test)]
            }
            false => &[("x.npy", &x), ("y.npy", &y)],
        };
        let arrays = folder(files);
        source("npy", keys, arrays.path()).load()
    }

    fn origins(data: &Dataset) -> Vec<String> {
        data.parts().map(|part| format!("{} {} {}", part.name, part.rows.len(), part.origin)).collect()
    }

    #[test]
    fn test_rows_stay_whole_unless_half_of_them_is_asked_for() {
        let data = load("", true).unwrap();
        assert_eq!(origins(&data), ["train 10 x_train and y_train", "test 4 x_test and y_test"]);
        let data = load("validation = 'half-of-test'", true).unwrap();
        assert_eq!((&data.splits.validation[..], &data.splits.test[..]), (&[10, 11][..], &[12, 13][..]));
        assert_eq!(
            origins(&data)[1..],
            [
                "validation 2 the first half of x_test and y_test",
                "test 2 the second half of x_test and y_test"
            ]
        );
        refused(
            load("validation = 'half-of-test'", false),
            &["validation", "test rows of its own", "0 test rows"],
        );
        refused(
            load("validation = 'half-of-test'\nvalidation_fraction = 0.1", true),
            &["validation", "both"],
        );
        refused(load("validation = 'half-of-test'\nfolds = 2", true), &["validation", "both"]);
    }

    #[test]
    fn every_part_says_where_it_comes_from() {
        let said = |keys| origins(&load(keys, false).unwrap());
        assert_eq!(said(""), ["train 10 all rows"]);
        assert_eq!(
            said("test_fraction = 0.2\nvalidation_fraction = 0.25\nstratify = true\nseed = 3"),
            [
                "train 6 what is left of the other rows",
                "validation 2 25 % of the other rows at random in every class, seed 3",
                "test 2 20 % of the rows at random in every class, seed 3",
            ]
        );
        assert_eq!(
            said("folds = 5\nfold = 1"),
            ["train 8 the other folds", "validation 2 fold 1 of 0 to 4 of the rows, at random, seed 0"]
        );
        // The words alone do not tell the contents of a file.
        let half: Vec<u32> = (10..12).collect();
        let data = load("validation = 'half-of-test'", true).unwrap();
        assert_eq!(data.parts().nth(1).unwrap().rows, half);
    }

    #[test]
    fn ordered_parts_lie_in_the_order_of_time() {
        let data = load("split = 'ordered'\ntest_fraction = 0.2\nvalidation_fraction = 0.25", false).unwrap();
        let expected = Splits { train: (0..6).collect(), validation: vec![6, 7], test: vec![8, 9] };
        assert_eq!(data.splits, expected);
        assert!(data.origins.test.contains("the last 20 % of the rows"), "{:?}", data.origins);
        // The scaling knows nothing of later rows.
        let source = Source { scale: Scale::Standardize, split: SplitOrder::Ordered, ..half_for_the_test() };
        let rows = folder(&[
            ("x.npy", &npy("<f4", &[4], &f32s(&[1.0, 3.0, 50.0, 70.0]))),
            ("y.npy", &npy("|u1", &[4], &[0, 1, 1, 0])),
        ]);
        let data = Source { path: rows.path().into(), ..source }.load().unwrap();
        assert_eq!(data.scaling.mean.to_f64(), [2.0]);
        refused(load("split = 'ordered'", false), &["split", "test_fraction or validation_fraction"]);
        refused(
            load("split = 'ordered'\nvalidation_fraction = 0.5\nstratify = true", false),
            &["stratify", "both"],
        );
        refused(load("split = 'ordered'\ntest_fraction = 0.5\nfolds = 2", false), &["folds", "both"]);
        refused(load("split = 'ordered'\ntest_fraction = 1.5", false), &["test_fraction", "below 1"]);
    }

    fn half_for_the_test() -> Source {
        source("npy", "test_fraction = 0.5", Path::new(""))
    }
}

/// Seconds since 1970 as f64: f32 would leave 5 of 600 values.
#[test]
fn rounding_that_makes_values_one_is_said() {
    let seconds: Vec<f64> = (0..600).map(|i| 1.7e9 + f64::from(i)).collect();
    let bytes = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let y = npy("|u1", &[600], &[0, 1].repeat(300));
    let notes = |values: &[f64]| {
        let files = folder(&[("x.npy", &npy("<f8", &[600, 1], &bytes(values))), ("y.npy", &y)]);
        source("npy", "", files.path()).load().unwrap().notes
    };
    let said = notes(&seconds);
    assert!(said[0].contains("1700000000 to 1700000599") && said[0].contains("multiples of 128"), "{said:?}");
    let minutes: Vec<f64> = seconds.iter().map(|second| (second - 1.7e9) / 60.0).collect();
    assert!(notes(&minutes).is_empty());
}
