//! Optimizers as they are named and written in a recipe.

use super::accumulate::Share;
use super::average::{self, Average};
use super::group::{self, Group};
use super::schedule::Schedule;
use super::transform::{Item, Transform};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::named::{self, Named};
use crate::variables::{Role, Variable, Variables};
use serde::{Deserialize, Deserializer, Serialize};

/// The rule by which parameters move, by its name.
///
/// ```
/// use neural::optim::{Rule, sgd};
/// assert!(matches!(sgd(0.1).rule, Rule::Sgd { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", remote = "Self", deny_unknown_fields)]
pub enum Rule {
    /// w ← w - rate · g, with momentum (Polyak, 1964) and Nesterov's variant if asked for. Weight decay is added to the
    /// gradient.
    Sgd {
        #[serde(default = "hundredth", alias = "lr")]
        learning_rate: Schedule,
        #[serde(default)]
        momentum: f64,
        #[serde(default)]
        nesterov: bool,
        #[serde(default)]
        weight_decay: f64,
    },
    /// See [`Transform::RmsProp`].
    Rmsprop {
        #[serde(default = "thousandth", alias = "lr")]
        learning_rate: Schedule,
        #[serde(default = "decay")]
        decay: f64,
        #[serde(default = "epsilon")]
        epsilon: f64,
        #[serde(default)]
        momentum: f64,
        #[serde(default)]
        weight_decay: f64,
    },
    /// See [`Transform::Adagrad`].
    Adagrad {
        #[serde(default = "hundredth", alias = "lr")]
        learning_rate: Schedule,
        #[serde(default = "small_epsilon")]
        epsilon: f64,
        #[serde(default)]
        weight_decay: f64,
    },
    /// See [`Transform::Adam`]; weight decay is added to the gradient.
    Adam {
        #[serde(default = "thousandth", alias = "lr")]
        learning_rate: Schedule,
        #[serde(default = "decay")]
        beta1: f64,
        #[serde(default = "beta2")]
        beta2: f64,
        #[serde(default = "epsilon")]
        epsilon: f64,
        #[serde(default)]
        epsilon_root: f64,
        #[serde(default)]
        weight_decay: f64,
    },
    /// Adam whose weight decay does not pass through the rescaling (Loshchilov and Hutter, 2019).
    Adamw {
        #[serde(default = "thousandth", alias = "lr")]
        learning_rate: Schedule,
        #[serde(default = "decay")]
        beta1: f64,
        #[serde(default = "beta2")]
        beta2: f64,
        #[serde(default = "epsilon")]
        epsilon: f64,
        #[serde(default = "weight_decay")]
        weight_decay: f64,
    },
    /// See [`Transform::Lion`]; the decay is decoupled.
    Lion {
        #[serde(default = "lion_rate", alias = "lr")]
        learning_rate: Schedule,
        #[serde(default = "decay")]
        beta1: f64,
        #[serde(default = "lion_beta2")]
        beta2: f64,
        #[serde(default)]
        weight_decay: f64,
    },
    /// See [`Transform::Muon`]; parameters that are not matrices follow their momentum. The decay is decoupled.
    Muon {
        #[serde(default = "muon_rate", alias = "lr")]
        learning_rate: Schedule,
        #[serde(default = "muon_momentum")]
        momentum: f64,
        #[serde(default = "yes")]
        nesterov: bool,
        #[serde(default = "newton_steps")]
        steps: usize,
        #[serde(default)]
        weight_decay: f64,
    },
}

// Learning rates where a recipe names none: those of Keras, or of the optimizer's paper.

fn hundredth() -> Schedule {
    0.01.into()
}

fn thousandth() -> Schedule {
    0.001.into()
}

fn lion_rate() -> Schedule {
    0.0001.into()
}

fn muon_rate() -> Schedule {
    0.02.into()
}

fn decay() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.999
}

fn lion_beta2() -> f64 {
    0.99
}

fn epsilon() -> f64 {
    1e-8
}

fn small_epsilon() -> f64 {
    1e-10
}

fn weight_decay() -> f64 {
    0.01
}

