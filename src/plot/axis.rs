//! Maps values to places along an axis, and chooses the round values of its ticks.

/// The largest magnitude on an axis, and the inverse of the smallest: beyond them differences, margins and steps
/// would leave the range of f64.
const LIMIT: f64 = 1e280;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scale {
    #[default]
    Linear,
    Log,
}

impl Scale {
    /// Whether a value has a place on an axis of this kind.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Scale::Linear => value.abs() <= LIMIT,
            Scale::Log => (1.0 / LIMIT..=LIMIT).contains(&value),
        }
    }

    fn of(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        }
    }
}

/// Both ends are finite results of [`Scale::of`], the lower one first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    /// Whether all the values are whole numbers, such as epochs.
    whole: bool,
}

/// A mark at a part, 0 to 1, of the axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub at: f64,
    /// `None` for the lesser marks of a logarithmic axis.
    pub label: Option<String>,
}

impl Axis {
    /// An axis that has room for all the values that it [holds](Scale::holds) and for this part more at both ends;
    /// `None` when it holds none. Values that are not negative get no room below 0.
    pub fn around(scale: Scale, values: impl Iterator<Item = f64> + Clone, margin: f64) -> Option<Self> {
        let (least, greatest) = span(scale, values.clone())?;
        let (low, high) = widened(scale, least, greatest);
        let room = margin * (high - low);
        let floor = if scale == Scale::Linear && least >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        let whole = scale == Scale::Linear && values.filter(|v| scale.holds(*v)).all(|v| v.fract() == 0.0);
        Some(Self { scale, low: (low - room).max(floor), high: high + room, whole })
    }

    /// A linear axis with these ends; `None` when they are no ends.
    pub fn between(ends: [f64; 2]) -> Option<Self> {
        let (scale, [low, high]) = (Scale::Linear, ends);
        let wide = ends.iter().all(|e| scale.holds(*e)) && widened(scale, low, high) == (low, high);
        wide.then_some(Self { scale, low, high, whole: false })
    }

    /// The place of a value: 0 at the low end, 1 at the high one.
    pub fn place(&self, value: f64) -> Option<f64> {
        self.scale.holds(value).then(|| self.part(self.scale.of(value)))
    }

    fn part(&self, scaled: f64) -> f64 {
        (scaled - self.low) / (self.high - self.low)
    }

    /// Marks at about `most` round values, 3 or more.
    pub fn ticks(&self, most: usize) -> Vec<Tick> {
        let most = most.max(3);
        match self.scale {
            Scale::Linear => self.steps(self.low, self.high, most),
            Scale::Log if self.high - self.low < 1.0 => {
                self.steps(10f64.powf(self.low), 10f64.powf(self.high), most)
            }
            Scale::Log => self.decades(most),
        }
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    fn steps(&self, low: f64, high: f64, most: usize) -> Vec<Tick> {
        let least = (high - low) / most as f64 * (1.0 - 1e-9);
        let exponent = least.log10().floor() as i32;
        let power = 10f64.powi(exponent);
        let (step, exponent) = match [1.0, 2.0, 5.0].into_iter().find(|multiple| multiple * power >= least) {
            Some(multiple) => (multiple * power, exponent),
            None => (10.0 * power, exponent + 1),
        };
        let (step, exponent) = if self.whole && step < 1.0 { (1.0, 0) } else { (step, exponent) };
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let largest = first.abs().max(last.abs()) * step;
        let count = (last - first).max(0.0) as usize;
        (0..=count)
            .map(|i| (first + i as f64) * step)
            .map(|v| Tick { at: self.part(self.scale.of(v)), label: Some(number(v, exponent, largest)) })
            .collect()
    }

    /// Powers of ten, with values between them where there are few.
    fn decades(&self, most: usize) -> Vec<Tick> {
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let stride = ((self.high - self.low) / most as f64).ceil().max(1.0) as i32;
        let labelled: &[u32] = if self.high - self.low <= 2.0 { &[1, 2, 3, 5] } else { &[1] };
        let mut ticks = Vec::new();
        for exponent in (first..=last).filter(|e| e % stride == 0) {
            for multiple in if stride == 1 { 1..10 } else { 1..2 } {
                let at = self.part(f64::from(exponent) + f64::from(multiple).log10());
                let label = labelled.contains(&multiple).then(|| power(multiple, exponent));
                ticks.push(Tick { at, label });
            }
        }
        ticks.retain(|tick| (-1e-9..=1.0 + 1e-9).contains(&tick.at));
        ticks
    }
}

/// The min and max of the values that have a place, transformed by [`Scale::of`].
fn span(scale: Scale, values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let scaled = values.filter(|v| scale.holds(*v)).map(|v| scale.of(v));
    scaled.fold(None, |ends, v| {
        let (low, high) = ends.unwrap_or((v, v));
        Some((v.min(low), v.max(high)))
    })
}

/// The ends of an interval with all these values that have a place on a linear axis, and this part more on both sides.
pub(super) fn interval(values: impl Iterator<Item = f64>, margin: f64) -> [f64; 2] {
    let (low, high) = span(Scale::Linear, values).map_or((0.0, 1.0), |(a, b)| widened(Scale::Linear, a, b));
    let room = margin * (high - low);
    [low - room, high + room]
}

/// The same ends, or ones further apart where they are too close to tell values between them apart.
fn widened(scale: Scale, low: f64, high: f64) -> (f64, f64) {
    let magnitude = low.abs().max(high.abs());
    let (closest, by) = match scale {
        Scale::Log => (1e-6, 0.5),
        Scale::Linear if magnitude > 1.0 / LIMIT => (magnitude * 1e-10, magnitude * 0.1),
        Scale::Linear => (f64::INFINITY, 1.0),
    };
    if high - low > closest { (low, high) } else { (low - by, high + by) }
}

/// A multiple of a step with this exponent, in the shorter of the plain and the scientific form.
fn number(value: f64, exponent: i32, largest: f64) -> String {
    let decimals = usize::try_from(-exponent).unwrap_or(0);
    let plain = largest.max(1.0).log10() as usize + 1 + decimals;
    if value == 0.0 {
        return format!("{:.*}", if plain <= 7 { decimals } else { 0 }, 0.0);
    }
    let digits = (value.abs().log10() + 1e-9).floor() as i32;
    let scientific = usize::try_from(digits - exponent).unwrap_or(0);
    let text = if plain <= 7 || plain <= scientific + 4 {
        format!("{value:.decimals$}")
    } else {
        let text = format!("{value:.scientific$e}");
        match text.split_once('e') {
            Some((figures, power)) if scientific > 0 => {
                format!("{}e{power}", figures.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => text,
        }
    };
    text.strip_prefix('-').map_or_else(|| text.clone(), |size| format!("−{size}"))
}

fn power(multiple: u32, exponent: i32) -> String {
    match exponent {
        -4..0 => format!("0.{}{multiple}", "0".repeat(-exponent as usize - 1)),
        0..6 => format!("{multiple}{}", "0".repeat(exponent as usize)),
        _ => format!("{multiple}e{exponent}"),
    }
}

/// A value with its first two figures at least.
pub(super) fn rounded(value: f64) -> String {
    let last = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 - 1 };
    number(value, last, value.abs())
}
