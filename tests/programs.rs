//! The programs that train their own functions: each runs small, and learns.

mod common;

use common::device_name;
use std::path::{Path, PathBuf};
use std::process::Command;

fn printed(name: &str, arguments: &[&str]) -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_neural")).with_file_name("examples").join(name);
    let output = Command::new(&program)
        .args(arguments)
        .args(["--device", device_name()])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{name} {arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// The numbers after `label`, of all lines that have one.
fn numbers(text: &str, label: &str) -> Vec<f64> {
    let number = |line: &str| {
        let rest = line.split_once(label)?.1;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    text.lines().filter_map(number).collect()
}

#[test]
fn a_siamese_network_tells_pairs_apart() {
    let text = printed("siamese", &["--images", "6000", "--epochs", "3"]);
    let losses = numbers(&text, "Loss: ");
    assert!(losses.len() == 3 && losses[2] < 0.5 * losses[0], "{text}");
    let right = numbers(&text, "pairs right (")[0];
    assert!(right > 85.0, "{text}");
    assert_eq!(printed("siamese", &["--images", "6000", "--epochs", "3"]), text, "the same seed");
}

#[test]
fn an_autoencoder_restores_hidden_pixels() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("digits.png");
    let plot = picture.to_str().expect("a path of text");
    let text = printed("denoising", &["--images", "6000", "--epochs", "4", "--plot", plot]);
    let (hidden, restored) = (numbers(&text, "squared error ")[0], numbers(&text, "as hidden, ")[0]);
    assert!(restored < 0.5 * hidden, "{text}");
    assert!(std::fs::metadata(&picture).expect("drawn").len() > 1000);
}

#[test]
fn two_networks_play_against_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("made.svg");
    let plot = picture.to_str().expect("a path of text");
    let text = printed("gan", &["--images", "3000", "--epochs", "2", "--plot", plot]);
    let (discriminator, generator) = (numbers(&text, "Discriminator: "), numbers(&text, "Generator: "));
    assert!(discriminator.len() == 2 && generator.len() == 2, "{text}");
    // Neither network has lost for good.
    assert!(discriminator.iter().chain(&generator).all(|loss| *loss > 0.01 && *loss < 20.0), "{text}");
    assert!(picture.is_file());
}

#[test]
fn a_gradient_penalty_brings_points_to_a_ring() {
    let text = printed("gradient_penalty", &["--epochs", "15"]);
    let (penalty, distance) = (numbers(&text, "Penalty: "), numbers(&text, "ring: "));
    assert!(distance[14] < 0.3 && distance[14] < 0.5 * distance[0], "{text}");
    assert!(penalty[14] < 0.3, "{text}");
}

#[test]
fn parts_of_ones_own_learn() {
    let text = printed("custom", &[]);
    assert!(numbers(&text, "far-off values: ")[0] < 0.2, "{text}");
}

#[test]
fn a_text_is_learnt_and_written_on() {
    for model in ["lstm", "attention"] {
        let arguments = ["--model", model, "--epochs", "3", "--write", "40"];
        let text = printed("characters", &arguments);
        let losses = numbers(&text, "Loss: ");
        assert!(losses.len() == 3 && losses[2] < losses[0] && losses[2] < 3.2, "{text}");
        let written = text.lines().skip(3).collect::<Vec<_>>().join("\n");
        assert_eq!(written.chars().count(), 32 + 40, "{written}");
    }
}
