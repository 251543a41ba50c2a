//! A suggested recipe as a commented file.

use super::{Plan, Suggestion};
use crate::data::{Source, Task};
use std::path::Path;

pub(super) fn write(suggestion: &Suggestion, data: &Path) -> String {
    let Suggestion { plan, assumed, .. } = suggestion;
    let mut text = String::from(
        "# Written by `neural init`; every key is described in docs/recipes.md. Its assumptions:\n",
    );
    assumed.iter().for_each(|sentence| text.push_str(&format!("# - {}\n", sentence.replace('\n', " "))));

    text.push_str("\n[data]\n");
    text.push_str(&section(suggestion, data));

    text.push_str(if plan.inputs.is_empty() { "\n[model]\n" } else { "\n[model.nodes]\n" });
    text.push_str(if plan.is_picture {
        "# Each convolution looks for its patterns everywhere; each pool halves the picture. Batch norm keeps the numbers at a\n\
         # good size. Not enough? More filters. Far better in training than in validation? More dropout, or augment below.\n"
    } else {
        "# Dense layers with relu between them. Not enough? Wider ones (neural sweep tries several). Far better in training than\n\
         # in validation? More dropout.\n"
    });
    text.push_str(&model(plan));

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

/// The layers, or where there are several inputs a node for each and one on all of them.
fn model(plan: &Plan) -> String {
    if plan.inputs.is_empty() {
        let layers: String = plan.layers.iter().map(|layer| format!("    {layer},\n")).collect();
        return format!("layers = [\n{layers}]\n");
    }
    let inputs: Vec<&str> = plan.inputs.iter().map(|(input, _)| input.as_str()).collect();
    // No node has the name of an input.
    let name = |name: &str| {
        let mut name = name.to_string();
        while inputs.contains(&name.as_str()) {
            name.push('_');
        }
        name
    };
    let quoted = |name: &str| toml::Value::from(name).to_string();
    let (mut text, mut names) = (String::new(), Vec::new());
    for (number, (input, layers)) in plan.inputs.iter().enumerate() {
        names.push(name(&format!("part{}", number + 1)));
        let (node, from, layers) = (&names[number], quoted(input), layers.join(", "));
        text.push_str(&format!("{node} = {{ from = {from}, layers = [{layers}] }}\n"));
    }
    let from: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let from = format!("[{}], join = \"concatenate\"", from.join(", "));
    text.push_str(&format!(
        "{} = {{ from = {from}, layers = [{}] }}\n",
        name("answer"),
        plan.layers.join(", ")
    ));
    text
}

/// The keys of `[data]`, each below its comment.
fn section(suggestion: &Suggestion, data: &Path) -> String {
    let source = Source { path: data.to_path_buf(), ..suggestion.source.clone() };
    // A source is plain strings, numbers and lists.
    let table = toml::Table::try_from(&source).unwrap_or_default();
    let (mut text, mut kinds) = (String::new(), toml::Table::new());
    for (key, value) in table {
        if key == "seed" && value.as_integer() == Some(0) {
            continue;
        }
        if let ("columns", Some(columns)) = (key.as_str(), value.as_table()) {
            kinds = columns.clone();
            continue;
        }
        if let Some((_, comment)) = suggestion.comments.iter().find(|(of, _)| *of == key) {
            text.push_str(&format!("# {comment}\n"));
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    if !kinds.is_empty() {
        text.push_str("\n[data.columns]\n");
        let comment = suggestion.comments.iter().find(|(of, _)| *of == "columns");
        text.extend(comment.map(|(_, comment)| format!("# {comment}\n")));
        for (column, kind) in kinds {
            let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            let key = match !column.is_empty() && column.chars().all(is_bare) {
                true => column,
                false => toml::Value::from(column).to_string(),
            };
            text.push_str(&format!("{key} = {kind}\n"));
        }
    }
    text
}
