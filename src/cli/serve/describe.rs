//! The server described for programs: the models' schemas and `OpenAPI`.

use super::worker::Served;
use crate::cli::trained::Answers;
use crate::data::table::{ColumnKind, Sequence};
use crate::model::{Description, Reads};
use serde_json::{Map, Value, json};

/// The models with their inputs and answers.
pub(super) fn list(models: &[Served]) -> Value {
    let one = |served: &Served| {
        let description = &served.model.description;
        json!({
            "name": served.name,
            "target": description.target,
            "inputs": description.reads().iter().map(|input| json!({ "name": input.name, "sample": input.sample, "dtype": input.dtype })).collect::<Vec<_>>(),
            "takes_pictures": served.pictures().is_some(),
            "columns": description.columns.iter().map(|column| json!({ "name": column.name, "schema": of_column(&column.kind) })).collect::<Vec<_>>(),
            "classes": description.classes,
            "predict": format!("/v1/models/{}/predict", served.name),
        })
    };
    json!({ "models": models.iter().map(one).collect::<Vec<_>>() })
}

/// The JSON schema of a cell.
fn of_column(kind: &ColumnKind) -> Value {
    match kind {
        ColumnKind::Number { .. } => json!({ "type": ["number", "null"] }),
        ColumnKind::Boolean { .. } => json!({ "type": ["boolean", "string", "null"] }),
        ColumnKind::Date { .. } => {
            json!({ "type": ["string", "null"], "description": "a date, as the training table wrote them" })
        }
        ColumnKind::Text(_) => json!({ "type": ["string", "null"] }),
        ColumnKind::Picture(_) => {
            json!({ "type": "string", "format": "byte", "description": "PNG or JPEG in base64" })
        }
        ColumnKind::Sequence(Sequence { features, .. }) => {
            let number = json!({ "type": "number" });
            let position = match features {
                1 => number,
                several => {
                    json!({ "type": "array", "items": number, "minItems": several, "maxItems": several })
                }
            };
            json!({ "type": "array", "items": position, "description": "a sequence, one position after another" })
        }
        ColumnKind::List { names, separator, .. } => {
            let description = format!("a list of names, or a text with {separator} between them");
            json!({ "type": ["array", "string", "null"], "items": { "type": "string" }, "description": description, "examples": [names] })
        }
        ColumnKind::Category { names, .. } => {
            json!({ "type": ["string", "number", "null"], "examples": names })
        }
    }
}

/// The description of every path.
pub(super) fn openapi(models: &[Served]) -> Value {
    let mut paths = Map::new();
    for served in models {
        let operation = json!({ "post": operation(served) });
        paths.insert(format!("/v1/models/{}/predict", served.name), operation.clone());
        if models.len() == 1 {
            paths.insert("/predict".into(), operation);
        }
    }
    for (path, summary, kind) in [
        ("/v1/models", "The models with their inputs and answers", "application/json"),
        ("/health", "Answers as long as predictions are answered", "application/json"),
        ("/metrics", "Counts and times for Prometheus", "text/plain"),
    ] {
        let operation = json!({ "summary": summary, "responses": { "200": { "description": "OK", "content": { kind: {} } } } });
        paths.insert(path.into(), json!({ "get": operation }));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "neural serve", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": { "Error": {
            "type": "object", "required": ["error"], "properties": { "error": { "type": "string" } },
        } } },
    })
}

/// The JSON schema of an object that requires all of these keys.
fn object(properties: impl IntoIterator<Item = (String, Value)>) -> Value {
    let properties: Map<String, Value> = properties.into_iter().collect();
    let names: Vec<&String> = properties.keys().collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

/// The JSON schema of samples: a list of them, or of a model of several inputs such a list for each.
fn samples(description: &Description) -> Value {
    let list = |input: &Reads| {
        let kind = if input.dtype.is_float() { "number" } else { "integer" };
        let sample =
            input.sample.iter().enumerate().rev().fold(json!({ "type": kind }), |items, (axis, &size)| {
                let least = if input.is_masked && axis == 0 { 0 } else { size };
                json!({ "type": "array", "items": items, "minItems": least, "maxItems": size })
            });
        json!({ "type": "array", "items": sample })
    };
    match &description.reads()[..] {
        [only] => list(only),
        several => object(several.iter().map(|input| (input.name.to_string(), list(input)))),
    }
}

/// The JSON schema of the answers to a row: of the only answer, or of several under their names.
fn prediction(description: &Description, all: &[Answers]) -> Value {
    let one = |answers: &Answers| {
        let class = || json!({ "type": "string", "enum": answers.names });
        let value = match (answers.is_class, answers.is_at_positions, answers.names.len()) {
            (true, true, _) => json!({ "type": "array", "items": class() }),
            (true, false, _) => class(),
            (false, _, 1) => json!({ "type": "number" }),
            (false, _, count) => {
                json!({ "type": "array", "items": { "type": "number" }, "minItems": count, "maxItems": count })
            }
        };
        let pair = json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 });
        let widened = match (answers.widened_columns().len(), answers.is_class) {
            (0, _) => None,
            (_, true) => Some(("set".to_string(), json!({ "type": "array", "items": class() }))),
            (2, false) => Some(("interval".to_string(), pair)),
            (_, false) => Some(("intervals".to_string(), json!({ "type": "array", "items": pair }))),
        };
        object(std::iter::once((answers.target.clone(), value)).chain(widened))
    };
    match (all, &description.answers()[..]) {
        ([only], _) => one(only),
        (several, answers) => {
            let named = answers.iter().zip(several);
            object(named.map(|(answer, said)| (answer.name.to_string(), one(said))))
        }
    }
}