fn muon_momentum() -> f64 {
    0.95
}

fn newton_steps() -> usize {
    5
}

fn yes() -> bool {
    true
}

impl Named for Rule {
    const WHAT: &'static str = "an optimizer";
    const NAMES: &'static [&'static str] = &["sgd", "rmsprop", "adagrad", "adam", "adamw", "lion", "muon"];

    fn read<'de, D: Deserializer<'de>>(name: &str, settings: D) -> std::result::Result<Self, D::Error> {
        named::variant(name, "learning_rate", settings, |one| Rule::deserialize(one))
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Rule::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        named::deserialize(deserializer)
    }
}

impl Rule {
    /// ```
    /// assert_eq!(neural::optim::adam(0.01).rule.learning_rate().at(5), 0.01);
    /// ```
    pub fn learning_rate(&self) -> &Schedule {
        match self {
            Rule::Sgd { learning_rate, .. }
            | Rule::Rmsprop { learning_rate, .. }
            | Rule::Adagrad { learning_rate, .. }
            | Rule::Adam { learning_rate, .. }
            | Rule::Adamw { learning_rate, .. }
            | Rule::Lion { learning_rate, .. }
            | Rule::Muon { learning_rate, .. } => learning_rate,
        }
    }

    /// The same rule at another learning rate.
    ///
    /// ```
    /// assert_eq!(neural::optim::adam(0.01).rule.with_learning_rate(0.1).learning_rate().at(0), 0.1);
    /// ```
    #[must_use]
    pub fn with_learning_rate(mut self, schedule: impl Into<Schedule>) -> Self {
        match &mut self {
            Rule::Sgd { learning_rate, .. }
            | Rule::Rmsprop { learning_rate, .. }
            | Rule::Adagrad { learning_rate, .. }
            | Rule::Adam { learning_rate, .. }
            | Rule::Adamw { learning_rate, .. }
            | Rule::Lion { learning_rate, .. }
            | Rule::Muon { learning_rate, .. } => *learning_rate = schedule.into(),
        }
        self
    }

    /// The chain of transformations that the rule stands for.
    ///
    /// ```
    /// assert!(neural::optim::sgd(0.1).rule.chain().is_empty());
    /// assert_eq!(neural::optim::adam(0.1).rule.chain().len(), 1);
    /// ```
    pub fn chain(&self) -> Vec<Transform> {
        let some = |condition: bool, transform: Transform| condition.then_some(transform);
        let l2 = |rate: f64| some(rate != 0.0, Transform::Decay(rate));
        let links = match *self {
            Rule::Sgd { momentum, nesterov, weight_decay, .. } => {
                vec![l2(weight_decay), some(momentum != 0.0, Transform::Trace { decay: momentum, nesterov })]
            }
            Rule::Rmsprop { decay, epsilon, momentum, weight_decay, .. } => vec![
                l2(weight_decay),
                Some(Transform::RmsProp { decay, epsilon }),
                some(momentum != 0.0, Transform::Trace { decay: momentum, nesterov: false }),
            ],
            Rule::Adagrad { epsilon, weight_decay, .. } => {
                vec![l2(weight_decay), Some(Transform::Adagrad { epsilon })]
            }
            Rule::Adam { beta1, beta2, epsilon, epsilon_root, weight_decay, .. } => {
                vec![l2(weight_decay), Some(Transform::Adam { beta1, beta2, epsilon, epsilon_root })]
            }
            Rule::Adamw { beta1, beta2, epsilon, weight_decay, .. } => {
                vec![Some(Transform::Adam { beta1, beta2, epsilon, epsilon_root: 0.0 }), l2(weight_decay)]
            }
            Rule::Lion { beta1, beta2, weight_decay, .. } => {
                vec![Some(Transform::Lion { beta1, beta2 }), l2(weight_decay)]
            }
            Rule::Muon { momentum, nesterov, steps, weight_decay, .. } => {
                vec![Some(Transform::Muon { momentum, nesterov, steps }), l2(weight_decay)]
            }
        };
        links.into_iter().flatten().collect()
    }

