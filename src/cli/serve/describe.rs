//! The server described for programs: the models' schemas and `OpenAPI`.

use super::worker::Served;
use crate::data::table::ColumnKind;
use serde_json::{Map, Value, json};

/// The models with what they take and give.
pub(super) fn list(models: &[Served]) -> Value {
    let one = |served: &Served| {
        let description = &served.model.description;
        json!({
            "name": served.name,
            "target": description.target,
            "sample": description.sample,
            "dtype": description.dtype,
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
        ("/v1/models", "The models with what they take and give", "application/json"),
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

fn operation(served: &Served) -> Value {
    let description = &served.model.description;
    let mut content = Map::new();
    let mut samples = json!({ "type": "number" });
    for &size in description.sample.iter().rev() {
        samples = json!({ "type": "array", "items": samples, "minItems": size, "maxItems": size });
    }
    let schema = if description.columns.is_empty() {
        json!({ "type": "object", "required": ["inputs"], "properties": { "inputs": { "type": "array", "items": samples } } })
    } else {
        let columns: Map<String, Value> =
            description.columns.iter().map(|column| (column.name.clone(), of_column(&column.kind))).collect();
        let row = json!({ "type": "object", "properties": columns });
        json!({ "type": "object", "required": ["rows"], "properties": { "rows": { "type": "array", "items": row } } })
    };
    content.insert("application/json".into(), json!({ "schema": schema }));
    if served.pictures().is_some() {
        for kind in ["image/png", "image/jpeg"] {
            content.insert(kind.into(), json!({ "schema": { "type": "string", "format": "binary" } }));
        }
    }
    let error = json!({ "description": "what was wrong", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } });
    let answer = if description.classes.is_empty() {
        json!({})
    } else {
        json!({ "type": "string", "enum": description.classes })
    };
    let name = if description.target.is_empty() { "output" } else { &description.target };
    let prediction = json!({ "type": "object", "properties": { name: answer } });
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
