//! A model as a picture of its parts.

use crate::model::{Description, Link};
use crate::nn::{Network, Node, Nodes, Row, Summary, grouped};
use crate::plot::{Block, Diagram, Role};
use crate::{DType, Result};
use std::path::Path;

/// Draws the model of the run or recipe at `path`, with the layers of `summary`.
///
/// # Errors
/// When nodes make a circle.
pub fn of(path: &Path, description: &Description, summary: &Summary) -> Result<Diagram> {
    let name = path.file_stem().or(path.file_name()).unwrap_or_default().to_string_lossy();
    let title = format!("{name}: {} parameters", grouped(summary.parameters()));
    let mut diagram = Drawing { diagram: Diagram::new(title), names: Vec::new() };
    for read in description.reads() {
        let block = Block::new(read.name, Role::Input);
        let kind = if read.dtype == DType::F32 { "" } else { &read.dtype.to_string() };
        diagram.add(read.name, block.row(0, [shape(read.sample), kind.into(), String::new()]), &[]);
    }
    match &description.layers {
        Network::Layers(_) => diagram.list(summary),
        Network::Nodes(nodes) => diagram.nodes(nodes, summary)?,
        Network::Custom(_) => diagram.list(summary),
    }
    for answer in description.answers() {
        let (called, gives) =
            (if answer.name.is_empty() { "output" } else { answer.name }, link(answer.link));
        let mut block = Block::new(called, Role::Output);
        if let Some(gives) = gives {
            block = block.row(0, [gives.into(), String::new(), String::new()]);
        }
        // A list of layers ends in its last block.
        let from = diagram.names.last().cloned().filter(|_| answer.output.is_empty());
        let from = from.unwrap_or_else(|| answer.output.to_string());
        diagram.add(&format!("output {called}"), block, &[&from]);
    }
    Ok(diagram.diagram)
}

struct Drawing {
    diagram: Diagram,
    /// The name of each block, by its place.
    names: Vec<String>,
}

impl Drawing {
    fn add(&mut self, name: &str, block: Block, from: &[&str]) {
        let place = self.names.len();
        let mut diagram = std::mem::replace(&mut self.diagram, Diagram::new("")).block(block);
        for from in from {
            if let Some(from) = self.names.iter().position(|known| known == from) {
                diagram = diagram.arrow(from, place);
            }
        }
        self.diagram = diagram;
        self.names.push(name.to_string());
    }

    /// A block for each layer with parameters, together with the layers without parameters that follow it.
    fn list(&mut self, summary: &Summary) {
        let mut rows = &summary.rows[..];
        let is_part = |row: &Row| row.path.contains('.');
        while let Some(first) = rows.first() {
            let more = rows[1..].iter().take_while(|row| is_part(row) || row.parameters == 0).count();
            let (own, rest) = rows.split_at(1 + more);
            let before = self.names.last().cloned().unwrap_or_default();
            let last = own.iter().rfind(|row| !is_part(row)).map_or("", |row| &row.path);
            let heading = match last == first.path {
                true => first.path.clone(),
                false => format!("{} to {last}", first.path),
            };
            let word = if last == first.path { "layer" } else { "layers" };
            let block = Block::new(format!("{word} {heading}"), Role::Part);
            self.add(&format!("layer {heading}"), filled(block, own, ""), &[&before]);
            rows = rest;
        }
    }

    fn nodes(&mut self, nodes: &Nodes, summary: &Summary) -> Result<()> {
        for name in nodes.order()? {
            let node = &nodes.nodes[name];
            let mut block = Block::new(name, Role::Part);
            let head = summary.rows.iter().find(|row| row.path == name);
            if let (Some(joined), Some(head)) = (joined(node), head) {
                let result = if node.layers.is_empty() { shape(&head.output[1..]) } else { String::new() };
                block = block.row(0, [joined, result, String::new()]);
            }
            let prefix = format!("{name}.");
            let own: Vec<Row> =
                summary.rows.iter().filter(|row| row.path.starts_with(&prefix)).cloned().collect();
            let from: Vec<&str> = node.from.iter().map(String::as_str).collect();
            self.add(name, filled(block, &own, &prefix), &from);
        }
        Ok(())
    }
}

/// The first step of a node, before its layers.
fn joined(node: &Node) -> Option<String> {
    match (&node.join, &node.like) {
        (Some(join), None) => Some(join.kind().to_string()),
        (Some(join), Some(other)) => Some(format!("{}, the layers of {other}", join.kind())),
        (None, Some(other)) => Some(format!("the layers of {other}")),
        (None, None) => None,
    }
}

/// The block with a row for each of `rows`; parts of a layer are indented.
fn filled(block: Block, rows: &[Row], prefix: &str) -> Block {
    rows.iter().fold(block, |block, row| {
        let path = row.path.strip_prefix(prefix).unwrap_or(&row.path);
        let words: Vec<&str> = path.split('.').collect();
        let depth = words.len() / 2;
        let is_shortcut = words.iter().rev().nth(1) == Some(&"shortcut");
        let kind = if is_shortcut { format!("{} (shortcut)", row.kind) } else { row.kind.clone() };
        let parameters = if row.parameters > 0 { grouped(row.parameters) } else { String::new() };
        block.row(depth, [kind, shape(&row.output[1..]), parameters])
    })
}

fn shape(sample: &[usize]) -> String {
    match sample {
        [] => "1".into(),
        sample => sample.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "),
    }
}

fn link(link: Link) -> Option<&'static str> {
    match link {
        Link::Identity => None,
        Link::Softmax => Some("softmax"),
        Link::Sigmoid => Some("sigmoid"),
    }
}
