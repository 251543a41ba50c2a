//! `neural watch`

mod http;
mod seen;

use crate::cli::text;
use anyhow::Context;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

/// Show runs while they train, on a page in the browser that draws itself anew
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page is served on this machine alone and loads nothing from a network. It shows the curves of the runs that are
chosen, side by side, and where their recipes differ; runs that begin later appear by themselves. A run that trains has a
button that stops it as Ctrl-C does: its state is kept, and neural train --resume continues it. The button needs the token in the
printed address; the address without it shows the same page without buttons.

Examples:
  neural watch                                     the runs in the folder runs
  neural watch runs/guests-1 runs/guests-2
  neural watch runs/guests-sweep-1 --port 9000"
)]
pub struct Watch {
    /// Folders of runs, or folders that contain them
    #[arg(default_value = "runs", value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// The port, 0 for any that is free
    #[arg(long, default_value_t = 8001, value_name = "N")]
    port: u16,
}

impl Watch {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut bytes))
            .context("cannot draw a token")?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the server")?;
        let wanted = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port);
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(wanted)
                .await
                .with_context(|| format!("cannot listen at {wanted}; --port takes another"))?;
            let address = listener.local_addr()?;
            let mut out = io::stdout().lock();
            for path in self.runs.iter().filter(|path| !path.exists()) {
                writeln!(out, "{} is not there yet; runs appear as they begin", text::path(path))?;
            }
            writeln!(out, "watch at http://{address}/#{token}")?;
            out.flush()?;
            drop(out);
            http::serve(listener, address, token, self.runs.clone()).await
        })?;
        // A poll of the folders that is under way is not waited for.
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }
}
