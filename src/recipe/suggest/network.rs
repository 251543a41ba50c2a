//! The layers and the training of a suggested recipe, by the shape of the samples and the number of rows.

use crate::data::Dataset;
use crate::data::table::{Column, ColumnKind};

/// The training steps for small data, and the min for large data.
const STEPS: usize = 3000;

/// A model and its training.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// A layer a line, as recipes write it; those on the joined inputs where there are several.
    pub layers: Vec<String>,
    /// For each input the layers that make features of it, where there are several.
    pub inputs: Vec<(String, Vec<String>)>,
    pub loss: &'static str,
    pub why_loss: &'static str,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub batch_size: usize,
    pub epochs: usize,
    pub patience: usize,
    /// Steps in all epochs, which the schedule needs.
    pub steps: usize,
    pub is_picture: bool,
    pub metrics: &'static [&'static str],
}

impl Plan {
    pub fn of(data: &Dataset) -> Self {
        let (rows, sample) = (data.splits.train.len(), data.sample_shape());
        let (outputs, classes) = match data.targets.values() {
            Some(values) => (values.shape()[1..].iter().product(), 0),
            None => (data.targets.names().len(), data.targets.names().len()),
        };
        let picture = match *sample {
            [height, width] | [height, width, _] => Some([height, width]),
            _ => None,
        };
        let own: Vec<(String, Vec<String>)> = data.columns.iter().filter_map(read).collect();
        let (layers, is_picture) = match picture {
            _ if !own.is_empty() => (dense(rows, &[1], outputs), false),
            Some([height, width]) if height.min(width) >= 4 => (convolutions(height, width, outputs), true),
            _ => (dense(rows, sample, outputs), false),
        };
        let (layers, inputs) = match &own[..] {
            [(_, read)] if data.more_inputs.is_empty() => ([&read[..], &layers[..]].concat(), Vec::new()),
            own if !own.is_empty() && !data.feature_names().is_empty() => {
                let features = ("input".to_string(), vec!["{ dense = 64 }".to_string(), "\"relu\"".into()]);
                (layers, [&[features][..], own].concat())
            }
            own => (layers, own.to_vec()),
        };
        let (loss, why_loss) = match classes {
            0 => (
                "mean-squared-error",
                "For values; huber minds far-off rows less, mean-absolute-error finds the median.",
            ),
            _ => (
                "softmax-cross-entropy",
                "For classes that exclude each other: the outputs become a probability for each.",
            ),
        };
        let metrics: &[&str] = match classes {
            0 => &["r2", "mae", "rmse"],
            2 => &["accuracy", "roc-auc", "f1"],
            _ => &["accuracy", "f1-macro"],
        };
        let most = if is_picture { 128 } else { 256 };
        let batch_size = (rows / 30).next_power_of_two().clamp(16, most);
        let steps_an_epoch = rows.div_ceil(batch_size).max(1);
        let range = if is_picture { 10..=60 } else { 20..=150 };
        let epochs = (STEPS / steps_an_epoch).clamp(*range.start(), *range.end());
        Self {
            layers,
            inputs,
            loss,
            why_loss,
            learning_rate: if is_picture { 0.002 } else { 0.003 },
            weight_decay: 0.01,
            batch_size,
            epochs,
            patience: (epochs / 3).max(5),
            steps: steps_an_epoch * epochs,
            is_picture,
            metrics,
        }
    }
}

/// The layers that read a column which is a separate input: for texts the mean of their tokens' learned vectors,
/// regardless of order; for sequences the mean of the states of a recurrent layer.
fn read(column: &Column) -> Option<(String, Vec<String>)> {
    let mut layers = match &column.kind {
        ColumnKind::Text(vocabulary) => {
            vec![format!(
                "{{ embedding = {{ vocabulary = {}, units = 32, padding = 0 }} }}",
                vocabulary.size()
            )]
        }
        ColumnKind::Picture(_) => {
            let conv = |filters: usize| {
                format!("{{ conv = {{ filters = {filters}, kernel = [3, 3], padding = \"same\" }} }}")
            };
            let (relu, pool) = ("\"relu\"".to_string(), "{ max-pool = [2, 2] }".to_string());
            vec![conv(16), relu.clone(), pool, conv(32), relu]
        }
        ColumnKind::Sequence(_) => {
            vec!["\"masking\"".into(), "{ gru = { units = 32, sequences = true } }".into()]
        }
        _ => return None,
    };
    layers.push("\"global-avg-pool\"".into());
    Some((column.name.clone(), layers))
}

/// Layers of dense ones for features, wider where there are more rows to learn from.
fn dense(rows: usize, sample: &[usize], outputs: usize) -> Vec<String> {
    let widths: &[usize] = match rows {
        ..2_000 => &[64, 32],
        2_000..50_000 => &[128, 64],
        _ => &[256, 128],
    };
    let mut layers = Vec::new();
    if sample.len() > 1 {
        layers.push("\"flatten\"".to_string());
    }
    for width in widths {
        layers.extend([format!("{{ dense = {width} }}"), "\"relu\"".into(), "{ dropout = 0.1 }".into()]);
    }
    layers.push(format!("{{ dense = {outputs} }}"));
    layers
}

/// Convolutions with pools between them, until the picture is small.
fn convolutions(height: usize, width: usize, outputs: usize) -> Vec<String> {
    let (mut height, mut width, mut filters) = (height, width, 32);
    let mut layers = Vec::new();
    let mut convolution = |filters: usize, is_pooled: bool| {
        layers.push(format!(
            "{{ conv = {{ filters = {filters}, kernel = [3, 3], padding = \"same\", bias = false }} }}"
        ));
        if is_pooled {
            layers.push("{ max-pool = [2, 2] }".into());
        }
        layers.extend(["\"batch-norm\"".to_string(), "\"relu\"".into()]);
    };
    let mut pools = 0;
    while height.min(width) >= 8 && pools < 5 {
        convolution(filters, true);
        (height, width, pools) = (height / 2, width / 2, pools + 1);
        filters = (filters * 2).min(128);
    }
    if pools < 2 {
        convolution(filters, false);
        filters = (filters * 2).min(128);
    }
    let last = if pools < 2 { filters / 2 } else { 128.min(32 << (pools - 1)) };
    if height * width * last <= 4096 {
        layers.extend(["\"flatten\"".to_string(), "{ dropout = 0.3 }".into()]);
        layers.extend(["{ dense = 128 }".to_string(), "\"relu\"".into()]);
    } else {
        layers.push("\"global-avg-pool\"".into());
    }
    layers.extend(["{ dropout = 0.3 }".to_string(), format!("{{ dense = {outputs} }}")]);
    layers
}
