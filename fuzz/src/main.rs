//! Mutates the files in `corpus/TARGET` and gives them to a reader, which must neither panic, nor allocate
//! more than the file could justify, nor take long.
//!
//! Libfuzzer needs a nightly compiler for its view into the program. Here an input is kept for further
//! mutation if it leads the reader to a new message. Times are CPU times, so that a busy or suspended
//! machine neither shortens a run nor makes a reader look slow.

mod memory;
mod mutate;
mod targets;

use memory::Measured;
use mutate::Mutator;
use std::collections::BTreeSet;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};
use targets::Target;

/// Inputs in memory at a time, and the longest of them.
const MAX_INPUTS: usize = 512;
const MAX_LENGTH: usize = 1 << 14;

const SLOW: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let target = arguments.first().and_then(|name| Target::named(name));
    let seconds = arguments.get(1).map_or(Some(300), |text| text.parse().ok());
    let seed = arguments.get(2).map_or(Some(1), |text| text.parse().ok());
    let (Some(target), Some(seconds), Some(seed)) = (target, seconds, seed) else {
        eprintln!("usage: neural-fuzz {} [SECONDS [SEED]]", Target::names().join("|"));
        return ExitCode::from(2);
    };
    match fuzz(&target, Duration::from_secs(seconds), seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", target.name);
            ExitCode::FAILURE
        }
    }
}

fn fuzz(target: &Target, time: Duration, seed: u64) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("corpus").join(target.name))?
        .map(|f| Ok(f?.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    let mut inputs = files.iter().map(fs::read).collect::<std::io::Result<Vec<_>>>()?;
    let seeds = inputs.len();
    let mut outcomes = BTreeSet::new();
    for (file, input) in files.iter().zip(&inputs) {
        let kept = target.variants(input).iter().any(|contents| (target.read)(contents).is_ok());
        if !kept {
            return Err(format!("{} is not read", file.display()).into());
        }
    }

    let mut mutator = Mutator::new(seed);
    let (mut runs, mut read, mut slowest, start) = (0u64, 0u64, Duration::ZERO, processor_time());
    while processor_time() - start < time {
        let mut input = mutator.mutate(&inputs, seeds);
        input.truncate(MAX_LENGTH);
        for contents in target.variants(&input) {
            let begin = processor_time();
            let measured = Measured::begin();
            let result = catch_unwind(AssertUnwindSafe(|| (target.read)(&contents)));
            let (allocated, elapsed) = (measured.peak(), processor_time() - begin);
            runs += 1;
            slowest = slowest.max(elapsed);
            let wrong = match &result {
                Err(_) => Some("it panics".to_string()),
                Ok(_) if allocated > target.allowed(contents.len()) => {
                    Some(format!("{allocated} bytes allocated for a file of {}", contents.len()))
                }
                Ok(_) if elapsed > SLOW => {
                    Some(format!("{elapsed:?} for a file of {} bytes", contents.len()))
                }
                Ok(_) => None,
            };
            if let Some(wrong) = wrong {
                let found = root.join("found");
                fs::create_dir_all(&found)?;
                let path = found.join(format!("{}-{seed}-{runs}", target.name));
                fs::write(&path, &contents)?;
                return Err(format!("{wrong}; the file is {}", path.display()).into());
            }
            let outcome = match result {
                Ok(Err(message)) => kind(&message),
                _ => {
                    read += 1;
                    "read".into()
                }
            };
            if outcomes.insert(outcome) && inputs.len() < MAX_INPUTS {
                inputs.push(input.clone());
            }
        }
    }
    println!(
        "{}: {runs} files in {} s, {read} readable, {} outcomes, slowest {slowest:?}, nothing found",
        target.name,
        time.as_secs(),
        outcomes.len()
    );
    Ok(())
}

/// The CPU time of this process.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the structure that it is given and to nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The words of an error message that are its own, rather than the input's.
fn kind(message: &str) -> String {
    let is_word = |word: &&str| word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase());
    message.split([' ', ',', ':', ';']).filter(is_word).take(7).collect()
}
