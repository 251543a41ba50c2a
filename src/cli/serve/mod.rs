//! `neural serve`

mod describe;
pub(super) mod http;
mod inputs;
mod metrics;
mod numbers;
mod worker;

use super::DeviceArguments;
use super::trained::CheckpointArguments;
use crate::error::Error;
use crate::runs::Folder;
use anyhow::{Context, bail};
use http::{Limits, Service};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use worker::{Batching, Served, Worker};

/// Answer over HTTP with trained models
#[derive(Debug, clap::Args)]
#[command(after_help = "  GET  /                            a page to try the models
  GET  /v1/models                   their names, inputs and outputs
  POST /v1/models/NAME/predict      JSON {\"rows\": [{\"column\": value, …}, …]} for a model of a table, {\"inputs\": [sample, …]}
                                    for one of arrays; a PNG or JPEG file as the body for one of pictures
  POST /predict                     the same where there is one model
  GET  /openapi.json  /health  /metrics

Requests that arrive while a batch is computed are answered together in the next. On SIGINT or SIGTERM the server takes no
new connections, answers the requests that it has taken, and exits with 0.

Examples:
  neural serve runs/guests-1
  neural serve cheap=runs/mlp-3 good=runs/cnn-1 --port 8080
  curl localhost:8000/predict -d '{\"rows\": [{\"age\": 31, \"city\": \"Bern\"}]}' -H content-type:application/json
  curl localhost:8000/predict --data-binary @seven.png -H content-type:image/png")]
pub struct Serve {
    /// The folders of the runs; NAME=RUN gives the model a name of its own
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,

    #[command(flatten)]
    checkpoint: CheckpointArguments,

    /// The address to listen at; 0.0.0.0 opens it to the network, without encryption or passwords
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    host: IpAddr,

    /// The port, 0 for any that is free
    #[arg(long, default_value_t = 8000, value_name = "N")]
    port: u16,

    /// The most rows of a batch
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch_rows: u16,

    /// How long a batch waits for more rows; 0 takes those that arrived while the last batch was computed
    #[arg(long, default_value_t = 0.0, value_name = "MS", value_parser = milliseconds)]
    batch_wait: f64,

    /// The largest body of a request
    #[arg(long, default_value_t = 8.0, value_name = "MIB", value_parser = mebibytes)]
    max_body: f64,

    /// How long a request may take, from its first byte to its answer
    #[arg(long, default_value_t = 10.0, value_name = "S", value_parser = seconds)]
    timeout: f64,

    /// Connections at once; others wait
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,

    #[command(flatten)]
    device: DeviceArguments,
}

fn within(text: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().map_err(|_| "expected a number".to_string())?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(format!("expected {} to {}", range.start(), range.end()))
    }
}

fn milliseconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=1000.0)
}

fn mebibytes(text: &str) -> Result<f64, String> {
    within(text, 0.001..=1024.0)
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.1..=3600.0)
}

impl Serve {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut models: Vec<Served> = Vec::new();
        for run in &self.runs {
            let (name, path) = named(run);
            let folder = Folder::open(path)?;
            let name = name.map_or_else(|| folder.name(), String::from);
            if models.iter().any(|model| model.name == name) {
                bail!("two models are called {name}: give one a name of its own, OTHER={}", path.display());
            }
            if name.is_empty() || name.contains(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
                bail!(
                    "a model's name is part of addresses: expected letters, digits, - _ and ., got {name:?}; NAME={} gives another",
                    path.display()
                );
            }
            models.push(Served::of(name, &folder, self.checkpoint.which())?);
        }
        let batching = Batching {
            rows: usize::from(self.batch_rows),
            wait: Duration::from_secs_f64(self.batch_wait / 1000.0),
        };
        let (worker, device) = Worker::start(self.device.clone(), &models, batching)?;
        let limits = Limits {
            body: (self.max_body * 1_048_576.0) as usize,
            time: Duration::from_secs_f64(self.timeout),
            connections: self.max_connections as usize,
        };
        let address = SocketAddr::new(self.host, self.port);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the threads of the server")?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen at {address}; --port takes another"))?;
            let address = listener.local_addr()?;
            let mut out = io::stdout().lock();
            for model in &models {
                writeln!(out, "{} on {device}: {}", model.name, model.summary())?;
            }
            writeln!(out, "listening at http://{address}/")?;
            out.flush()?;
            drop(out);
            http::serve(listener, Arc::new(Service::new(models, worker, limits))).await
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `NAME=RUN`, or a run alone.
fn named(run: &str) -> (Option<&str>, &Path) {
    match run.split_once('=') {
        Some((name, path)) if !Path::new(run).exists() => (Some(name), Path::new(path)),
        _ => (None, Path::new(run)),
    }
}

/// The answer to a request that cannot be served.
#[derive(Debug)]
pub(super) struct Refusal {
    status: hyper::StatusCode,
    message: String,
}

impl Refusal {
    pub fn new(status: hyper::StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(hyper::StatusCode::BAD_REQUEST, message)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::bad(error.to_string())
    }
}
