//! The parts of a model: their places, their rows of the summary, and the results that are observed or computed again.

use super::Context;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::nn::Module;
use crate::nn::summary::Row;
use crate::variables::{Role, Variable};

impl<'a> Context<'a> {
    /// In training, the results within the parts of the model at these paths are not kept for the gradients but computed
    /// again, see [`Graph::recomputed`](crate::graph::Graph::recomputed).
    #[must_use]
    pub fn recomputing(mut self, paths: &'a [String]) -> Self {
        self.recompute = paths;
        self
    }

    /// Builds a part of the model named `name`: its variables begin with it, and its errors name it.
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::{Context, Module, dense}, variables::Variables};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// # let mut cx = Context::evaluation(&mut variables);
    /// let x = graph.parameter(DType::F32, &[8, 3]);
    /// let error = cx.within("2", "dense", |cx| dense(0).forward(&x, cx)).unwrap_err();
    /// assert!(error.to_string().starts_with("layer 2 (dense): units: "));
    /// ```
    ///
    /// # Errors
    /// Any error of `build`.
    pub fn within<R>(
        &mut self,
        name: &str,
        kind: &str,
        build: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        self.path.push(name.to_string());
        let place = format!("layer {} ({kind})", self.path.join("."));
        let graph = self.variables.graph().clone();
        let result = graph.within(&place, || build(self)).map_err(|error| match error {
            located @ Error::At { .. } => located,
            error => error.at(&place),
        });
        self.path.pop();
        result
    }

    /// Runs `module` as the part of the model named `name`, see [`Context::within`], and notes it for the summary.
    ///
    /// # Errors
    /// Any error of the module, with the part's name.
    pub fn part(
        &mut self,
        name: &str,
        kind: &str,
        module: &(impl Module + ?Sized),
        x: &Tensor,
    ) -> Result<Tensor> {
        self.within(name, kind, |cx| {
            let place = cx.noted();
            let y = cx.build_part(&cx.path.join("."), |cx| module.forward(x, cx))?;
            cx.note(kind, &y, place);
            let path = cx.path.join(".");
            if let Some(observed) = &mut cx.observed {
                observed.push((path, y.clone()));
            }
            Ok(y)
        })
    }

    /// Notes a layer's result for the summary, above the rows of its parts, which begin at `place`.
    fn note(&mut self, kind: &str, output: &Tensor, place: usize) {
        let prefix = format!("{}.", self.path.join("."));
        let own = |role: Role| -> usize {
            let all = self.variables.variables().filter(|v| v.role == role && v.name.starts_with(&prefix));
            all.map(Variable::len).sum()
        };
        let (parameters, statistics) = (own(Role::Parameter), own(Role::Statistic));
        let row = Row {
            path: self.path.join("."),
            kind: kind.into(),
            name: String::new(),
            output: output.shape().to_vec(),
            parameters,
            statistics,
        };
        self.rows.insert(place, row);
    }

    /// Notes a node's result and where its input comes from, above the rows of its layers, which begin at `place`.
    pub(in crate::nn) fn note_node(&mut self, name: &str, from: &str, output: &Tensor, place: usize) {
        self.path.push(name.to_string());
        self.note(from, output, place);
        self.path.pop();
    }

    /// The number of rows noted so far.
    pub(in crate::nn) fn noted(&self) -> usize {
        self.rows.len()
    }

    /// Builds a part whose layers are noted elsewhere already.
    pub(in crate::nn) fn unnoted<R>(&mut self, build: impl FnOnce(&mut Self) -> R) -> R {
        let noted = self.noted();
        let result = build(self);
        self.rows.truncate(noted);
        result
    }

    pub(in crate::nn) fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    /// Keeps the values that each weight is multiplied with, under the weight's name, and the result of each part, under its
    /// path, for [`Context::into_observed`].
    #[must_use]
    pub(crate) fn observing(self) -> Self {
        Self { observed: Some(Vec::new()), ..self }
    }

    /// Records that the layer's variable `weight` is multiplied with `x`, or a part of it, `weight:part`.
    pub(in crate::nn) fn observe(&mut self, weight: &str, x: &Tensor) {
        let name = self.name(weight);
        if let Some(observed) = &mut self.observed {
            observed.push((name, x.clone()));
        }
    }

    pub(crate) fn into_observed(self) -> Vec<(String, Tensor)> {
        self.observed.unwrap_or_default()
    }

    /// Builds the part at `path`, recomputed if [`Context::recomputing`] names it.
    pub(in crate::nn) fn build_part(
        &mut self,
        path: &str,
        build: impl FnOnce(&mut Self) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if !self.training || !self.recompute.iter().any(|again| again == path) {
            return build(self);
        }
        let graph = self.graph().clone();
        graph.recomputed(|| build(self))
    }
}
