//! A suggested recipe as a file that explains itself.

use super::Suggestion;
use crate::data::{Source, Task};
use std::path::Path;

pub(super) fn write(suggestion: &Suggestion, data: &Path) -> String {
    let Suggestion { plan, assumed, .. } = suggestion;
    let mut text = String::from(
        "# Written by `neural init`; every key is described in docs/recipes.md. What it took for granted:\n",
    );
    assumed.iter().for_each(|sentence| text.push_str(&format!("# - {}\n", sentence.replace('\n', " "))));

    text.push_str("\n[data]\n");
    text.push_str(&section(suggestion, data));

    text.push_str("\n[model]\n");
    text.push_str(if plan.is_picture {
        "# Each convolution looks for its patterns everywhere; each pool halves the picture. Batch norm keeps the numbers at a\n\
         # good size. Not enough? More filters. Far better in training than in validation? More dropout, or augment below.\n"
    } else {
        "# Dense layers with relu between them. Not enough? Wider ones (neural sweep tries several). Far better in training than\n\
         # in validation? More dropout.\n"
    });
    let layers: String = plan.layers.iter().map(|layer| format!("    {layer},\n")).collect();
    text.push_str(&format!("layers = [\n{layers}]\n"));

    text.push_str(&format!("\n[train]\n# {}\nloss = \"{}\"\n", plan.why_loss, plan.loss));
    text.push_str(&format!("batch_size = {}\nepochs = {}\nseed = 1\n", plan.batch_size, plan.epochs));
    text.push_str(&format!(
        "# Ends the run where the validation loss has not fallen for this many epochs. The best epoch's weights are kept.\n\
         early_stopping = {{ patience = {} }}\n",
        plan.patience
    ));
    let metrics: Vec<String> = plan.metrics.iter().map(|metric| format!("\"{metric}\"")).collect();
    text.push_str(&format!("metrics = [{}]\n", metrics.join(", ")));
    if plan.is_picture {
        text.push_str(
            "# Each epoch sees pictures that are changed a little. Right where such a change leaves the class as it is: digits may be\n\
             # shifted, not flipped.\n# augment = [{ shift = 2 }, \"flip\"]\n",
        );
    }
    if suggestion.task == Task::Classes {
        text.push_str("# Where a rare class matters most: every class equally often in training (probabilities then run high for it).\n# balance = true\n");
    }
    text.push_str(&format!(
        "\n# The rate falls along a half cosine to 0 over all steps ({} = epochs * steps an epoch): change it with the epochs.\n\
         # neural lr-find shows which rates the model bears.\n\
         [train.optimizer.adamw]\nlearning_rate = {{ cosine = {{ initial = {}, steps = {}, final = 0.0 }} }}\nweight_decay = {}\n",
        plan.steps, plan.learning_rate, plan.steps, plan.weight_decay
    ));
    text
}

/// The keys of `[data]`, each below what is to be said of it.
fn section(suggestion: &Suggestion, data: &Path) -> String {
    let source = Source { path: data.to_path_buf(), ..suggestion.source.clone() };
    // A source is plain strings, numbers and lists.
    let table = toml::Table::try_from(&source).unwrap_or_default();
    let mut text = String::new();
    for (key, value) in table {
        if key == "seed" && value.as_integer() == Some(0) {
            continue;
        }
        if let Some((_, comment)) = suggestion.comments.iter().find(|(of, _)| *of == key) {
            text.push_str(&format!("# {comment}\n"));
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}
