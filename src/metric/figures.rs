//! Named figures and their values.

use super::Metric;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Figures of one evaluation, in the requested order. Undefined ones are NaN, in JSON `null`.
///
/// ```
/// use neural::metric::{Figures, Metric};
/// let figures = Figures(vec![(Metric::Accuracy, 0.975), (Metric::RocAuc, f64::NAN)]);
/// assert_eq!(figures.to_string(), "accuracy 97.50%, roc-auc -");
/// assert_eq!(serde_json::to_string(&figures)?, r#"{"accuracy":0.975,"roc-auc":null}"#);
/// assert_eq!(figures.get(Metric::Accuracy), Some(0.975));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(pub Vec<(Metric, f64)>);

impl Figures {
    /// The value of a figure, if it is among these.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.iter().find(|(known, _)| *known == metric).map(|(_, value)| value)
    }

    /// The figures in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, f64)> {
        self.0.iter().copied()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> =
            self.iter().map(|(metric, value)| format!("{metric} {}", metric.show(value))).collect();
        f.write_str(&shown.join(", "))
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.iter().map(|(metric, value)| (metric, value.is_finite().then_some(value))))
    }
}

impl<'de> Deserialize<'de> for Figures {
    /// Keys that are no figures are skipped, so that figures can be among other keys, and so that a file of a version
    /// with other figures can be read.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Map)
    }
}

struct Map;

impl<'de> Visitor<'de> for Map {
    type Value = Figures;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("figures by their names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Figures, A::Error> {
        let mut figures = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.parse() {
                Ok(metric) => figures.push((metric, map.next_value::<Option<f64>>()?.unwrap_or(f64::NAN))),
                Err(_) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Figures(figures))
    }
}
