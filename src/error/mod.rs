//! The one error type of the library.

mod cause;

pub use cause::Cause;

use std::path::{Path, PathBuf};

/// An error: the fault, expected against got, and the remedy.
///
/// ```
/// let error = neural::Error::value("batch_size", "a whole number above 0", 0);
/// assert_eq!(error.to_string(), "batch_size: expected a whole number above 0, got 0");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation got tensors whose shapes or types it cannot take.
    #[error("{op}: expected {expected}, got {got}")]
    Shape {
        /// The operation.
        op: String,
        /// The shapes and types that it takes.
        expected: String,
        /// The shapes and types that it got.
        got: String,
    },

    /// An operation got tensors of different graphs.
    #[error(
        "{op}: expected tensors of one graph, got one of another; a loop's step takes tensors from outside as constants, and calling a function writes it into a graph"
    )]
    OtherGraph {
        /// The operation.
        op: String,
    },

    /// A setting that is out of range or unknown.
    #[error("{name}: expected {expected}, got {got}")]
    Value {
        /// The setting, such as `batch_size`.
        name: String,
        /// The values that it may have.
        expected: String,
        /// The value that it got.
        got: String,
    },

    /// The same as the error inside, which happened in a named part of a model.
    #[error("{place}: {cause}")]
    At {
        /// The part of the model, such as `layer 1.dense`.
        place: String,
        /// The error there.
        #[source]
        cause: Box<Error>,
    },

    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// The verb of the message, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The answer of the operating system.
        #[source]
        cause: std::io::Error,
    },

    /// A file was read, but its contents are not valid.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The fault, with its place in the file.
        message: String,
    },

    /// Rows of data could not be read where they were needed, see [`Rows`](crate::data::Rows).
    #[error("cannot read {rows} of the data: {cause}")]
    Rows {
        /// Which, such as `32 rows from 3 to 80`.
        rows: String,
        /// The reader's error.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },

    /// Another process is training in the run's folder.
    #[error("{}: in use by {holder}, which trains in it; wait until it has ended, or end it", path.display())]
    InUse {
        /// The folder of the run.
        path: PathBuf,
        /// The process, such as `process 123 on host`.
        holder: String,
    },

    /// A run cannot resume from where it was asked to. Nothing on the disk is changed; `choices` are the user's options.
    #[error("{}: {reason}; nothing is changed: {}", path.display(), choices.join(", or "))]
    Resume {
        /// The folder of the run.
        path: PathBuf,
        /// The obstacle.
        reason: String,
        /// Ways to continue.
        choices: Vec<String>,
    },

    /// A requested device does not exist or cannot be used.
    #[error("{device}: {reason}")]
    Device {
        /// The device, such as `cuda`.
        device: String,
        /// The fault and the remedy.
        reason: String,
    },

    /// More memory is needed than is free, which is known before any of it is taken. Both are in bytes.
    #[error("{what} needs {} of memory, and {} are free; {advice}", gib(*needs), gib(*has))]
    Memory {
        /// The thing that needs the memory.
        what: String,
        /// Bytes needed.
        needs: u64,
        /// Bytes free.
        has: u64,
        /// Ways to need less.
        advice: String,
    },

    /// XLA refused a program or failed while it ran it.
    #[error("XLA could not {action}: {message}")]
    Xla {
        /// The verb of the message, such as `compile`.
        action: &'static str,
        /// The answer of XLA, with the cause and its remedy if that is known.
        message: String,
        /// The cause, where the answer is a known one.
        cause: Option<Cause>,
    },

    /// A loss that is not a finite number. The run is in its state before that step.
    #[error("the loss was {loss} in step {step}{}{}: {advice}", in_epoch(*epoch), came_up(place.as_deref()))]
    NotFinite {
        /// The loss: NaN or infinite.
        loss: f64,
        /// The step, from 0.
        step: u64,
        /// The epoch, from 1, where steps are counted in epochs.
        epoch: Option<u64>,
        /// The first place, in the order of computation, with a number that is not finite, where one was found.
        place: Option<String>,
        /// Ways to avoid it.
        advice: String,
    },
}

