//! Rock or mine? A network that tells two kinds of echoes apart, each 60 numbers: its strength in bands of frequencies.
//!
//! With two hundred echoes there is little to learn from, and a missed mine costs more than a rock taken for one. So
//! the program reports the results for each kind, on echoes that training never saw.

use clap::Parser;
use neural::cli::{self, Options, chapter};
use neural::data::{Dataset, Format, Scale, Source, TargetKind};
use neural::nn;
use neural::optim;
use neural::plot::Chart;
use neural::train::Trainer;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Tells rocks and mines apart by their echoes
#[derive(Parser)]
#[command(
    mut_arg("data", |data| {
        data.default_value("data/sonar.csv")
            .value_name("FILE")
            .help("A table, with or without names in its first line: numbers, and in the last column one of two names")
    }),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the mean echo of each kind")),
    after_help = "Examples:
  sonar                                  the echoes in data/sonar.csv, which are made up
  sonar --hidden 1                       hardly more than a weighted sum
  sonar --data sonar.all-data"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// How often training sees every echo
    #[arg(long, default_value_t = 100, value_name = "N")]
    epochs: u64,

    /// The learning rate of Adam
    #[arg(long, default_value_t = 0.003, value_name = "RATE")]
    lr: f64,

    /// Units of the hidden layer
    #[arg(long, default_value_t = 64, value_name = "N")]
    hidden: usize,

    /// The part of the echoes that is kept for the test
    #[arg(long, default_value_t = 0.25, value_name = "PART")]
    test: f64,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Options { data, seed, .. } = &arguments.options;
    let device = arguments.options.open_device()?;
    let echoes = read(data, arguments.test, *seed)?;
    let layers = [nn::dense(arguments.hidden), nn::relu(), nn::dropout(0.3), nn::dense(2)];
    let mut run = Trainer::new(nn::sequential(layers))
        .optimizer(optim::adam(arguments.lr))
        .batch_size(16)
        .epochs(arguments.epochs)
        .seed(*seed)
        .start(&device, &echoes)?;

    let mut out = io::stdout().lock();
    // Ten lines in all, however many epochs there are.
    let apart = arguments.epochs.div_ceil(10).max(1);
    chapter::epochs(&mut run, |figures| {
        if figures.epoch.is_multiple_of(apart) || figures.epoch == arguments.epochs {
            writeln!(out, "Epoch {} > {figures}", figures.epoch)?;
        }
        Ok(())
    })?;
    let evaluation = run.evaluate(&echoes.splits.test)?;
    writeln!(out, "{}", chapter::success(&evaluation)?)?;
    if let Some(confusion) = evaluation.confusion() {
        for (class, name) in echoes.targets.names().iter().enumerate() {
            let all: usize = (0..confusion.classes()).map(|said| confusion.count(class, said)).sum();
            writeln!(out, "  {name}: {} of {all} known", confusion.count(class, class))?;
        }
    }
    match &arguments.options.plot {
        Some(path) => Ok(mean_echoes(&echoes).save(path)?),
        None => Ok(()),
    }
}

/// The table with its last column as the kind, every kind with the same share in training and test.
fn read(path: &Path, test: f64, seed: u64) -> anyhow::Result<Dataset> {
    let echoes = Source {
        target_kind: Some(TargetKind::Class),
        test_fraction: Some(test),
        stratify: true,
        seed,
        scale: Scale::StandardizeFeatures,
        ..Source::new(Format::Table, path)
    };
    let echoes = echoes.load()?;
    let kinds = echoes.targets.names();
    anyhow::ensure!(
        kinds.len() == 2,
        "{}: expected two kinds in the last column, got {}",
        path.display(),
        kinds.len()
    );
    Ok(echoes)
}

/// The mean strength of the echoes of each kind, column after column.
fn mean_echoes(echoes: &Dataset) -> Chart {
    let (width, labels) = (echoes.sample_shape()[0], echoes.targets.labels().unwrap_or_default());
    let values = echoes.inputs.to_f64();
    let mut chart = Chart::new("The mean echo of each kind").x_label("column").y_label("strength");
    for (class, name) in echoes.targets.names().iter().enumerate() {
        let of = || values.chunks_exact(width).zip(labels).filter(|(_, label)| **label as usize == class);
        let count = of().count() as f64;
        let mean = |column: usize| of().map(|(row, _)| row[column]).sum::<f64>() / count;
        let line: Vec<_> = (0..width).map(|column| (column as f64 + 1.0, mean(column))).collect();
        chart = chart.line(name.as_str(), &line);
    }
    chart
}
