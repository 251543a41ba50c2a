//! The programs that follow no chapter: each runs small, and learns.

mod common;

use common::device_name;
use neural::Array;
use neural::data::safetensors;
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

#[test]
fn a_u_net_finds_shapes_to_the_pixel() {
    let text = printed("unet", &["--epochs", "20"]);
    let iou = numbers(&text, "Mean IoU: ");
    assert_eq!(iou.len(), 20 + 1, "{text}");
    assert!(iou[19] > 70.0 && iou[20] < 35.0, "{text}");
    // 16 x 16 pixels without the edges: ground and a shape.
    let picture: Vec<&str> = text.lines().skip(21).collect();
    assert!(picture.len() == 14 && picture.iter().all(|row| row.chars().count() == 28), "{text}");
    assert!(picture.iter().any(|row| row.contains(['#', 'o'])) && picture[13].contains('.'), "{text}");
    assert_eq!(printed("unet", &["--epochs", "20"]), text, "the same seed");
}

#[test]
fn a_picture_and_a_table_tell_a_kind_and_a_price() {
    let text = printed("two_inputs", &[]);
    let (kind, price) = (numbers(&text, "Kind: "), numbers(&text, "Price: off by "));
    let (same, mean) = (numbers(&text, "same kind > ")[0], numbers(&text, "mean price > off by ")[0]);
    assert!(kind[19] > 95.0 && same < 50.0, "{text}");
    assert!(price[19] < 0.25 * mean, "{text}");
    // The deviation of the prices, about a quarter of their mean: the mean is subtracted.
    assert!(price[0] < mean && mean < 120_000.0, "{text}");
    assert_eq!(printed("two_inputs", &[]), text, "the same seed");
}

#[test]
fn tokens_are_tagged_and_padding_is_not() {
    let text = printed("tagging", &["--epochs", "15"]);
    let right = numbers(&text, "Accuracy: ");
    assert!(right.len() == 16 && right[14] > 90.0 && right[15] < 70.0, "{text}");
    // The tags of the first sequence are mostly true: + where a token is larger than the one before.
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let [tokens, tags] = &lines[lines.len() - 2..] else { panic!("{text}") };
    assert!(tokens.len() >= 3 && tokens.len() == tags.len(), "{text}");
    let before = std::iter::once(&"0").chain(tokens);
    let wrong =
        before.zip(tokens).zip(tags).filter(|((before, token), tag)| (token > before) != (**tag == "+"));
    assert!(wrong.count() <= 1, "{text}");
}

#[test]
fn a_forecast_is_better_than_the_last_value_and_the_last_period() {
    let text = printed("forecast", &[]);
    let [network, last_value, last_period] = numbers(&text, "Mean distance: ")[..] else { panic!("{text}") };
    assert!(network < 0.2 * last_value && network < 0.5 * last_period, "{text}");
    assert_eq!(printed("forecast", &[]), text, "the same seed");
}

#[test]
fn learnt_features_are_better_than_random_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let [saved, renamed] = ["saved", "renamed"].map(|name| folder.path().join(name));
    let [saved, renamed] = [&saved, &renamed].map(|path| path.to_str().expect("a path of text"));
    let text = printed("fine_tune", &["--images", "6000", "--epochs", "3", "--save", saved]);
    let [_, _, old, random, learnt] = numbers(&text, "Accuracy: ")[..] else { panic!("{text}") };
    assert!(old > 95.0 && learnt > random + 5.0 && learnt > 70.0, "{text}");

    // The same weights from a file with other names.
    let mut file = safetensors::File::open(saved).expect("written");
    let tensors: Vec<(String, Array)> = file
        .names()
        .into_iter()
        .map(|name| (format!("net.{name}"), file.array(&name).expect("read").expect("there")))
        .collect();
    let tensors: Vec<(&str, &Array)> = tensors.iter().map(|(name, array)| (&**name, array)).collect();
    std::fs::write(renamed, safetensors::encode(&tensors, None).expect("encoded")).expect("written");
    let again = printed("fine_tune", &["--weights", renamed, "--rename", "net.="]);
    let results = |text: &str| text.lines().rev().take(2).map(String::from).collect::<Vec<_>>();
    assert_eq!(results(&again), results(&text));
}
