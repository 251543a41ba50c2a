//! Optimizers as they are named and written in a recipe.

use super::schedule::Schedule;
use super::transform::{Item, Transform, counter};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::named::{self, Named};
use crate::nn::Init;
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
        learning_rate: Schedule,
        #[serde(default = "small_epsilon")]
        epsilon: f64,
        #[serde(default)]
        weight_decay: f64,
    },
    /// See [`Transform::Adam`]; weight decay is added to the gradient.
    Adam {
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
        named::variant(name, settings, |one| Rule::deserialize(one))
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
                Transform::Muon { momentum, .. } => part("momentum", momentum)?,
            }
        }
        Ok(())
    }
}

/// Parameters that are treated differently: those whose name contains `name`.
///
/// ```
/// use neural::optim::{Group, Optimizer, sgd};
/// let frozen = Group { name: "0.".into(), learning_rate: 0.0, weight_decay: 1.0 };
/// assert!(Optimizer { groups: vec![frozen], ..sgd(0.1) }.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// A part of the parameters' names, such as `bias` or `4.`.
    pub name: String,
    /// By how much the learning rate is multiplied; 0 freezes the parameters.
    #[serde(default = "unit")]
    pub learning_rate: f64,
    /// By how much the weight decay is multiplied.
    #[serde(default = "unit")]
    pub weight_decay: f64,
}

fn unit() -> f64 {
    1.0
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
    pub rule: Rule,
    /// Gradients' elements are limited to this.
    pub clip_value: Option<f64>,
    /// The norm of all gradients together is limited to this.
    pub clip_norm: Option<f64>,
    /// The gradient of this times Σ |w| is added.
    pub l1: f64,
    /// Parameters move once in so many steps, by the mean of their gradients.
    pub accumulate: usize,
    /// The decay of the moving average of the parameters, `average.<name>`, if one is kept.
    pub average: Option<f64>,
    pub groups: Vec<Group>,
}

impl From<Rule> for Optimizer {
    fn from(rule: Rule) -> Self {
        Self {
            rule,
            clip_value: None,
            clip_norm: None,
            l1: 0.0,
            accumulate: 1,
            average: None,
            groups: Vec::new(),
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
        match self.average {
            Some(decay) if !(0.0..1.0).contains(&decay) => {
                Err(Error::value("average", "a decay from 0 to below 1", decay))
            }
            _ => Ok(()),
        }
    }

    fn chain(&self) -> Vec<Transform> {
        let clips = [self.clip_value.map(Transform::ClipValue), self.clip_norm.map(Transform::ClipNorm)];
        let l1 = (self.l1 != 0.0).then_some(Transform::DecayL1(self.l1));
        clips.into_iter().flatten().chain(l1).chain(self.rule.chain()).collect()
    }

    /// Moves the parameters among `variables` by their `gradients`, given in the same order, at this learning rate
    /// (a floating-point scalar).
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::Init, variables::{Role, Variables}};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// let w = variables.get(Role::Parameter, "w", &[2], &Init::Ones, (1, 1))?;
    /// neural::optim::sgd(0.1).update(&mut variables, &[w.full_like(1.0)?], &graph.scalar(0.1f32))?;
    /// assert_ne!(variables.after()[0].id(), w.id());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the optimizer's variables do not fit.
    pub fn update(
        &self,
        variables: &mut Variables,
        gradients: &[Tensor],
        learning_rate: &Tensor,
    ) -> Result<()> {
        let parameters = variables.parameters();
        let (gradients, updates) = self.accumulated(variables, &parameters, gradients)?;
        variables.gate(updates);

        let mut items: Vec<_> = parameters
            .iter()
            .zip(gradients)
            .map(|((variable, value), gradient)| {
                let decay = self.groups_of(&variable.name).map(|group| group.weight_decay).product();
                Item { variable, value, gradient, decay }
            })
            .collect();
        for transform in self.chain() {
            transform.apply(&mut items, variables)?;
        }
        for item in &items {
            let scale: f64 = self.groups_of(&item.variable.name).map(|group| group.learning_rate).product();
            if scale != 0.0 {
                let rate = learning_rate.convert(item.value.dtype())?;
                let rate = if scale == 1.0 { rate } else { (rate * scale)? };
                variables.set(&item.variable.name, (item.value - (rate * &item.gradient)?)?)?;
            }
        }

        variables.gate(None);
        if let Some(decay) = self.average {
            for (variable, _) in &parameters {
                let Variable { name, role, shape, init, fans, .. } = variable;
                let moved = variables.get(*role, name, shape, init, *fans)?;
                // It begins as the parameter does.
                let average = format!("average.{name}");
                let old = variables.get(Role::Optimizer, &average, shape, init, *fans)?;
                variables.set(&average, ((old * decay)? + (moved * (1.0 - decay))?)?)?;
            }
        }
        Ok(())
    }

    fn groups_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(move |group| name.contains(&group.name))
    }

    /// The mean of the gradients since the last update, and whether this step updates; just the gradients where every
    /// step does.
    fn accumulated(
        &self,
        variables: &mut Variables,
        parameters: &[(Variable, Tensor)],
        gradients: &[Tensor],
    ) -> Result<(Vec<Tensor>, Option<Tensor>)> {
        if self.accumulate == 1 {
            return Ok((gradients.to_vec(), None));
        }
        let n = self.accumulate as f64;
        let count = (counter(variables, "optimizer.accumulated")? + 1.0)?;
        let updates = count.ge(&count.full_like(n)?)?;
        variables.set("optimizer.accumulated", updates.select(&count.full_like(0.0)?, &count)?)?;
        let mut means = Vec::new();
        for ((variable, _), gradient) in parameters.iter().zip(gradients) {
            let name = format!("optimizer.accumulated.{}", variable.name);
            let sum =
                (variables.get(Role::Optimizer, &name, &variable.shape, &Init::Zeros, (1, 1))? + gradient)?;
            variables.set(&name, updates.select(&sum.full_like(0.0)?, &sum)?)?;
            means.push((sum * (1.0 / n))?);
        }
        Ok((means, Some(updates)))
    }
}