fn operation(served: &Served) -> Value {
    let description = &served.model.description;
    let mut content = Map::new();
    let schema = if description.columns.is_empty() {
        object([("inputs".to_string(), samples(description))])
    } else {
        let columns: Map<String, Value> =
            description.columns.iter().map(|column| (column.name.clone(), of_column(&column.kind))).collect();
        let row = json!({ "type": "object", "properties": columns });
        object([("rows".to_string(), json!({ "type": "array", "items": row }))])
    };
    content.insert("application/json".into(), json!({ "schema": schema }));
    if served.pictures().is_some() {
        for kind in ["image/png", "image/jpeg"] {
            content.insert(kind.into(), json!({ "schema": { "type": "string", "format": "binary" } }));
        }
    }
    let error = json!({ "description": "what was wrong", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } });
    let prediction = prediction(description, served.answers());
    json!({
        "summary": format!("Predictions of {}", served.name),
        "requestBody": { "required": true, "content": content },
        "responses": {
            "200": { "description": "a prediction for each row", "content": { "application/json": { "schema": {
                "type": "object",
                "properties": { "model": { "type": "string" }, "predictions": { "type": "array", "items": prediction } },
            } } } },
            "400": error, "408": error, "413": error, "415": error, "503": error,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::DType;
    use crate::data::Scaling;
    use crate::error::Result;
    use crate::model::{Link, OtherInput, OtherOutput, Others};
    use crate::nn::{self, Join, Network, Node};

    /// A picture and a table in; a class and two numbers out.
    fn description() -> Result<Description> {
        let both = Node { join: Some(Join::Concatenate), ..Node::new("left", []) };
        let nodes = [
            ("left", Node::new("picture", [nn::flatten(), nn::dense(3)])),
            ("both", Node { from: vec!["left".into(), "table".into()], ..both }),
            ("kind", Node::new("both", [nn::dense(2)])),
            ("size", Node::new("both", [nn::dense(2)])),
        ];
        let network = Network::of_nodes(nodes, ["kind", "size"])?;
        let input = |name: &str, sample: &[usize]| OtherInput {
            name: name.into(),
            sample: sample.to_vec(),
            dtype: DType::F32,
            scaling: Scaling::none(),
        };
        let size = OtherOutput {
            name: "size".into(),
            output: "size".into(),
            link: Link::Identity,
            target: "price".into(),
            target_scaling: Scaling::none(),
            classes: Vec::new(),
        };
        Ok(Description {
            classes: vec!["elm".into(), "oak".into()],
            others: Others {
                input: "picture".into(),
                inputs: vec![input("table", &[4])],
                name: "kind".into(),
                output: "kind".into(),
                outputs: vec![size],
            },
            ..Description::new(network, Link::Softmax, &[2, 2, 1], DType::U8)
        })
    }

    #[test]
    fn several_inputs_and_outputs_are_described_by_their_names() -> Result<()> {
        let description = description()?;
        let samples = samples(&description);
        assert_eq!(samples["required"], json!(["picture", "table"]));
        let pixel = &samples["properties"]["picture"]["items"]["items"]["items"]["items"];
        assert_eq!(*pixel, json!({ "type": "integer" }));
        assert_eq!(samples["properties"]["table"]["items"]["maxItems"], 4);
        let said = prediction(&description, &Answers::described(&description)?);
        let answers = |name: &str| said["properties"][name]["properties"].clone();
        assert_eq!(answers("kind")["class"], json!({ "type": "string", "enum": ["elm", "oak"] }));
        assert_eq!(answers("size")["price"]["minItems"], 2);
        Ok(())
    }
}