    fn check(&self) -> Result<()> {
        self.learning_rate().check()?;
        let part = |name: &str, value: f64| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(Error::value(name, "a number from 0 to below 1", value)),
        };
        let positive = |name: &str, value: f64| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(Error::value(name, "a finite number of at least 0", value)),
        };
        for link in self.chain() {
            match link {
                Transform::ClipValue(v) | Transform::ClipNorm(v) => positive("clip", v)?,
                Transform::Decay(v) | Transform::DecayL1(v) => positive("weight_decay", v)?,
                Transform::Trace { decay, .. } => part("momentum", decay)?,
                Transform::RmsProp { decay, epsilon } => {
                    part("decay", decay)?;
                    positive("epsilon", epsilon)?;
                }
                Transform::Adagrad { epsilon } => positive("epsilon", epsilon)?,
                Transform::Adam { beta1, beta2, epsilon, epsilon_root } => {
                    part("beta1", beta1)?;
                    part("beta2", beta2)?;
                    positive("epsilon", epsilon)?;
                    positive("epsilon_root", epsilon_root)?;
                }
                Transform::Lion { beta1, beta2 } => {
                    part("beta1", beta1)?;
                    part("beta2", beta2)?;
                }
                Transform::Muon { momentum, steps, .. } => {
                    part("momentum", momentum)?;
                    // Each is written out in the program.
                    if !(1..100).contains(&steps) {
                        return Err(Error::value("steps", "a number from 1 to 99", steps));
                    }
                }
            }
        }
        if matches!(self, Rule::Sgd { nesterov: true, momentum: 0.0, .. }) {
            return Err(Error::value("nesterov", "a momentum above 0 with it", "momentum 0"));
        }
        Ok(())
    }
}

/// A rule with what surrounds it.
///
/// ```
/// use neural::optim::{Optimizer, adam};
/// let optimizer = Optimizer { clip_norm: Some(1.0), ..adam(1e-3) };
/// assert_eq!(optimizer.rule.learning_rate().at(0), 1e-3);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    /// The name under which its state is kept, `optimizer.<name>.…`, where several share the variables; otherwise empty.
    pub name: String,
    pub rule: Rule,
    /// Gradients' elements are limited to this.
    pub clip_value: Option<f64>,
    /// The norm of all gradients together is limited to this.
    pub clip_norm: Option<f64>,
    /// The gradient of this times Σ |w| is added.
    pub l1: f64,
    /// How many steps share an update, which is made with the mean gradient of all their rows. At the end of an epoch
    /// the steps that are left make one, fewer though they are. Schedules count steps, not updates.
    pub accumulate: usize,
    /// A moving average of the parameters, `average.<name>`, if one is kept: it is what is evaluated and exported.
    pub average: Option<Average>,
    pub groups: Vec<Group>,
    /// The paths of what stays as it is, see [`Group`]. Nothing of it moves: no parameter by its gradient or by decay,
    /// no average, and no running statistic. A frozen batch norm normalises by its running statistics in training
    /// too, as Keras's with `trainable = False`. A frozen parameter's gradient is no part of [`Self::clip_norm`], and
    /// the optimizer keeps no state for it.
    pub freeze: Vec<String>,
    /// The paths of the parameters that it moves, see [`Group`]; all of them where it is empty. Others get no gradient,
    /// but unlike frozen ones they are in training: another optimizer moves them, and their statistics follow the data.
    pub trains: Vec<String>,
}

/// What an update depends on that differs from step to step.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// A floating-point scalar.
    pub learning_rate: &'a Tensor,
    /// How far [`Optimizer::average`] goes towards the parameters, a floating-point scalar: see [`Average::rate`].
    pub average_rate: Option<&'a Tensor>,
    /// Where the update is shared with other steps.
    pub share: Option<Share<'a>>,
}

impl<'a> Inputs<'a> {
    /// Those of an optimizer that updates in every step and keeps no average.
    pub fn rate(learning_rate: &'a Tensor) -> Self {
        Self { learning_rate, average_rate: None, share: None }
    }
}

