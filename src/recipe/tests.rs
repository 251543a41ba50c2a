//! Recipes against their reference in docs/recipes.md, and against mistakes.

use super::settings::DEEPEST;
use super::*;

const REFERENCE: &str = include_str!("../../docs/recipes.md");

#[test]
fn the_reference_has_the_keys() {
    crate::named::reference::check("data", Source::REFERENCE);
    crate::named::reference::check("train", Train::REFERENCE);
}

#[test]
fn the_recipes_of_the_documents_are_recipes() {
    let documents = [("docs/recipes.md", REFERENCE), ("README.md", include_str!("../../README.md"))];
    let mut count = 0;
    for (name, text) in documents {
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            Recipe::parse(block, Path::new(name)).unwrap();
            count += 1;
        }
    }
    assert!(count >= 2);
}

#[test]
fn the_reference_has_every_key() {
    // Every key of a recipe, in written form.
    let full = Recipe::parse(
        REFERENCE.rsplit("```toml\n").next().unwrap().split("```").next().unwrap(),
        Path::new(""),
    )
    .unwrap();
    let table: toml::Table = toml::from_str(&full.to_toml().unwrap()).unwrap();
    for section in ["data", "train"] {
        for key in table[section].as_table().unwrap().keys() {
            assert!(REFERENCE.contains(&format!("`{key}`")), "{section}.{key}");
        }
    }
}

