//! Stands in for tables in builds without the feature `tables`.

use super::columns::Column;
use super::{Dataset, Source, Task};
use crate::error::{Error, Result};

impl Source {
    /// # Errors
    /// Always.
    pub(super) fn load_table(
        &self,
        _task: &dyn Fn(&str) -> Option<Task>,
        _columns: Option<&[Column]>,
    ) -> Result<Dataset> {
        Err(Error::without_feature(&self.path, "tables"))
    }
}