impl From<Rule> for Optimizer {
    fn from(rule: Rule) -> Self {
        Self {
            name: String::new(),
            rule,
            clip_value: None,
            clip_norm: None,
            l1: 0.0,
            accumulate: 1,
            average: None,
            groups: Vec::new(),
            freeze: Vec::new(),
            trains: Vec::new(),
        }
    }
}

/// Plain gradient descent.
///
/// ```
/// assert_eq!(neural::optim::sgd(0.1).rule.learning_rate().at(0), 0.1);
/// ```
pub fn sgd(learning_rate: impl Into<Schedule>) -> Optimizer {
    let learning_rate = learning_rate.into();
    Rule::Sgd { learning_rate, momentum: 0.0, nesterov: false, weight_decay: 0.0 }.into()
}

/// Adam with its usual settings.
///
/// ```
/// assert!(neural::optim::adam(0.001).check().is_ok());
/// ```
pub fn adam(learning_rate: impl Into<Schedule>) -> Optimizer {
    Rule::Adam {
        learning_rate: learning_rate.into(),
        beta1: decay(),
        beta2: beta2(),
        epsilon: epsilon(),
        epsilon_root: 0.0,
        weight_decay: 0.0,
    }
    .into()
}

/// AdamW with its usual settings.
///
/// ```
/// assert_eq!(neural::optim::adamw(0.001, 0.05).rule.chain().len(), 2);
/// ```
pub fn adamw(learning_rate: impl Into<Schedule>, weight_decay: f64) -> Optimizer {
    Rule::Adamw {
        learning_rate: learning_rate.into(),
        beta1: decay(),
        beta2: beta2(),
        epsilon: epsilon(),
        weight_decay,
    }
    .into()
}

impl Optimizer {
    /// ```
    /// use neural::optim::{Optimizer, sgd};
    /// assert!(sgd(f64::NAN).check().is_err());
    /// assert!(Optimizer { accumulate: 0, ..sgd(0.1) }.check().is_err());
    /// ```
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn check(&self) -> Result<()> {
        self.rule.check()?;
        if self.accumulate == 0 {
            return Err(Error::value("accumulate", "a number of steps above 0", 0));
        }
        for (name, limit) in [("clip_value", self.clip_value), ("clip_norm", self.clip_norm)] {
            if let Some(limit) = limit.filter(|limit| !(limit.is_finite() && *limit > 0.0)) {
                return Err(Error::value(name, "a finite number above 0", limit));
            }
        }
        if !(self.l1.is_finite() && self.l1 >= 0.0) {
            return Err(Error::value("l1", "a finite number of at least 0", self.l1));
        }
        self.groups.iter().try_for_each(Group::check)?;
        self.average.iter().try_for_each(Average::check)
    }

    /// That the paths of the groups and of what is frozen name `variables`, and leave something to train.
    ///
    /// # Errors
    /// When one of them does not, or nothing is left.
    pub fn check_paths(&self, variables: &[Variable]) -> Result<()> {
        let groups = self.groups.iter().map(|group| ("groups", &group.name));
        let freeze = self.freeze.iter().map(|path| ("freeze", path));
        for (key, path) in groups.chain(freeze).chain(self.trains.iter().map(|path| ("trains", path))) {
            group::check_path(key, path, variables)?;
        }
        let mut parameters = variables.iter().filter(|v| v.role == Role::Parameter).peekable();
        match parameters.peek().is_some() && parameters.all(|v| !self.is_trained(&v.name)) {
            true => Err(Error::value("freeze", "a parameter that is left to train", "all of them frozen")),
            false => Ok(()),
        }
    }

    /// Whether the variable of this name is frozen, see [`Optimizer::freeze`].
    ///
    /// ```
    /// use neural::optim::{Optimizer, sgd};
    /// let optimizer = Optimizer { freeze: vec!["0".into()], ..sgd(0.1) };
    /// assert!(optimizer.is_frozen("0.weight") && !optimizer.is_frozen("10.weight"));
    /// ```
    pub fn is_frozen(&self, variable: &str) -> bool {
        self.freeze.iter().any(|path| group::covers(path, variable))
            || self.groups.iter().any(|group| group.learning_rate == 0.0 && group.covers(variable))
    }

