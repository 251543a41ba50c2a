//! The links of an optimizer's chain, and their state.

use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::variables::Init;
use crate::variables::{Role, Variable, Variables};
use std::fmt;
use std::sync::Arc;

/// A transformation of gradients; an optimizer is a chain of them. The result of the last one, times the learning
/// rate, is subtracted from the parameters.
///
/// In the formulas of this module `g` is the gradient that comes in, `w` the parameter, and `t` the number of the
/// update, from 1. Any type can be one; a rule that only looks at signs:
///
/// ```
/// use neural::optim::{State, Transform, Update, chain};
///
/// /// m ← decay · m + (1 - decay) g; sign(m)
/// #[derive(Debug)]
/// struct Signum {
///     decay: f64,
/// }
///
/// impl Transform for Signum {
///     fn update(&self, updates: &mut [Update], state: &mut State) -> neural::Result<()> {
///         state.each(updates, |update, own| own.average("m", &update.gradient, self.decay)?.sign())
///     }
/// }
///
/// let optimizer = chain(1e-3, [Signum { decay: 0.9 }]);
/// assert!(optimizer.check().is_ok());
/// ```
pub trait Transform: fmt::Debug + Send + Sync {
    /// Replaces the gradients of all parameters by others. A variable that it asks `state` for is declared by this, and
    /// saved with the run.
    ///
    /// # Errors
    /// When an operation refuses its tensors.
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()>;

    /// Checks that its settings are in range.
    ///
    /// # Errors
    /// When one is not.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl<T: Transform + ?Sized> Transform for Arc<T> {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        (**self).update(updates, state)
    }

    fn check(&self) -> Result<()> {
        (**self).check()
    }
}

/// A parameter with its gradient on the way through the chain.
#[derive(Debug)]
pub struct Update<'a> {
    /// The parameter's name, type and shape.
    pub parameter: &'a Variable,
    /// Its value before this step.
    pub value: &'a Tensor,
    /// The gradient after the earlier links.
    pub gradient: Tensor,
    /// The factor of the parameter's groups on weight decay, see [`Group`](super::Group).
    pub weight_decay: f64,
}

/// The variables that an optimizer keeps, by name.
pub struct State<'a> {
    variables: &'a mut Variables,
    /// The prefix of all their names.
    prefix: &'a str,
    count: Option<Tensor>,
    late: Option<Late<'a>>,
    late_count: Option<Tensor>,
}

/// Parameters that are frozen for the first epochs.
#[derive(Clone, Copy)]
pub(super) struct Late<'a> {
    pub covers: &'a dyn Fn(&str) -> bool,
    /// Whether they move in this step, a `bool` scalar.
    pub is_thawed: &'a Tensor,
}

impl<'a> State<'a> {
    pub(super) fn new(variables: &'a mut Variables, prefix: &'a str, late: Option<Late<'a>>) -> Self {
        Self { variables, prefix, count: None, late, late_count: None }
    }

    /// Replaces each gradient by the result of `transform`, which keeps its own variables for the parameter.
    ///
    /// # Errors
    /// Any error of `transform`.
    pub fn each(
        &mut self,
        updates: &mut [Update],
        transform: impl Fn(&Update, &mut Slots) -> Result<Tensor>,
    ) -> Result<()> {
        for update in updates {
            update.gradient = transform(update, &mut self.of(update))?;
        }
        Ok(())
    }

    /// The variables for one parameter.
    pub fn of(&mut self, update: &Update) -> Slots<'_> {
        let late = self.late.filter(|late| (late.covers)(&update.parameter.name));
        let count = if late.is_some() { &mut self.late_count } else { &mut self.count };
        Slots {
            parameter: update.parameter.clone(),
            variables: self.variables,
            prefix: self.prefix,
            is_thawed: late.map(|late| late.is_thawed),
            count,
        }
    }
}

impl fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The variables that a transformation keeps for one parameter, each of the parameter's shape and named
/// `optimizer.<what>.<parameter>`.
pub struct Slots<'a> {
    parameter: Variable,
    variables: &'a mut Variables,
    prefix: &'a str,
    /// Set for a parameter that is frozen for the first epochs: its variables stay unchanged until then.
    is_thawed: Option<&'a Tensor>,
    count: &'a mut Option<Tensor>,
}

impl Slots<'_> {
    /// The number of this update of the parameter, from 1, a scalar. Parameters that are frozen for the first epochs
    /// have a separate count. An update counts once, however many links ask for it.
    ///
    /// # Errors
    /// None, unless a variable of that name has another shape.
    pub fn count(&mut self) -> Result<Tensor> {
        if let Some(count) = &self.count {
            return Ok(count.clone());
        }
        let what = if self.is_thawed.is_some() { "thawed_count" } else { "count" };
        let name = format!("{}.{what}", self.prefix);
        let before = self.variables.get(Role::Optimizer, &name, &[], &Init::Zeros, (1, 1))?;
        let count = (before + 1.0)?;
        self.variables.set_where(self.is_thawed, &name, &count)?;
        *self.count = Some(count.clone());
        Ok(count)
    }

    /// A variable's value before this update; zeros at first.
    ///
    /// # Errors
    /// When a run is built with other variables than it was declared with.
    pub fn get(&mut self, what: &str) -> Result<Tensor> {
        self.get_from(what, &Init::Zeros)
    }

    /// The same with another beginning.
    ///
    /// # Errors
    /// As [`Slots::get`], and when a setting of `init` is out of range.
    pub fn get_from(&mut self, what: &str, init: &Init) -> Result<Tensor> {
        let name = self.name(what);
        self.variables.get(Role::Optimizer, &name, &self.parameter.shape, init, (1, 1))
    }

    /// The value that the variable has after this update.
    ///
    /// # Errors
    /// When it was never read, or the value has another type.
    pub fn set(&mut self, what: &str, value: &Tensor) -> Result<()> {
        let name = self.name(what);
        self.variables.set_where(self.is_thawed, &name, value)
    }

    /// Moves a variable and returns it: decay · old + (1 - decay) · new.
    ///
    /// # Errors
    /// As [`Slots::get`].
    pub fn average(&mut self, what: &str, new: &Tensor, decay: f64) -> Result<Tensor> {
        let average = ((self.get(what)? * decay)? + (new * (1.0 - decay))?)?;
        self.set(what, &average)?;
        Ok(average)
    }

    fn name(&self, what: &str) -> String {
        format!("{}.{what}.{}", self.prefix, self.parameter.name)
    }
}

impl fmt::Debug for Slots<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("parameter", &self.parameter.name).finish_non_exhaustive()
    }
}

/// Refuses a decay rate outside of [0, 1).
pub(super) fn check_part(name: &str, value: f64) -> Result<()> {
    match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(Error::value(name, "a number from 0 to below 1", value)),
    }
}

/// Refuses a negative number, and one that is not finite.
pub(super) fn check_amount(name: &str, value: f64) -> Result<()> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(()),
        false => Err(Error::value(name, "a finite number of at least 0", value)),
    }
}
