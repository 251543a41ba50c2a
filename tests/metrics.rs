//! Figures against scikit-learn: see tests/golden/README.md.

use neural::metric::{
    Answers, ClassAnswers, Counts, Figures, LabelAnswers, Metric, average_precision, best_f1, classes_of,
    roc_auc,
};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value;

/// A tensor of a golden case, by its name: its numbers, and the length of a row.
type Tensor<'a> = &'a dyn Fn(&str) -> (Vec<f64>, usize);

/// Compares every golden figure of a task with the result of `figures` on the case's settings and tensors.
fn check(task: &str, figures: impl Fn(&Value, Tensor, &[Metric]) -> Figures) {
    let path = |ending: &str| format!("{}/tests/golden/metrics.{ending}", env!("CARGO_MANIFEST_DIR"));
    let json = std::fs::read_to_string(path("json")).expect("the golden file is there");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let bytes = std::fs::read(path("safetensors")).expect("the golden file is there");
    let file = SafeTensors::deserialize(&bytes).expect("it is a safetensors file");
    let mut seen = 0;
    for case in json["cases"].as_array().expect("a list") {
        if case["config"]["task"] != task {
            continue;
        }
        let name = case["name"].as_str().expect("a name");
        let tensor = |what: &str| {
            let view = file.tensor(&format!("{name}/{what}")).expect("there");
            let numbers = match view.dtype() {
                safetensors::Dtype::F64 => {
                    view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
                }
                _ => view.data().as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
            };
            (numbers, view.shape().get(1).copied().unwrap_or(1))
        };
        for (metric, expected) in case["figures"].as_object().expect("figures") {
            let metric: Metric = metric.parse().expect("a metric");
            let got = figures(&case["config"], &tensor, &[metric]).get(metric);
            let got = got.unwrap_or_else(|| panic!("{name}: no {metric}"));
            match expected.as_f64() {
                Some(expected) => {
                    assert!((got - expected).abs() < 1e-9, "{name}: {metric} {got}, not {expected}");
                }
                None => assert!(got.is_nan(), "{name}: {metric} {got}, not undefined"),
            }
            seen += 1;
        }
    }
    assert!(seen >= 15, "only {seen} figures of {task}");
}

#[test]
fn figures_of_classes_are_scikit_learns() {
    check("classes", |_, tensor, metrics| {
        let (probabilities, width) = tensor("outputs");
        let labels: Vec<i32> = tensor("labels").0.iter().map(|label| *label as i32).collect();
        Answers::Classes(ClassAnswers {
            predicted: &classes_of(&probabilities, width),
            labels: &labels,
            classes: width,
            scores: &|| &probabilities,
            width,
            probabilities: true,
            at_positions: false,
            distributions: None,
        })
        .figures(metrics)
    });
}

#[test]
fn figures_of_labels_are_scikit_learns() {
    check("labels", |config, tensor, metrics| {
        let (probabilities, width) = tensor("outputs");
        let threshold = config["threshold"].as_f64().expect("a number");
        let targets = tensor("labels").0;
        Answers::Labels(LabelAnswers { probabilities: &probabilities, targets: &targets, width, threshold })
            .figures(metrics)
    });
}

#[test]
fn figures_of_values_are_scikit_learns() {
    check("values", |_, tensor, metrics| {
        let (outputs, width) = tensor("outputs");
        let targets = tensor("targets").0;
        Answers::Values { outputs: &outputs, targets: &targets, width }.figures(metrics)
    });
}

#[test]
fn targets_that_are_not_known_count_in_no_figure() {
    let unknown = f64::NAN;
    let answers = Answers::Values {
        outputs: &[1.0, 9.0, 4.0, 2.0, 2.0, 7.0],
        targets: &[1.5, unknown, unknown, 3.0, 4.0, 6.0],
        width: 2,
    };
    let metrics: Vec<Metric> = Metric::of(answers.task()).collect();
    // Each output by its own rows: the first and the last of the one, the last two of the other.
    let of =
        |outputs: &[f64], targets: &[f64]| Answers::Values { outputs, targets, width: 1 }.figures(&metrics);
    let (one, other) = (of(&[1.0, 2.0], &[1.5, 4.0]), of(&[2.0, 7.0], &[3.0, 6.0]));
    for with_medians in [true, false] {
        let metrics = metrics.iter().copied().filter(|m| with_medians || *m != Metric::MedianAbsoluteError);
        for (metric, value) in answers.figures(&metrics.collect::<Vec<_>>()).iter() {
            let expected = f64::midpoint(one.get(metric).expect("there"), other.get(metric).expect("there"));
            assert!((value - expected).abs() < 1e-12, "{metric}: {value} for {expected}");
        }
    }
}

