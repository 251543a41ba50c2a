//! Requests and their answers.

use super::inputs::{self, Asked};
use super::worker::{Served, Worker};
use super::{Refusal, describe};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::json;
use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until, timeout};

const PAGE: &str = include_str!("page.html");

/// How long connections are taken after the signal to stop.
const GRACE: Duration = Duration::from_millis(500);

/// How much a client may ask for.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of a body.
    pub body: usize,
    pub time: Duration,
    pub connections: usize,
}

/// The models and the worker that runs them.
pub(super) struct Service {
    models: Vec<Served>,
    worker: Worker,
    limits: Limits,
    openapi: String,
    list: String,
    is_stopping: AtomicBool,
}

pub(in crate::cli) type Answer = Response<Full<Bytes>>;

impl Service {
    pub fn new(models: Vec<Served>, worker: Worker, limits: Limits) -> Self {
        let openapi = describe::openapi(&models).to_string();
        let list = describe::list(&models).to_string();
        Self { models, worker, limits, openapi, list, is_stopping: AtomicBool::new(false) }
    }

    /// From here on every answer closes its connection. Until the returned time connections are still accepted, so that
    /// requests on their way are answered and clients learn that the server stops.
    fn stop(&self) -> tokio::time::Instant {
        let _ = writeln!(io::stderr(), "stopping: answering the accepted requests");
        self.is_stopping.store(true, Ordering::Relaxed);
        tokio::time::Instant::now() + GRACE
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let mut answer = self.respond(request).await;
        if self.is_stopping.load(Ordering::Relaxed) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    async fn respond(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_string();
        let got = |kind, body: String| match *request.method() {
            Method::GET | Method::HEAD => plain(StatusCode::OK, kind, body),
            _ => not_allowed("GET, HEAD"),
        };
        match &path[..] {
            "/" => page(got("text/html; charset=utf-8", PAGE.to_string())),
            "/health" if self.is_stopping.load(Ordering::Relaxed) => {
                refused(&Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"))
            }
            "/health" => got("application/json", json!({ "status": "ok" }).to_string()),
            "/metrics" => got("text/plain; version=0.0.4", self.worker.metrics.text()),
            "/openapi.json" => got("application/json", self.openapi.clone()),
            "/v1/models" => got("application/json", self.list.clone()),
            _ => match self.model(&path) {
                None => refused(&Refusal::new(
                    StatusCode::NOT_FOUND,
                    format!("there is no {path}; / lists the pages"),
                )),
                Some(_) if request.method() != Method::POST => not_allowed("POST"),
                Some(model) => {
                    let began = Instant::now();
                    let said = match timeout(self.limits.time, self.predict(model, request)).await {
                        Ok(said) => said,
                        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request took too long")),
                    };
                    let answer = match said {
                        Ok(rows) => plain(StatusCode::OK, "application/json", rows),
                        Err(refusal) => refused(&refusal),
                    };
                    self.worker.metrics.request(
                        &self.models[model].name,
                        answer.status().as_u16(),
                        began.elapsed(),
                    );
                    answer
                }
            },
        }
    }

    /// The model that a path asks to predict.
    fn model(&self, path: &str) -> Option<usize> {
        if path == "/predict" && self.models.len() == 1 {
            return Some(0);
        }
        let name = path.strip_prefix("/v1/models/")?.strip_suffix("/predict")?;
        self.models.iter().position(|served| served.name == name)
    }

    async fn predict(&self, model: usize, request: Request<Incoming>) -> Result<String, Refusal> {
        let served = &self.models[model];
        let kind =
            request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let most = self.limits.body;
        let body = Limited::new(request.into_body(), most).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {most} bytes"))
            } else {
                Refusal::bad(format!("the body cannot be read: {error}"))
            }
        })?;
        let Asked { samples, rows, notes } = inputs::read(served, &kind, &body.to_bytes())?;
        let outputs = self.worker.answer(model, samples, rows).await?;
        serde_json::to_string(&served.response(&outputs, &notes))
            .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }
}

pub(in crate::cli) fn plain(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The page may send requests to this server only.
fn page(mut answer: Answer) -> Answer {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data: blob:";
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    answer
}

pub(in crate::cli) fn refused(refusal: &Refusal) -> Answer {
    let mut answer =
        plain(refusal.status, "application/json", json!({ "error": refusal.message }).to_string());
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

pub(in crate::cli) fn not_allowed(methods: &'static str) -> Answer {
    let mut answer =
        refused(&Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("expected the method {methods}")));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

/// Serves until SIGINT or SIGTERM, then answers the requests that were taken.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let connections = Arc::new(Semaphore::new(service.limits.connections));
    let graceful = GracefulShutdown::new();
    let mut until = None;
    loop {
        let taken = async {
            let place = connections.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let end = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let (stream, place) = tokio::select! {
            (accepted, place) = taken => match accepted {
                Ok((stream, _)) => (stream, place),
                // A temporary failure, such as too many open files.
                Err(error) => {
                    let _ = writeln!(io::stderr(), "note: a connection could not be taken: {error}");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = interrupt.recv(), if until.is_none() => {
                until = Some(service.stop());
                continue;
            },
            _ = terminate.recv(), if until.is_none() => {
                until = Some(service.stop());
                continue;
            },
            () = end => break,
        };
        // Small answers are sent at once, not collected.
        let _ = stream.set_nodelay(true);
        let of_connection = service.clone();
        let respond = move |request| {
            let service = of_connection.clone();
            async move { Ok::<_, Infallible>(service.answer(request).await) }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(service.limits.time)
            .serve_connection(TokioIo::new(stream), service_fn(respond));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks its connection off ends that alone.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let patience = service.limits.time + Duration::from_secs(1);
    if timeout(patience, graceful.shutdown()).await.is_err() {
        let _ = writeln!(io::stderr(), "note: connections with incomplete requests are closed");
    }
    let answered = service.worker.metrics.answered();
    if let Ok(service) = Arc::try_unwrap(service).map_err(drop) {
        service.worker.finish();
    }
    let _ = writeln!(io::stderr(), "answered {answered} requests");
    Ok(())
}
