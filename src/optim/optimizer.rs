//! An optimizer: a chain of transformations with its settings.

use super::accumulate::Share;
use super::adam::{Adam, AdamW};
use super::average::{self, Average};
use super::clip::{ClipNorm, ClipValue, L1Decay};
use super::group::{self, Group};
use super::rule::{Chain, Rule, link};
use super::schedule::Schedule;
use super::sgd::Sgd;
use super::transform::{Late, State, Transform, Update};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::variables::{Role, Variable, Variables};

/// An update rule with clipping, regularisation, accumulation and averaging. It is made from a [`Rule`], from the
/// settings of one such as [`Adam`], or by [`chain`] from any transformations.
///
/// ```
/// use neural::optim::adam;
/// let optimizer = adam(1e-3).clip_norm(1.0);
/// assert_eq!(optimizer.learning_rate.at(0), 1e-3);
/// ```
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// The name under which its state is kept, `optimizer.<name>.…`, where several share the variables; otherwise empty.
    pub name: String,
    /// The factor on each update.
    pub learning_rate: Schedule,
    /// Gradients pass through them in this order, after the clips and `l1`.
    pub transforms: Chain,
    /// Gradients' elements are limited to this.
    pub clip_value: Option<f64>,
    /// The norm of all gradients together is limited to this.
    pub clip_norm: Option<f64>,
    /// The gradient of this times Σ |w| is added.
    pub l1: f64,
    /// How many steps share an update, which is made with the mean gradient of all their rows. At the end of an epoch
    /// the remaining steps make one. Schedules count steps, not updates.
    pub accumulate: usize,
    /// A moving average of the parameters, `average.<name>`, if one is kept; it is evaluated and exported in their place.
    pub average: Option<Average>,
    /// Parts of the model with their own factors on learning rate and weight decay.
    pub groups: Vec<Group>,
    /// The paths of the frozen parts, see [`Group`]. Nothing in them moves: no parameter by its gradient or by decay,
    /// no average, and no running statistic. A frozen batch norm normalises by its running statistics in training
    /// too, as Keras's with `trainable = False`. A frozen parameter's gradient is no part of [`Self::clip_norm`], and
    /// the optimizer keeps no state for it.
    pub freeze: Vec<String>,
    /// The number of epochs for which `freeze` holds; to the end of the run if absent. Thawed parts then start as in a
    /// new run: with the optimizer's initial state and a count of updates from 0.
    pub freeze_epochs: Option<u64>,
    /// The paths of the parameters that it moves, see [`Group`]; all of them where it is empty. Others get no gradient,
    /// but unlike frozen ones they are in training: another optimizer moves them, and their statistics follow the data.
    pub trains: Vec<String>,
}

/// The inputs of an update that differ from step to step.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// A floating-point scalar.
    pub learning_rate: &'a Tensor,
    /// How far [`Optimizer::average`] goes towards the parameters, a floating-point scalar: see [`Average::rate`].
    pub average_rate: Option<&'a Tensor>,
    /// Where the update is shared with other steps.
    pub share: Option<Share<'a>>,
    /// Whether [`Optimizer::freeze_epochs`] are over, a `bool` scalar; absent where nothing is frozen for a time.
    pub is_thawed: Option<&'a Tensor>,
}

impl<'a> Inputs<'a> {
    /// The inputs of an optimizer that updates in every step and keeps no average.
    pub fn rate(learning_rate: &'a Tensor) -> Self {
        Self { learning_rate, average_rate: None, share: None, is_thawed: None }
    }
}

impl From<Rule> for Optimizer {
    fn from(rule: Rule) -> Self {
        Self {
            name: String::new(),
            learning_rate: rule.learning_rate().clone(),
            transforms: rule.chain(),
            clip_value: None,
            clip_norm: None,
            l1: 0.0,
            accumulate: 1,
            average: None,
            groups: Vec::new(),
            freeze: Vec::new(),
            freeze_epochs: None,
            trains: Vec::new(),
        }
    }
}

/// Plain gradient descent.
pub fn sgd(learning_rate: impl Into<Schedule>) -> Optimizer {
    Sgd { learning_rate: learning_rate.into(), ..Sgd::default() }.into()
}

/// Adam with its usual settings.
pub fn adam(learning_rate: impl Into<Schedule>) -> Optimizer {
    Adam { learning_rate: learning_rate.into(), ..Adam::default() }.into()
}

/// AdamW with its usual settings.
pub fn adamw(learning_rate: impl Into<Schedule>, weight_decay: f64) -> Optimizer {
    AdamW { learning_rate: learning_rate.into(), weight_decay, ..AdamW::default() }.into()
}