    fn is_trained(&self, parameter: &str) -> bool {
        let is_meant =
            self.trains.is_empty() || self.trains.iter().any(|path| group::covers(path, parameter));
        is_meant && !self.is_frozen(parameter)
    }

    /// The parameters that an update moves, with their values: those that are not frozen.
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::Init, variables::{Role, Variables}};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// use neural::optim::{Optimizer, sgd};
    /// variables.get(Role::Parameter, "0.weight", &[2], &Init::Ones, (1, 1))?;
    /// assert_eq!(sgd(0.1).trained(&variables).len(), 1);
    /// assert!(Optimizer { freeze: vec!["0".into()], ..sgd(0.1) }.trained(&variables).is_empty());
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn trained(&self, variables: &Variables) -> Vec<(Variable, Tensor)> {
        variables.parameters().into_iter().filter(|(variable, _)| self.is_trained(&variable.name)).collect()
    }

    /// The name of a variable of the optimizer's own.
    fn slot(&self, what: &str) -> String {
        ["optimizer", &self.name, what]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(".")
    }

    fn chain(&self) -> Vec<Transform> {
        let clips = [self.clip_value.map(Transform::ClipValue), self.clip_norm.map(Transform::ClipNorm)];
        let l1 = (self.l1 != 0.0).then_some(Transform::DecayL1(self.l1));
        clips.into_iter().flatten().chain(l1).chain(self.rule.chain()).collect()
    }

    /// Moves the parameters among `variables` that are [`trained`](Optimizer::trained) by their `gradients`, given in
    /// the same order.
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::Init, variables::{Role, Variables}};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// use neural::optim::{Inputs, sgd};
    /// let w = variables.get(Role::Parameter, "w", &[2], &Init::Ones, (1, 1))?;
    /// sgd(0.1).update(&mut variables, &[w.full_like(1.0)?], Inputs::rate(&graph.scalar(0.1f32)))?;
    /// assert_ne!(variables.after()[0].id(), w.id());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the optimizer's variables do not fit, or it keeps an average and no rate for it is given.
    pub fn update(&self, variables: &mut Variables, gradients: &[Tensor], inputs: Inputs) -> Result<()> {
        let parameters = self.trained(variables);
        let gradients = match inputs.share {
            Some(share) => share.mean(&self.slot("accumulated"), variables, &parameters, gradients)?,
            None => gradients.to_vec(),
        };
        variables.gate(inputs.share.map(|share| share.is_last.clone()));

        let mut items: Vec<_> = parameters
            .iter()
            .zip(gradients)
            .map(|((variable, value), gradient)| {
                let decay = self.groups_of(&variable.name).map(|group| group.weight_decay).product();
                Item { variable, value, gradient, decay }
            })
            .collect();
        for transform in self.chain() {
            transform.apply(&mut items, &self.slot(""), variables)?;
        }
        for item in &items {
            let factor: f64 = self.groups_of(&item.variable.name).map(|group| group.learning_rate).product();
            let rate = inputs.learning_rate.convert(item.value.dtype())?;
            let rate = if factor == 1.0 { rate } else { (rate * factor)? };
            let moved = (item.value - (rate * &item.gradient)?)?;
            variables.set(&item.variable.name, moved.clone())?;
            if self.average.is_some() {
                let Some(rate) = inputs.average_rate else {
                    return Err(Error::value("average_rate", "a rate for the moving average", "none"));
                };
                let name = average::name(&item.variable.name);
                let old = variables.get_copy(Role::Average, &name, item.variable)?;
                // In this form an average that equals the parameter stays equal, to the bit.
                let towards = (rate.convert(old.dtype())? * (moved - &old)?)?;
                variables.set(&name, (old + towards)?)?;
            }
        }
        variables.gate(None);
        Ok(())
    }

    fn groups_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(move |group| group.covers(name))
    }
}
