//! The original's runs: its printed lines and its numbers.

mod common;

use common::device_name;
use std::path::PathBuf;
use std::process::Command;

/// Runs one of the programs in scripts/ and returns its output.
fn program(name: &str, arguments: &[&str]) -> String {
    let target = PathBuf::from(env!("CARGO_BIN_EXE_neural"));
    let path = target.with_file_name("examples").join(name);
    let output = Command::new(&path)
        .args(arguments)
        .args(["--device", device_name()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", path.display()));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{name} said: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The number that follows `label` in `text`.
fn number(text: &str, label: &str) -> f64 {
    let from = text.find(label).unwrap_or_else(|| panic!("{label:?} is not in {text:?}")) + label.len();
    let rest = &text[from..];
    let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no number after {label:?} in {text:?}"))
}

#[test]
fn multi_digit_follows_the_float64_reference() {
    let text = program("multi_digit", &[]);
    let reference = include_str!("golden/multi_digit.txt");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 201);
    for (i, (line, expected)) in lines.iter().zip(reference.lines()).enumerate() {
        let got = number(line, &format!("iteration, loss: {{{}, ", 200 - i));
        let expected: f64 = expected.parse().expect("a number");
        assert!((got / expected - 1.0).abs() < 1e-5, "{line}: expected {expected}");
    }
    // The original printed this line.
    assert_eq!(lines[200], "Success: 9032/10000 (90.32%)");
}

#[test]
fn multi_digit_3layer_begins_like_the_original() {
    // Random weights: the original's first losses were 2.544, 2.475 and 2.414.
    let text = program("multi_digit_3layer", &["--iterations", "3"]);
    for (i, original) in [2.544, 2.475, 2.414].iter().enumerate() {
        let got = number(&text, &format!("Iteration {i} => Loss: "));
        assert!((got - original).abs() < 0.3, "{text}");
    }
    assert!(text.lines().last().is_some_and(|line| line.starts_with("Success: ")));
}

#[test]
fn the_batched_digits_reach_the_originals_figures() {
    for seed in ["1", "2", "3", "4", "5"] {
        let text = program("multi_digit_3layer_batched", &["--seed", seed]);
        let lines: Vec<&str> = text.lines().collect();
        let starts = ["2-0", "4-0", "6-0", "8-0", "10-0", "_-val", "_-test"];
        assert!(
            lines.len() == 7 && lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)),
            "{text}"
        );
        // The original printed 96.62 % and 98.44 %.
        let (val, test) = (number(lines[5], "Accuracy: "), number(lines[6], "Accuracy: "));
        assert!((val - 96.62).abs() <= 0.4 && (test - 98.44).abs() <= 0.4, "seed {seed}: {text}");
    }
}

#[test]
fn the_raw_batched_digits_reach_the_originals_figures() {
    let text = program("multi_digit_3layer_batched", &["--raw", "--lr", "0.01", "--hidden", "200"]);
    let figures: Vec<f64> = text.lines().skip(5).map(|line| number(line, "Accuracy: ")).collect();
    // The original printed 92.89 % over all 10,000, of which these are the halves.
    let both = figures.iter().sum::<f64>() / 2.0;
    assert!(figures.len() == 2 && (both - 92.9).abs() <= 0.7, "{text}");
}