/// The result of everything in this library that can fail.
///
/// ```
/// fn half(n: usize) -> neural::Result<usize> {
///     if n % 2 == 0 { Ok(n / 2) } else { Err(neural::Error::value("n", "an even number", n)) }
/// }
/// assert_eq!(half(4)?, 2);
/// assert!(half(3).is_err());
/// # Ok::<(), neural::Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn in_epoch(epoch: Option<u64>) -> String {
    epoch.map_or_else(String::new, |epoch| format!(" (epoch {epoch})"))
}

fn came_up(place: Option<&str>) -> String {
    place.map_or_else(String::new, |place| {
        format!("; the first number that was not finite came up in {place}")
    })
}

/// Bytes in GiB.
pub(crate) fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

impl Error {
    /// An [`Error::Shape`] of the operation `op`.
    pub fn shape(op: impl Into<String>, expected: impl ToString, got: impl ToString) -> Self {
        Error::Shape { op: op.into(), expected: expected.to_string(), got: got.to_string() }
    }

    /// An [`Error::Value`] of the setting `name`.
    pub fn value(name: impl Into<String>, expected: impl ToString, got: impl ToString) -> Self {
        Error::Value { name: name.into(), expected: expected.to_string(), got: got.to_string() }
    }

    /// An error for invalid contents.
    pub fn format(path: &Path, message: impl Into<String>) -> Self {
        Error::Format { path: path.to_path_buf(), message: message.into() }
    }

    /// A file whose form this build leaves out.
    #[cfg(any(not(feature = "cli"), not(feature = "parquet"), not(feature = "sqlite")))]
    pub(crate) fn without_feature(path: &Path, feature: &str) -> Self {
        let message = format!(
            "expected a form that this build reads, got one that needs `neural`'s feature `{feature}`: cargo build --release \
             --features {feature}, or in a crate of your own cargo add neural --features {feature}"
        );
        Error::Format { path: path.to_path_buf(), message }
    }

    /// A file or folder that the system refused; `action` is the attempted action.
    pub fn io(action: &'static str, path: &Path, cause: std::io::Error) -> Self {
        Error::Io { action, path: path.to_path_buf(), cause }
    }

    /// An error of XLA's without its backtrace, and with a remedy where one is known.
    pub(crate) fn xla(action: &'static str, error: &xla::Error) -> Self {
        match error {
            xla::Error::XlaError { msg, .. } => Self::xla_message(action, msg),
            other => Self::xla_message(action, &other.to_string()),
        }
    }

    /// As [`Error::xla`], of the message.
    pub(crate) fn xla_message(action: &'static str, text: &str) -> Self {
        // The lines after the first are XLA's state in detail.
        let first = text.trim().lines().next().unwrap_or_default().trim_end();
        let cause = Cause::of(text);
        let message = match &cause {
            Some(cause) => format!("{cause} ({first})"),
            None => first.to_string(),
        };
        Error::Xla { action, message, cause }
    }

    /// A device that does not exist or cannot be used.
    pub(crate) fn device(device: impl ToString, reason: impl Into<String>) -> Self {
        Error::Device { device: device.to_string(), reason: reason.into() }
    }

    /// Names the place in which the error happened; nested places read from the outside in.
    ///
    /// ```
    /// let error = neural::Error::value("units", "a number", "none").at("dense").at("layer 1");
    /// assert_eq!(error.to_string(), "layer 1.dense: units: expected a number, got none");
    /// ```
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        match self {
            Error::At { place: inner, cause } => Error::At { place: format!("{place}.{inner}"), cause },
            cause => Error::At { place: place.to_string(), cause: Box::new(cause) },
        }
    }

    /// As [`Error::at`], for a place that is not part of the same path: a colon separates it from the places within.
    #[must_use]
    pub(crate) fn of(self, place: &str) -> Self {
        match self {
            Error::At { place: inner, cause } => Error::At { place: format!("{place}: {inner}"), cause },
            cause => cause.at(place),
        }
    }
}
