//! Counters of the server, in the format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the bins of seconds.
const BINS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Default)]
pub(super) struct Metrics {
    /// Counts by model and status of the answer.
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    bins: [AtomicU64; BINS.len()],
    answered: AtomicU64,
    microseconds: AtomicU64,
    batches: AtomicU64,
    rows: AtomicU64,
}

impl Metrics {
    pub fn request(&self, model: &str, status: u16, took: Duration) {
        // A panic while the lock was held leaves the counts valid.
        let mut requests = self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match requests.get_mut(&(model.to_string(), status)) {
            Some(count) => *count += 1,
            None => drop(requests.insert((model.to_string(), status), 1)),
        }
        drop(requests);
        if let Some(bin) = BINS.iter().position(|&end| took.as_secs_f64() <= end) {
            self.bins[bin].fetch_add(1, Ordering::Relaxed);
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    pub fn batch(&self, rows: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Requests that got an answer, a refusal among them.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// The counters in Prometheus' text format 0.0.4.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            // A string takes everything.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(&mut text, "neural_requests_total", "counter", "Requests for predictions, by model and status.");
        let requests = self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for ((model, status), count) in requests.iter() {
            let _ = writeln!(text, "neural_requests_total{{model=\"{model}\",code=\"{status}\"}} {count}");
        }
        drop(requests);
        head(&mut text, "neural_request_seconds", "histogram", "Time from a request's head to its answer.");
        let mut below = 0;
        for (end, bin) in BINS.iter().zip(&self.bins) {
            below += bin.load(Ordering::Relaxed);
            let _ = writeln!(text, "neural_request_seconds_bucket{{le=\"{end}\"}} {below}");
        }
        let answered = self.answered.load(Ordering::Relaxed);
        let seconds = self.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(text, "neural_request_seconds_bucket{{le=\"+Inf\"}} {answered}");
        let _ =
            writeln!(text, "neural_request_seconds_sum {seconds}\nneural_request_seconds_count {answered}");
        for (name, help, count) in [
            ("neural_batches_total", "Batches that were computed.", &self.batches),
            ("neural_rows_total", "Rows in these batches.", &self.rows),
        ] {
            head(&mut text, name, "counter", help);
            let _ = writeln!(text, "{name} {}", count.load(Ordering::Relaxed));
        }
        text
    }
}
