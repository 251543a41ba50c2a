//! Optimizers by the names and settings of recipes.

use super::adagrad::Adagrad;
use super::adam::{Adam, AdamW};
use super::clip::WeightDecay;
use super::lion::Lion;
use super::muon::Muon;
use super::optimizer::Optimizer;
use super::rmsprop::RmsProp;
use super::schedule::Schedule;
use super::sgd::Sgd;
use super::transform::Transform;
use crate::named;
use std::sync::Arc;

/// The links of an optimizer, in the order in which gradients pass through them.
pub type Chain = Vec<Arc<dyn Transform>>;

/// A chain of one transformation.
pub(super) fn link(transform: impl Transform + 'static) -> Chain {
    vec![Arc::new(transform)]
}

/// A chain that adds weight decay, where there is any.
pub(super) fn decay(weight_decay: f64) -> Chain {
    if weight_decay == 0.0 { Chain::new() } else { link(WeightDecay(weight_decay)) }
}

/// Makes [`Rule`] of the table of optimizers, see [`named::table`]. The settings of each are a type with a
/// `learning_rate` and a `chain()`.
macro_rules! rules {
    (
        $(#[$attribute:meta])*
        pub enum Rule {
            $($(#[doc = $doc:literal])+ $Variant:ident($Settings:ty) = $name:literal;)+
        }
    ) => {
        named::table! {
            $(#[$attribute])*
            pub enum Rule: "an optimizer" {
                $($(#[doc = $doc])+ $Variant($Settings) = $name, short "learning_rate";)+
            }
        }

        impl Rule {
            /// The rate at each step.
            pub fn learning_rate(&self) -> &Schedule {
                match self {
                    $(Rule::$Variant(settings) => &settings.learning_rate,)+
                }
            }

            fn learning_rate_mut(&mut self) -> &mut Schedule {
                match self {
                    $(Rule::$Variant(settings) => &mut settings.learning_rate,)+
                }
            }

            /// The chain of transformations that the rule stands for.
            pub fn chain(&self) -> Chain {
                match self {
                    $(Rule::$Variant(settings) => settings.chain(),)+
                }
            }
        }

        $(
            impl From<$Settings> for Rule {
                fn from(settings: $Settings) -> Self {
                    Rule::$Variant(settings)
                }
            }

            impl From<$Settings> for Optimizer {
                fn from(settings: $Settings) -> Self {
                    Rule::from(settings).into()
                }
            }
        )+
    };
}

rules! {
    /// An optimizer as a recipe names it.
    ///
    /// ```
    /// use neural::optim::{Optimizer, Rule, Sgd};
    /// let rule: Rule = serde_json::from_str(r#"{"sgd": {"learning_rate": 0.1, "momentum": 0.9}}"#)?;
    /// assert_eq!(rule, Sgd { learning_rate: 0.1.into(), momentum: 0.9, ..Sgd::default() }.into());
    /// assert_eq!(Optimizer::from(rule).transforms.len(), 1);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub enum Rule {
        /// Gradient descent. `momentum`, `nesterov`, `weight_decay`
        Sgd(Sgd) = "sgd";
        /// Divides by a running root of squares. `decay`, `epsilon`, `momentum`, `weight_decay`
        RmsProp(RmsProp) = "rmsprop";
        /// Divides by the root of all squares so far. `epsilon`, `weight_decay`
        Adagrad(Adagrad) = "adagrad";
        /// Adam. `beta1`, `beta2`, `epsilon`, `epsilon_root`, `weight_decay`
        Adam(Adam) = "adam";
        /// Adam with decoupled weight decay. `beta1`, `beta2`, `epsilon`, `weight_decay`
        AdamW(AdamW) = "adamw";
        /// Signs of a momentum. `beta1`, `beta2`, `weight_decay`
        Lion(Lion) = "lion";
        /// Orthogonal momentum; a convolution's kernel counts as a matrix with a row for each filter. `momentum`,
        /// `nesterov`, `steps`, `weight_decay`
        Muon(Muon) = "muon";
    }
}

impl Rule {
    /// The same rule at another learning rate.
    #[must_use]
    pub fn with_learning_rate(mut self, schedule: impl Into<Schedule>) -> Self {
        *self.learning_rate_mut() = schedule.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_table() {
        named::reference::check("optimizers", Rule::REFERENCE);
    }
}
