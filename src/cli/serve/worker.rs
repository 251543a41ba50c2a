//! The thread that computes: it owns the device, and answers simultaneous requests in one batch.

use super::Refusal;
use super::metrics::Metrics;
use crate::array::{Array, DType};
use crate::cli::DeviceArguments;
use crate::cli::predict::Answered;
use crate::cli::trained::Answers;
use crate::data::Source;
use crate::data::images::Form;
use crate::error::{Error, Result};
use crate::model::{Model, Predictor};
use crate::runs::{Folder, Which};
use hyper::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Requests that wait; more are refused at once rather than answered too late.
const WAITING: usize = 4096;

/// A model, with all that is needed to read its inputs and answers.
pub(super) struct Served {
    pub name: String,
    pub model: Model,
    pub source: Source,
    /// How each of the model's outputs is read.
    answers: Vec<Answers>,
}

impl Served {
    pub fn of(name: String, folder: &Folder, which: Option<Which>) -> Result<Self> {
        let recipe = folder.recipe()?;
        let saved = folder.chosen(which)?;
        let threshold = saved.threshold(recipe.train.threshold);
        let conformal = saved.conformal.clone();
        let model = saved.model()?;
        let answers = Answers::described(&model.description)?;
        let answers = answers
            .into_iter()
            .map(|answers| answers.with_threshold(threshold).with_conformal(conformal.clone()))
            .collect();
        Ok(Self { name, model, source: recipe.data, answers })
    }

    /// How each of the model's outputs is read.
    pub fn answers(&self) -> &[Answers] {
        &self.answers
    }

    /// The form of the pictures that the model takes, if it takes any.
    pub fn pictures(&self) -> Option<Form> {
        let description = &self.model.description;
        let is_alone = description.dtype == DType::U8 && description.others.inputs.is_empty();
        Form::of_sample(&description.sample).filter(|_| is_alone)
    }

    /// The model's inputs and answers, in a line.
    pub fn summary(&self) -> String {
        let description = &self.model.description;
        let takes = match &description.columns[..] {
            [] => format!("samples {}", crate::cli::text::samples(&description.sample)),
            columns => format!("rows of {} columns", columns.len()),
        };
        let gives = match &description.classes[..] {
            [] => "values".to_string(),
            classes => format!("one of {} classes", classes.len()),
        };
        format!("takes {takes}, gives {gives}")
    }
}

/// When a batch is full, and how long it waits to be.
#[derive(Clone, Copy)]
pub(super) struct Batching {
    pub rows: usize,
    pub wait: Duration,
}

/// Samples for a model, and where its answers go: of each output `[rows, …]`.
struct Job {
    model: usize,
    samples: Vec<Array>,
    rows: usize,
    answer: oneshot::Sender<Result<Vec<Array>, Arc<Error>>>,
}