/// Transformations one after another, your own or this module's. With several types among them:
///
/// ```
/// use neural::optim::{ScaleByAdam, Transform, WeightDecay, chain};
/// use std::sync::Arc;
/// let links: [Arc<dyn Transform>; 2] = [Arc::new(ScaleByAdam::default()), Arc::new(WeightDecay(0.05))];
/// assert_eq!(chain(1e-3, links).transforms.len(), 2);
/// ```
pub fn chain<T: Transform + 'static>(
    learning_rate: impl Into<Schedule>,
    transforms: impl IntoIterator<Item = T>,
) -> Optimizer {
    let transforms = transforms.into_iter().flat_map(link).collect();
    Optimizer { transforms, ..sgd(learning_rate) }
}

/// Settings one after another:
///
/// ```
/// use neural::optim::adamw;
/// let optimizer = adamw(1e-3, 0.01).clip_norm(1.0).accumulate(4).freeze(["stem", "block1"]);
/// assert!(optimizer.check().is_ok() && optimizer.is_frozen("stem.weight"));
/// ```
impl Optimizer {
    /// Limits the gradients' elements, see [`Optimizer::clip_value`](field@Optimizer::clip_value).
    #[must_use]
    pub fn clip_value(self, limit: f64) -> Self {
        Self { clip_value: Some(limit), ..self }
    }

    /// Limits the norm of all gradients together.
    #[must_use]
    pub fn clip_norm(self, limit: f64) -> Self {
        Self { clip_norm: Some(limit), ..self }
    }

    /// Adds the gradient of `factor` times Σ |w|.
    #[must_use]
    pub fn l1(self, factor: f64) -> Self {
        Self { l1: factor, ..self }
    }

    /// Makes one update from the mean gradient of `steps` steps, see [`Optimizer::accumulate`](field@Optimizer::accumulate).
    #[must_use]
    pub fn accumulate(self, steps: usize) -> Self {
        Self { accumulate: steps, ..self }
    }

    /// Keeps a moving average of the parameters, which evaluation and export use.
    #[must_use]
    pub fn average(self, average: Average) -> Self {
        Self { average: Some(average), ..self }
    }

    /// Trains the parameters of these groups with their own settings.
    #[must_use]
    pub fn groups(self, groups: impl IntoIterator<Item = Group>) -> Self {
        Self { groups: groups.into_iter().collect(), ..self }
    }