#[test]
fn figures_of_no_rows_are_undefined() {
    let values = Answers::Values { outputs: &[], targets: &[], width: 2 };
    let labels = Answers::Labels(LabelAnswers { probabilities: &[], targets: &[], width: 2, threshold: 0.5 });
    let classes = Answers::Classes(ClassAnswers {
        predicted: &[],
        labels: &[],
        classes: 2,
        scores: &|| &[],
        width: 2,
        probabilities: true,
        at_positions: false,
        distributions: None,
    });
    let per_label = [Counts::precision, Counts::recall, Counts::f1].map(|figure| figure(&Counts::default()));
    assert_eq!(per_label, [0.0; 3], "there is nothing to divide by");
    for answers in [values, labels, classes] {
        let metrics: Vec<Metric> = Metric::of(answers.task()).collect();
        for (metric, value) in answers.figures(&metrics).iter() {
            // Counts of a label or of the second class are 0 where there is nothing to count.
            assert!(value.is_nan() || value == 0.0, "{metric}: {value}");
        }
        assert!(answers.figures(&metrics[..1]).iter().all(|(_, value)| value.is_nan()));
    }
}

#[test]
fn soft_targets_are_measured_as_distributions() {
    let (probabilities, targets) = ([0.5, 0.25, 0.25, 0.2, 0.2, 0.6], [0.6, 0.3, 0.1, 0.0, 0.6, 0.4]);
    let figures = Answers::Classes(ClassAnswers {
        predicted: &classes_of(&probabilities, 3),
        labels: &classes_of(&targets, 3),
        classes: 3,
        scores: &|| &probabilities,
        width: 3,
        probabilities: true,
        at_positions: false,
        distributions: Some(&targets),
    })
    .figures(&[Metric::Accuracy, Metric::LogLoss, Metric::Brier]);
    let sum = |term: &dyn Fn(f64, f64) -> f64| {
        targets.iter().zip(&probabilities).map(|(t, p)| term(*t, *p)).sum::<f64>() / 2.0
    };
    assert_eq!(figures.get(Metric::Accuracy), Some(0.5));
    let close =
        |metric, expected: f64| assert!((figures.get(metric).expect("there") - expected).abs() < 1e-12);
    close(Metric::LogLoss, sum(&|t, p| -t * p.ln()));
    close(Metric::Brier, sum(&|t, p| (p - t).powi(2)));
}

proptest! {
    /// The area is the part of pairs in the correct order, counted one by one; and no cut between two scores has a
    /// better F1 than the best.
    #[test]
    fn ranking_is_what_counting_one_by_one_comes_to(rows in prop::collection::vec((0u8..12, any::<bool>()), 2..40)) {
        let scores: Vec<f64> = rows.iter().map(|(score, _)| f64::from(*score) / 11.0).collect();
        let positive: Vec<bool> = rows.iter().map(|(_, positive)| *positive).collect();
        let (mut pairs, mut right) = (0.0, 0.0);
        for (a, _) in scores.iter().zip(&positive).filter(|(_, positive)| **positive) {
            for (b, _) in scores.iter().zip(&positive).filter(|(_, positive)| !**positive) {
                pairs += 1.0;
                right += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
            }
        }
        let area = roc_auc(&scores, &positive);
        let is_right = if pairs == 0.0 { area.is_nan() } else { (area - right / pairs).abs() < 1e-12 };
        prop_assert!(is_right);
        prop_assert!(pairs == 0.0 || (0.0..=1.0 + 1e-12).contains(&average_precision(&scores, &positive)));

        let f1 = |threshold: f64| {
            let count = |said: bool, there: bool| {
                scores.iter().zip(&positive).filter(|(s, p)| (**s > threshold) == said && **p == there).count() as f64
            };
            2.0 * count(true, true) / (2.0 * count(true, true) + count(true, false) + count(false, true)).max(1.0)
        };
        let cuts = (0..24).map(|cut| f64::from(cut) / 22.0 + 0.01);
        match best_f1(&scores, &positive) {
            Some((threshold, best)) => {
                prop_assert!((f1(threshold) - best).abs() < 1e-12);
                prop_assert!(cuts.map(f1).all(|other| other <= best + 1e-12));
            }
            None => prop_assert!(cuts.map(f1).all(|other| other == 0.0)),
        }
    }
}
