//! Parts of a model that the optimizer treats differently.

use crate::error::{Error, Result};
use crate::variables::Variable;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Variables that are treated differently, named by a path.
///
/// A path consists of whole segments of the variables' names, joined by dots: `3` is the model's layer 3 but not layer
/// 13, `3.weight` a variable of it, `bias` every bias. A path that begins with a number counts from the model's own
/// list of layers, so that `0` is not the first layer inside of a residual block.
///
/// ```
/// use neural::optim::{Group, Optimizer, sgd};
/// let slow = Group { name: "0".into(), learning_rate: 0.1, weight_decay: 1.0 };
/// assert!(slow.covers("0.weight") && !slow.covers("10.weight") && !slow.covers("3.layers.0.weight"));
/// assert!(Optimizer { groups: vec![slow], ..sgd(0.1) }.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The path. A dot at its end changes nothing.
    #[serde(deserialize_with = "path")]
    pub name: String,
    /// The factor on the learning rate; 0 freezes the group, see [`Optimizer::freeze`](super::Optimizer::freeze).
    #[serde(default = "unit")]
    pub learning_rate: f64,
    /// The factor on the weight decay.
    #[serde(default = "unit")]
    pub weight_decay: f64,
}

fn unit() -> f64 {
    1.0
}

impl Group {
    /// Whether a variable of this name belongs to the group.
    pub fn covers(&self, variable: &str) -> bool {
        covers(&self.name, variable)
    }

    pub(super) fn check(&self) -> Result<()> {
        for (what, factor) in [("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay)] {
            if !(factor.is_finite() && factor >= 0.0) {
                let name = format!("groups: {what} of {}", self.name);
                return Err(Error::value(name, "a finite factor of at least 0", factor));
            }
        }
        Ok(())
    }
}

/// Reads a path, which may be written as a number where it is the place of a layer.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    struct Path;

    impl Visitor<'_> for Path {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a path such as \"0.weight\", or the number of a layer")
        }

        fn visit_str<E: serde::de::Error>(self, path: &str) -> std::result::Result<String, E> {
            Ok(path.into())
        }

        fn visit_i64<E: serde::de::Error>(self, layer: i64) -> std::result::Result<String, E> {
            Ok(layer.to_string())
        }

        fn visit_u64<E: serde::de::Error>(self, layer: u64) -> std::result::Result<String, E> {
            Ok(layer.to_string())
        }
    }

    deserializer.deserialize_any(Path)
}

/// Reads a list of paths.
pub(crate) fn paths<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "path")] String);

    Ok(Vec::<One>::deserialize(deserializer)?.into_iter().map(|One(path)| path).collect())
}

/// Whether `path` names the variable `name` or a part of the model that holds it.
pub(super) fn covers(path: &str, name: &str) -> bool {
    let segments = |path| str::split(path, '.').collect::<Vec<&str>>();
    let (path, name) = (segments(path.strip_suffix('.').unwrap_or(path)), segments(name));
    match path[0].parse::<usize>() {
        Ok(_) => name.starts_with(&path),
        Err(_) => name.windows(path.len()).any(|part| part == path),
    }
}

/// Refuses a path that names none of a model's variables, under the key `key`.
pub(super) fn check_path(key: &str, path: &str, variables: &[Variable]) -> Result<()> {
    let names: Vec<&str> =
        variables.iter().filter(|v| v.role.is_of_model()).map(|v| v.name.as_str()).collect();
    if names.iter().any(|name| covers(path, name)) {
        return Ok(());
    }
    let layers: BTreeSet<&str> =
        names.iter().filter_map(|name| name.split_once('.')).map(|(l, _)| l).collect();
    let layers = in_order(layers);
    let own: BTreeSet<&str> = names.iter().filter_map(|name| name.rsplit('.').next()).collect();
    let parts = names.iter().flat_map(|name| {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        ends.map(|end| &name[..end])
    });
    let nearest = parts
        .chain(own.iter().copied())
        .map(|part| (strsim::jaro(path, part), part))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, part)| format!("; did you mean {part}?"));
    let own = own.into_iter().collect::<Vec<_>>().join(", ");
    let expected =
        format!("the path of a layer with variables ({}) or of a variable ({own})", layers.join(", "));
    Err(Error::value(key, expected, format!("{path}{nearest}")))
}

/// Numbers by their size, before names.
fn in_order(layers: BTreeSet<&str>) -> Vec<&str> {
    let mut layers: Vec<&str> = layers.into_iter().collect();
    layers.sort_by_key(|layer| layer.parse::<usize>().unwrap_or(usize::MAX));
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_named_by_its_number_too() {
        #[derive(Debug, Deserialize)]
        struct Recipe {
            #[serde(deserialize_with = "paths")]
            freeze: Vec<String>,
            group: Group,
        }
        let read =
            |freeze: &str| toml::from_str::<Recipe>(&format!("freeze = {freeze}\ngroup = {{ name = 3 }}"));
        let recipe = read("[0, \"1.weight\"]").unwrap();
        assert_eq!(
            (recipe.freeze, recipe.group.name),
            (vec!["0".to_string(), "1.weight".into()], "3".into())
        );
        let error = read("[0.5]").unwrap_err().to_string();
        assert!(error.contains("the number of a layer"), "{error}");
    }

    #[test]
    fn paths_are_whole_segments() {
        for (path, name, expected) in [
            ("0", "0.weight", true),
            ("0.", "0.weight", true),
            ("0.", "10.weight", false),
            ("4.", "14.weight", false),
            ("1", "14.weight", false),
            ("0", "3.layers.0.weight", false),
            ("3.layers.0", "3.layers.0.weight", true),
            ("layers.0", "3.layers.0.weight", true),
            ("bias", "3.layers.0.bias", true),
            ("bias", "0.bias_hh_l0", false),
            ("in_proj_bias", "2.in_proj_bias", true),
            ("out_proj", "2.out_proj.weight", true),
            ("block1", "block1.0.weight", true),
            ("block1", "block10.0.weight", false),
            ("block1.0.weight", "block1.0.weight", true),
            ("block1.0.weight", "block1.0", false),
            ("", "0.weight", false),
            (".", "0.weight", false),
        ] {
            assert_eq!(covers(path, name), expected, "{path:?} {name:?}");
        }
    }
}