    /// Leaves the variables below these paths unchanged, see [`Optimizer::freeze`](field@Optimizer::freeze).
    #[must_use]
    pub fn freeze<P: Into<String>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        Self { freeze: paths.into_iter().map(Into::into).collect(), ..self }
    }

    /// Keeps the [frozen](Optimizer::freeze) parts unchanged only for this number of epochs.
    #[must_use]
    pub fn freeze_epochs(self, epochs: u64) -> Self {
        Self { freeze_epochs: Some(epochs), ..self }
    }

    /// Moves only the parameters below these paths, see [`Optimizer::trains`](field@Optimizer::trains).
    #[must_use]
    pub fn trains<P: Into<String>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        Self { trains: paths.into_iter().map(Into::into).collect(), ..self }
    }

    /// ```
    /// use neural::optim::{Optimizer, sgd};
    /// assert!(sgd(f64::NAN).check().is_err());
    /// assert!(Optimizer { accumulate: 0, ..sgd(0.1) }.check().is_err());
    /// ```
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn check(&self) -> Result<()> {
        self.learning_rate.check()?;
        self.chain().iter().try_for_each(Transform::check)?;
        if self.accumulate == 0 {
            return Err(Error::value("accumulate", "a number of steps above 0", 0));
        }
        if self.freeze_epochs == Some(0) {
            return Err(Error::value("freeze_epochs", "a number of epochs above 0", 0));
        }
        if self.freeze_epochs.is_some() && self.freeze.is_empty() {
            return Err(Error::value(
                "freeze_epochs",
                "freeze beside it, which names what is frozen",
                "none",
            ));
        }
        self.groups.iter().try_for_each(Group::check)?;
        self.average.iter().try_for_each(Average::check)
    }

    /// Checks that the paths of the groups and of the frozen parts name `variables`, and leave something to train.
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
        let stays = |v: &Variable| !self.is_trained(&v.name) || self.is_late(&v.name);
        match parameters.peek().is_some() && parameters.all(stays) {
            true => Err(Error::value("freeze", "a parameter that is left to train", "all of them frozen")),
            false => Ok(()),
        }
    }

    /// Whether the variable of this name is frozen to the end, see [`Optimizer::freeze`].
    ///
    /// ```
    /// use neural::optim::{Optimizer, sgd};
    /// let optimizer = Optimizer { freeze: vec!["0".into()], ..sgd(0.1) };
    /// assert!(optimizer.is_frozen("0.weight") && !optimizer.is_frozen("10.weight"));
    /// ```
    pub fn is_frozen(&self, variable: &str) -> bool {
        (self.freeze_epochs.is_none() && self.is_named_by_freeze(variable))
            || self.groups.iter().any(|group| group.learning_rate == 0.0 && group.covers(variable))
    }

    /// Whether the variable of this name is frozen for the first epochs, see [`Optimizer::freeze_epochs`].
    pub(crate) fn is_late(&self, variable: &str) -> bool {
        self.freeze_epochs.is_some() && self.is_named_by_freeze(variable)
    }

    fn is_named_by_freeze(&self, variable: &str) -> bool {
        self.freeze.iter().any(|path| group::covers(path, variable))
    }

    fn is_trained(&self, parameter: &str) -> bool {
        let is_meant =
            self.trains.is_empty() || self.trains.iter().any(|path| group::covers(path, parameter));
        is_meant && !self.is_frozen(parameter)
    }

    /// The parameters that an update moves, with their values: all but frozen ones.
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

    fn chain(&self) -> Chain {
        let mut chain = Chain::new();
        chain.extend(self.clip_value.into_iter().flat_map(|limit| link(ClipValue(limit))));
        chain.extend(self.clip_norm.into_iter().flat_map(|limit| link(ClipNorm(limit))));
        if self.l1 != 0.0 {
            chain.extend(link(L1Decay(self.l1)));
        }
        chain.extend(self.transforms.iter().cloned());
        chain
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
    /// When the optimizer's variables do not fit, or it keeps an average and there is no rate for it.
    pub fn update(&self, variables: &mut Variables, gradients: &[Tensor], inputs: Inputs) -> Result<()> {
        let parameters = self.trained(variables);
        let is_late = |name: &str| self.is_late(name);
        let late = inputs.is_thawed.map(|is_thawed| Late { covers: &is_late, is_thawed });
        let thaw = |name: &str| late.filter(|late| (late.covers)(name)).map(|late| late.is_thawed);
        // Frozen parameters have no part in the norm of the gradients.
        let counted = |((parameter, _), gradient): (&(Variable, Tensor), &Tensor)| match thaw(&parameter.name)
        {
            Some(is_thawed) => is_thawed.select(gradient, &gradient.full_like(0.0)?),
            None => Ok(gradient.clone()),
        };
        let gradients = parameters.iter().zip(gradients).map(counted).collect::<Result<Vec<_>>>()?;
        let gradients = match inputs.share {
            Some(share) => share.mean(&self.slot("accumulated"), variables, &parameters, &gradients)?,
            None => gradients,
        };
        variables.gate(inputs.share.map(|share| share.is_last.clone()));

        let mut updates: Vec<_> = parameters
            .iter()
            .zip(gradients)
            .map(|((parameter, value), gradient)| {
                let weight_decay = self.groups_of(&parameter.name).map(|group| group.weight_decay).product();
                Update { parameter, value, gradient, weight_decay }
            })
            .collect();
        let prefix = self.slot("");
        let mut state = State::new(variables, &prefix, late);
        for transform in self.chain() {
            transform.update(&mut updates, &mut state)?;
        }
        for update in &updates {
            let factor: f64 =
                self.groups_of(&update.parameter.name).map(|group| group.learning_rate).product();
            let rate = inputs.learning_rate.convert(update.value.dtype())?;
            let rate = if factor == 1.0 { rate } else { (rate * factor)? };
            let moved = (update.value - (rate * &update.gradient)?)?;
            let thaw = thaw(&update.parameter.name);
            variables.set_where(thaw, &update.parameter.name, &moved)?;
            if self.average.is_some() {
                let Some(rate) = inputs.average_rate else {
                    return Err(Error::value("average_rate", "a rate for the moving average", "none"));
                };
                let name = average::name(&update.parameter.name);
                let old = variables.get_copy(Role::Average, &name, update.parameter)?;
                // In this form an average that equals the parameter stays equal, to the bit.
                let towards = (rate.convert(old.dtype())? * (moved - &old)?)?;
                variables.set_where(thaw, &name, &(old + towards)?)?;
            }
        }
        variables.gate(None);
        Ok(())
    }

    fn groups_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(move |group| group.covers(name))
    }
}
