//! The hinge loss.

use super::Outputs;
use super::compare::{Compare, Compared, Each};
use crate::error::Result;

pub(super) struct Hinge;

impl Compare for Hinge {
    fn outputs(&self) -> Outputs {
        Outputs::Scores
    }

    fn each(&self, compared: Compared) -> Result<Each> {
        compared.check_choice()?;
        let (x, axis) = (compared.outputs, compared.axis());
        let class = compared.one_hot()?;
        let right = (x * &class)?.sum(&[axis])?.unsqueeze(axis)?;
        let margin = ((x - right)? + 1.0)?;
        let zero = margin.scalar_like(0.0);
        let counts = margin.gt(&zero)?.and(&class.eq(&zero)?)?;
        Ok(Each::Rows { losses: counts.select(&margin, &zero)?.sum(&[axis])?, weights: None })
    }
}