/// A handle to the thread.
pub(super) struct Worker {
    jobs: SyncSender<Job>,
    pub metrics: Arc<Metrics>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Compiles every model, and reports the device.
    pub fn start(
        arguments: DeviceArguments,
        models: &[Served],
        batching: Batching,
    ) -> anyhow::Result<(Self, String)> {
        let (jobs, waiting) = sync_channel(WAITING);
        let (ready, started) = sync_channel(1);
        let metrics = Arc::new(Metrics::default());
        let measured = metrics.clone();
        let models: Vec<Model> = models.iter().map(|served| served.model.clone()).collect();
        let thread = thread::Builder::new().name("models".into()).spawn(move || {
            // A device belongs to the thread that opened it.
            let compiled = arguments.open().and_then(|device| {
                let of = |model: &Model| Compiled::new(model, &device, batching.rows);
                let compiled: Vec<Compiled> = models.iter().map(of).collect::<Result<_>>()?;
                Ok((compiled, device.to_string()))
            });
            match compiled {
                Ok((compiled, device)) => {
                    if ready.send(Ok(device)).is_ok() {
                        work(&compiled, &waiting, batching, &measured);
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        let device = started.recv()??;
        Ok((Self { jobs, metrics, thread }, device))
    }

    /// The model's answers to samples of each of its inputs.
    pub async fn answer(
        &self,
        model: usize,
        samples: Vec<Array>,
        rows: usize,
    ) -> Result<Vec<Array>, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send(Job { model, samples, rows, answer }).map_err(|error| match error {
            TrySendError::Full(_) => {
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests are waiting; try again")
            }
            TrySendError::Disconnected(_) => stopped(),
        })?;
        match answered.await {
            Ok(answers) => {
                answers.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
            }
            Err(_) => Err(stopped()),
        }
    }

    /// Waits until everything that was asked is answered.
    pub fn finish(self) {
        drop(self.jobs);
        // It ends when no request can come any more; a panic in it was reported where it happened.
        let _ = self.thread.join();
    }
}

fn stopped() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server has stopped")
}

/// A model, compiled for batches of several sizes: a program computes all of its rows, requested or not.
struct Compiled {
    sizes: Vec<Predictor>,
}

impl Compiled {
    fn new(model: &Model, device: &crate::runtime::Device, most: usize) -> Result<Self> {
        let mut sizes: Vec<usize> = [1, 8].into_iter().filter(|&size| size < most).collect();
        sizes.push(most);
        Ok(Self { sizes: sizes.into_iter().map(|size| model.compile(device, size)).collect::<Result<_>>()? })
    }

    fn answer(&self, samples: &[Array], rows: usize) -> Result<Vec<Array>> {
        let fits = self.sizes.iter().find(|predictor| predictor.batch() >= rows);
        match fits.or(self.sizes.last()) {
            Some(predictor) => predictor.predict_all(samples),
            None => Ok(Vec::new()),
        }
    }
}

/// Answers until nobody can ask any more.
fn work(models: &[Compiled], waiting: &Receiver<Job>, batching: Batching, metrics: &Metrics) {
    while let Ok(first) = waiting.recv() {
        let until = Instant::now() + batching.wait;
        let mut rows = first.rows;
        let mut jobs = vec![first];
        while rows < batching.rows {
            let next = match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => waiting.try_recv().map_err(|_| RecvTimeoutError::Timeout),
                left => waiting.recv_timeout(left),
            };
            let Ok(job) = next else { break };
            rows += job.rows;
            jobs.push(job);
        }
        let mut of_model: BTreeMap<usize, Vec<Job>> = BTreeMap::new();
        for job in jobs {
            // A client that has given up gets no answer.
            if !job.answer.is_closed() {
                of_model.entry(job.model).or_default().push(job);
            }
        }
        for (model, jobs) in of_model {
            metrics.batch(jobs.iter().map(|job| job.rows).sum());
            answer(&models[model], jobs);
        }
    }
}

/// Answers jobs for one model together.
fn answer(model: &Compiled, jobs: Vec<Job>) {
    let rows = jobs.iter().map(|job| job.rows).sum();
    let all = together(&jobs).and_then(|samples| model.answer(&samples, rows)).map_err(Arc::new);
    let mut from = 0;
    for job in jobs {
        let part = match &all {
            Ok(answers) => {
                answers.iter().map(|all| cut(all, from, job.rows)).collect::<Result<_>>().map_err(Arc::new)
            }
            Err(error) => Err(error.clone()),
        };
        from += job.rows;
        // Nothing depends on whether somebody still waits for it.
        let _ = job.answer.send(part);
    }
}

/// The samples of all jobs, input by input.
fn together(jobs: &[Job]) -> Result<Vec<Array>> {
    let Some(first) = jobs.first() else { return Ok(Vec::new()) };
    let of = |input: usize| {
        let parts = || jobs.iter().filter_map(move |job| job.samples.get(input));
        let (dtype, sample) = (first.samples[input].dtype(), &first.samples[input].shape()[1..]);
        let rows = parts().map(|part| part.shape()[0]).sum();
        let bytes = parts().map(Array::bytes).collect::<Vec<_>>().concat();
        Array::from_bytes(dtype, &[&[rows], sample].concat(), bytes)
    };
    (0..first.samples.len()).map(of).collect()
}

fn cut(all: &Array, from: usize, rows: usize) -> Result<Array> {
    let shape = &all.shape()[1..];
    let row = all.bytes().len() / all.shape()[0].max(1);
    Array::from_bytes(
        all.dtype(),
        &[&[rows], shape].concat(),
        all.bytes()[from * row..(from + rows) * row].to_vec(),
    )
}

/// Answers to rows as the body of a response.
#[derive(Serialize)]
pub(super) struct Response<'a> {
    model: &'a str,
    predictions: Vec<Answered<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

impl Served {
    /// The answers `[rows, …]` of each output, with remarks.
    pub fn response<'a>(&'a self, outputs: &[Array], notes: &'a [String]) -> Response<'a> {
        let numbers: Vec<Vec<f64>> = outputs.iter().map(Array::to_f64).collect();
        let rows = outputs.first().map_or(0, |outputs| outputs.shape()[0]);
        let of = |row: usize| {
            let parts: Vec<&[f64]> =
                numbers.iter().map(|all| &all[all.len() / rows * row..][..all.len() / rows]).collect();
            Answered::of(&self.answers, &parts)
        };
        Response { model: &self.name, predictions: (0..rows).map(of).collect(), notes }
    }
}
