//! The server of the page: the page itself, a stream of news, and the stop button.

use super::seen::{Seen, Told, look};
use crate::cli::page::{self, Reach};
use crate::cli::serve::Refusal;
use crate::cli::serve::http::{Answer, not_allowed, plain, refused};
use crate::runs::Locks;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

const SCRIPT: &str = include_str!("watch.js");

/// How often the folders are polled.
const EVERY: Duration = Duration::from_millis(500);

/// The header that holds the token. A page of another origin cannot send it without permission, which the server never
/// grants.
const TOKEN: &str = "x-token";

type Streamed = Response<BoxBody<Bytes, Infallible>>;

struct Service {
    address: SocketAddr,
    token: String,
    seen: watch::Receiver<Arc<Vec<Seen>>>,
}

/// Serves until SIGINT or SIGTERM.
pub(super) async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    token: String,
    folders: Vec<PathBuf>,
) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (told, seen) = watch::channel(Arc::new(Vec::new()));
    tokio::spawn(async move {
        let mut before: Arc<Vec<Seen>> = Arc::new(Vec::new());
        loop {
            let (folders, known) = (folders.clone(), before.clone());
            if let Ok(now) = tokio::task::spawn_blocking(move || look(&folders, &known)).await {
                before = Arc::new(now);
            }
            // Nobody listens any more when the server has ended.
            if told.send(before.clone()).is_err() {
                break;
            }
            sleep(EVERY).await;
        }
    });
    let service = Arc::new(Service { address, token, seen });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // A temporary failure, such as too many open files.
            Err(error) => {
                let _ = writeln!(io::stderr(), "note: a connection could not be taken: {error}");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let respond = move |request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(service.answer(&request)) }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), service_fn(respond));
        // A page that is closed ends its connections alone.
        tokio::spawn(async move { drop(connection.await) });
    }
}

impl Service {
    fn answer(&self, request: &Request<Incoming>) -> Streamed {
        let whole = |answer: Answer| answer.map(BodyExt::boxed);
        // A page of another name that resolves to this machine reads nothing.
        if !self.is_own_name(request) {
            let refusal = Refusal::new(StatusCode::FORBIDDEN, format!("expected the host {}", self.address));
            return whole(refused(&refusal));
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/" if is_read => {
                let page = page::of("neural watch", SCRIPT, &Value::Null, Reach::Server);
                whole(plain(StatusCode::OK, "text/html; charset=utf-8", page))
            }
            "/events" if *request.method() == Method::GET => self.events(),
            "/stop" if *request.method() == Method::POST => whole(match self.stop(request) {
                Ok(process) => {
                    plain(StatusCode::OK, "application/json", json!({ "process": process }).to_string())
                }
                Err(refusal) => refused(&refusal),
            }),
            "/" => whole(not_allowed("GET, HEAD")),
            "/events" => whole(not_allowed("GET")),
            "/stop" => whole(not_allowed("POST")),
            path => whole(refused(&Refusal::new(StatusCode::NOT_FOUND, format!("there is no {path}")))),
        }
    }

    fn is_own_name(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let port = self.address.port();
        ["127.0.0.1", "localhost"]
            .iter()
            .any(|name| host == format!("{name}:{port}") || (port == 80 && host == *name))
    }

    /// Server-sent events, each with the news for the page.
    fn events(&self) -> Streamed {
        let (news, events) = mpsc::channel(1);
        let mut seen = self.seen.clone();
        seen.mark_changed();
        tokio::spawn(async move {
            let mut told = Told::default();
            // The folders are polled often enough that a stream whose page is gone ends soon.
            while seen.changed().await.is_ok() && !news.is_closed() {
                let now = seen.borrow_and_update().clone();
                if let Some(said) = told.news(&now)
                    && news.send(Bytes::from(format!("data: {said}\n\n"))).await.is_err()
                {
                    break;
                }
            }
        });
        let mut answer = Response::new(Events(events).boxed());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    /// Interrupts the process that trains a run, as Ctrl-C does.
    fn stop(&self, request: &Request<Incoming>) -> Result<u32, Refusal> {
        let token = request.headers().get(TOKEN).map(HeaderValue::as_bytes);
        if token != Some(self.token.as_bytes()) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "expected the token of the address that was printed",
            ));
        }
        let id = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix("run="))
            .map(decoded)
            .unwrap_or_default();
        let seen = self.seen.borrow().clone();
        // Only a shown run can be stopped, by a signal to the process that trains it now.
        let run = seen.iter().find(|seen| seen.run.id == id);
        let run =
            run.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, format!("there is no run {id:?}")))?;
        let process = Locks::now().holder(Path::new(&run.run.id));
        let process = process.ok_or_else(|| {
            Refusal::new(StatusCode::CONFLICT, "nothing trains the run: it has ended already")
        })?;
        // SAFETY: it takes two numbers.
        if unsafe { libc::kill(process as libc::pid_t, libc::SIGINT) } == 0 {
            Ok(process)
        } else {
            let error = io::Error::last_os_error();
            Err(Refusal::new(StatusCode::CONFLICT, format!("process {process} cannot be stopped: {error}")))
        }
    }
}

/// A part of an address without its `%XX`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let code = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        plain.push(code.unwrap_or(bytes[i]));
        i += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// A body whose parts are sent as they come.
struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}