/// The values of the reference's recipe, each by the words that lead to it.
fn leaves(value: &toml::Value, path: &[String]) -> Vec<Vec<String>> {
    let below = |key: String, value| leaves(value, &[path, &[key]].concat());
    let deeper: Vec<_> = match value {
        toml::Value::Table(table) => {
            table.iter().flat_map(|(key, value)| below(key.clone(), value)).collect()
        }
        toml::Value::Array(list) => {
            list.iter().enumerate().flat_map(|(i, value)| below(i.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    [vec![path.to_vec()], deeper].concat()
}

fn at<'a>(value: &'a mut toml::Value, path: &[String]) -> &'a mut toml::Value {
    path.iter().fold(value, |value, key| match value {
        toml::Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
        value => &mut value[key.as_str()],
    })
}

/// The keys of the reference's tables for a section.
fn keys(section: &str) -> Vec<Vec<String>> {
    let (_, text) = REFERENCE.split_once(&format!("\n## `[{section}]`")).unwrap();
    let (_, table) = text.split_once("| --- | --- |\n").or_else(|| text.split_once("|---|---|\n")).unwrap();
    let rows = table.lines().take_while(|line| line.starts_with("| `"));
    let keys = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    keys.map(|key| vec![section.to_string(), key.to_string()]).collect()
}

/// Words of Rust and of its readers that no user should meet.
const RUST: [&str; 27] = [
    "usize", "u64", "u32", "i64", "f64", "f32", "struct", "enum", "variant", "newtype", "sequence", "tuple",
    "map", "untagged", "Rule", "Loss", "invalid", "type", "Option", "string", "boolean", "integer",
    "floating", "datetime", "field", "wanted", "found",
];

#[test]
fn wrong_values_are_answered_in_the_words_of_toml() {
    let text = REFERENCE.rsplit("```toml\n").next().unwrap().split("```").next().unwrap();
    let whole: toml::Value = toml::Value::Table(toml::from_str(text).unwrap());
    let wrong = "a = [\"nonsense\", -1, 1.5, true, [1, \"x\"], { nonsense = 1 }, [], {}, [[1]], [{ a = 1 }], nan, 2024-01-01]";
    let wrong = toml::from_str::<toml::Table>(wrong).unwrap()["a"].as_array().unwrap().clone();
    let (mut refused, mut bad, mut places) = (0, Vec::new(), leaves(&whole, &[]));
    places.retain(|path| path.len() > 1);
    places.extend(
        [keys("data"), keys("train")]
            .concat()
            .into_iter()
            .filter(|key| !places.contains(key))
            .collect::<Vec<_>>(),
    );
    for path in &places {
        for value in &wrong {
            let mut recipe = whole.clone();
            if let [section, key] = &path[..] {
                recipe[section].as_table_mut().unwrap().insert(key.clone(), true.into());
            }
            *at(&mut recipe, path) = value.clone();
            let text = toml::to_string(&recipe).unwrap();
            let Err(error) = Recipe::parse(&text, Path::new("r.toml")) else { continue };
            refused += 1;
            let error = error.to_string();
            let words: Vec<_> = error.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let said = RUST.iter().any(|word| words.contains(word)) || error.contains(['`', '$']);
            if said || !error.starts_with("r.toml: ") || !error.contains(path[1].as_str()) {
                bad.push(format!("{path:?} = {value}: {error}"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(places.len() > 90 && refused > 5 * places.len(), "{refused} of {} keys", places.len());
}

#[test]
fn a_setting_that_does_not_fit_is_named_among_others() {
    let text = "[data]\nformat = 'idx'\npath = 'x'\n[model]\nlayers = ['relu']\n[train]\nloss = 'hinge'\noptimizer = 'sgd'";
    let refused = |settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Recipe::with_settings(text, Path::new("r.toml"), &settings).unwrap_err().to_string()
    };
    for (settings, expected) in [
        (
            &["train.epochs=3", "data.targets=price"][..],
            "--set data.targets=price: expected a list, as in [\"price\"], got \"price\"",
        ),
        (
            &["data.scale=true", "train.epochs=3"],
            "--set data.scale=true: expected one of none, unit, standardize, standardize-features, got true",
        ),
        (
            &["train.epochs=3", "model.layers.0=rellu"],
            "r.toml: --set model.layers.0=rellu: rellu is not a layer; did you mean relu?",
        ),
        (
            &["train.early_stopping=5"],
            "--set train.early_stopping=5: expected a table such as { patience = 5 }, got 5",
        ),
        (
            &["train.patience=3"],
            "r.toml: --set train.patience=3: patience is not a key here; it belongs to early_stopping, as in \
             early_stopping = { patience = 5 }",
        ),
        (
            &["train.optimizer.adam.betas=[0.9, 0.99]"],
            "r.toml: --set train.optimizer.adam.betas=[0.9, 0.99]: betas is not a key here; they are two keys, as in adam = \
             { beta1 = 0.9, beta2 = 0.999 }",
        ),
        (&["train.seed=2", "-data"], "r.toml: expected data.format and data.path, got a recipe without"),
    ] {
        assert!(refused(settings).starts_with(expected), "{}", refused(settings));
    }
    let source = Source::new(crate::data::Format::Table, "t.csv");
    let error = source_with_settings(&source, &["id=a".into(), "targets=price".into()]).unwrap_err();
    assert!(error.to_string().starts_with("--set targets=price: expected a list"), "{error}");
}

#[test]
fn a_mistyped_key_is_named_before_those_that_are_missing() {
    let error = |text: &str| Recipe::parse(text, Path::new("r.toml")).unwrap_err().to_string();
    let mistyped = error("[data]\nformat = 'idx'\npaths = 'x'");
    assert_eq!(mistyped, "r.toml: line 3: data.paths: paths is not a key here; did you mean path?");
    let lacking = error("[data]\nformat = 'idx'\npath = 'x'");
    assert!(lacking.contains("model.layers, train.loss and train.optimizer"), "{lacking}");
}

#[test]
fn names_of_other_libraries_are_understood() {
    let recipe = |layers: &str, loss: &str, optimizer: &str| {
        let text = format!(
            "[data]\nformat = 'idx'\npath = 'x'\n[model]\nlayers = {layers}\n[train]\nloss = {loss}\noptimizer = {optimizer}\n"
        );
        Recipe::parse(&text, Path::new("r.toml"))
    };
    let ours = recipe(
        "[{ conv = { filters = 4, kernel = [3, 3] } }, 'batch-norm', 'relu', { max-pool = [2, 2] }, 'flatten', { dense = 10 }]",
        "'softmax-cross-entropy'",
        "{ adam = { learning_rate = 0.001 } }",
    )
    .unwrap();
    let theirs = "[{ Conv2d = { out_channels = 4, kernel_size = [3, 3] } }, 'BatchNorm2d', 'ReLU', { MaxPooling2D = { pool_size = [2, 2] } }, 'Flatten', { Linear = { out_features = 10 } }]";
    for (loss, optimizer) in [
        ("'categorical_crossentropy'", "'adam'"),
        ("'CrossEntropyLoss'", "{ Adam = { lr = 0.001 } }"),
        ("'cross_entropy'", "{ adam = 0.001 }"),
    ] {
        assert_eq!(recipe(theirs, loss, optimizer).unwrap(), ours, "{loss} {optimizer}");
    }
    // They are written with the names of this library.
    assert!(ours.to_toml().unwrap().contains("softmax-cross-entropy"));
    let error = recipe("[{ conv3d = { filters = 4, kernel = [3, 3, 3] } }]", "'mse'", "'sgd'").unwrap_err();
    assert!(error.to_string().contains("did you mean conv?"), "{error}");
}

#[test]
fn data_in_place_of_a_recipe_is_answered_with_a_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| Recipe::read(path, &[]).unwrap_err().to_string();
    let table = refused(&folder.path().join("house.csv"));
    assert!(table.contains("neural init ") && table.contains("house.csv writes a recipe"), "{table}");
    assert!(refused(folder.path()).contains("got a folder; if it holds data, neural init "));
    std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
    assert!(refused(folder.path()).contains("--resume"));
}

#[test]
fn no_depth_is_too_deep_for_a_sentence() {
    let text = "[data]\nformat = 'idx'\npath = 'x'\n";
    for n in [DEEPEST, DEEPEST + 1, 100_000] {
        let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
        for setting in [
            format!("{}a=1", "a.".repeat(n)),
            format!("train.seed={}", nested("[", "]")),
            format!("train.seed={}", nested("{ a = ", " }")),
        ] {
            let error = Recipe::with_settings(text, Path::new("r.toml"), &[setting]).unwrap_err().to_string();
            assert!(!error.is_empty());
        }
        for value in [nested("[", "]"), nested("{ a = ", " }")] {
            let error = Recipe::parse(&format!("{text}size = {value}"), Path::new("r.toml")).unwrap_err();
            assert!(error.to_string().starts_with("r.toml: "), "{error}");
        }
        let tables = format!("{text}[{}a]", "a.".repeat(n));
        assert!(Recipe::parse(&tables, Path::new("r.toml")).is_err());
    }
    let long = Recipe::with_settings(text, Path::new("r.toml"), &[format!("{}a=1", "a.".repeat(100_000))]);
    assert!(long.unwrap_err().to_string().len() < 200);
}

#[test]
fn unknown_keys_are_refused_at_every_depth() {
    let recipe = |optimizer: &str, layer: &str| {
        let text = format!(
            "[data]\nformat = 'idx'\npath = 'x'\n[model]\nlayers = [{layer}]\n[train]\nloss = 'hinge'\noptimizer = {optimizer}\n"
        );
        Recipe::parse(&text, Path::new("r.toml"))
    };
    assert!(recipe("{ sgd = { learning_rate = 1 } }", "{ dense = 3 }").is_ok());
    for (optimizer, layer) in [
        ("{ sgd = { learning_rate = 1, momentun = 0.9 } }", "'relu'"),
        ("{ sgd = { learning_rate = { cosine = { initial = 1, steps = 2, end = 0 } } } }", "'relu'"),
        ("{ sgd = { learning_rate = 1 } }", "{ dense = { unit = 3 } }"),
        ("{ sgd = { learning_rate = 1 } }", "{ conv = { filters = 3, kernal = [3, 3] } }"),
    ] {
        let error = recipe(optimizer, layer).unwrap_err().to_string();
        assert!(error.starts_with("r.toml: line "), "{error}");
    }
}

#[test]
fn the_recipes_own_folder_has_a_name() {
    for (folder, path, joined) in
        [("", ".", "."), ("", "./x", "x"), ("/", "..", "/.."), ("a", "b/../../c", "a/b/../../c")]
    {
        assert_eq!(join(Path::new(folder), Path::new(path)), Path::new(joined), "{folder} {path}");
    }
}
