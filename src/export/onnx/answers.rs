//! Answers from scores: the name of the class, or the labels that apply.

use super::builder::{Builder, Value, int, tensor_info};
use super::proto::{DataType, ValueInfo};
use crate::array::Array;
use crate::model::{Answer, Link, class_name};

/// Whether there is a probability that a threshold divides: of the second of two classes, or of labels.
pub fn has_threshold(answer: &Answer, width: usize) -> bool {
    match (answer.link, answer.classes.len()) {
        (Link::Identity, _) | (Link::Softmax, 0) => false,
        (Link::Sigmoid, 0) => true,
        (Link::Softmax | Link::Sigmoid, classes) => classes == 2 && width <= 2,
    }
}

impl Builder<'_> {
    /// The answer besides the scores `[batch, outputs]`, if the model predicts more than values.
    pub fn answer(&mut self, answer: &Answer, scores: &Value, threshold: f64) -> Option<ValueInfo> {
        let (classes, width) = (answer.classes, scores.shape[scores.rank() - 1]);
        let divides = has_threshold(answer, width);
        let called = |kind: &str| match answer.name {
            "" => kind.to_string(),
            name => format!("{name}.{kind}"),
        };
        if classes.is_empty() {
            if !divides {
                return None;
            }
            let name = self.unique(called("labels"));
            let is_there = self.above(&scores.name, threshold);
            self.push("Identity", &[&is_there], vec![name.clone()], vec![]);
            return Some(tensor_info(&name, DataType::Bool, &[1, width]));
        }
        let place = if divides {
            // The last score is the second of two, or the only one, which stands for the second class.
            let last = self.ints(&[width as i64 - 1]);
            let second = self.node("Gather", &[&scores.name, &last], vec![int("axis", 1)]);
            let is_second = self.above(&second, threshold);
            let place = self.node("Cast", &[&is_second], vec![int("to", DataType::Int64 as i64)]);
            let axis = self.ints(&[1]);
            self.node("Squeeze", &[&place, &axis], vec![])
        } else {
            self.node("ArgMax", &[&scores.name], vec![int("axis", 1), int("keepdims", 0)])
        };
        let of = |i: usize| class_name(classes, i);
        let names: Vec<String> = (0..width.max(classes.len())).map(of).collect();
        let names = self.texts("classes", &names);
        let name = self.unique(called("label"));
        self.push("Gather", &[&names, &place], vec![name.clone()], vec![int("axis", 0)]);
        Some(tensor_info(&name, DataType::String, &[1]))
    }

    /// Whether probabilities in f32 are above a threshold in f64.
    fn above(&mut self, probabilities: &str, threshold: f64) -> String {
        let exact = self.node("Cast", &[probabilities], vec![int("to", DataType::Double as i64)]);
        let threshold = self.operand(&Array::scalar(threshold));
        self.node("Greater", &[&exact, &threshold], vec![])
    }
}
