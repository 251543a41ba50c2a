//! Compiled programs for the CPU that is built in, kept in a folder for later processes.

use super::library::linked;
use super::report::xla_library;
use crate::error::{Error, Result};
use crate::file;
use sha2::{Digest, Sha256};
use std::ffi::c_void;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::OnceLock;
use std::time::SystemTime;
use xla::{PjRtClient, PjRtLoadedExecutable, XlaComputation};

/// How much a folder holds at most, in bytes. What was not used for the longest time goes first.
const MOST: u64 = 256 << 20;

/// What one compilation is given and hands over, as `scripts/xla/program_glue.cc` has it.
#[repr(C)]
struct Exchange {
    written: *const u8,
    size: usize,
    keep: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    keeper: *mut c_void,
}

type ExchangePrograms = unsafe extern "C" fn(*const Exchange);

/// Compiles, or reads what an earlier process compiled, and says which it was. A folder that cannot be read or written
/// costs time and is no error, and neither is an XLA that cannot write programs down.
pub(super) fn compile(
    client: &PjRtClient,
    computation: &XlaComputation,
    folder: &Path,
) -> xla::Result<(PjRtLoadedExecutable, bool)> {
    // SAFETY: this is the function's type in scripts/xla/program_glue.cc, which is linked with what product.rs refers to.
    let exchange_programs = unsafe { linked::<ExchangePrograms>(c"xla_glue_exchange_programs") };
    let (Some(exchange_programs), Some(key)) = (exchange_programs, key(computation)) else {
        return Ok((client.compile(computation)?, false));
    };
    let file = folder.join(key);
    let written = read(&file);
    let mut compiled: Option<Vec<u8>> = None;
    let exchange = Exchange {
        written: written.as_ref().map_or(std::ptr::null(), Vec::as_ptr),
        size: written.as_ref().map_or(0, Vec::len),
        keep,
        keeper: (&raw mut compiled).cast(),
    };
    // SAFETY: `exchange` and what it points to live until the function is told otherwise, in this very thread.
    let executable = unsafe {
        exchange_programs(&raw const exchange);
        let executable = client.compile(computation);
        exchange_programs(std::ptr::null());
        executable?
    };
    if let Some(program) = &compiled
        && write(&file, program).is_ok()
    {
        let _ = make_room(folder, MOST);
    }
    Ok((executable, compiled.is_none() && written.is_some()))
}

/// # Safety
/// `keeper` points to an `Option<Vec<u8>>`, and `written` to as many bytes.
unsafe extern "C" fn keep(keeper: *mut c_void, written: *const u8, size: usize) {
    // SAFETY: the caller's.
    unsafe { *keeper.cast::<Option<Vec<u8>>>() = Some(slice::from_raw_parts(written, size).to_vec()) };
}

/// The name of a program's file: a hash of all that decides what is compiled. There is none where the user has given XLA
/// flags, most of which are for looking at how it compiles.
fn key(computation: &XlaComputation) -> Option<String> {
    if std::env::var_os("XLA_FLAGS").is_some_and(|flags| !flags.is_empty()) {
        return None;
    }
    let program = computation.proto().to_bytes().ok()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut hash = Sha256::new();
    for part in [machine()?.as_bytes(), &threads.to_le_bytes(), &program] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// This version of the package, the XLA that it is linked with, and the processor; `None` where they are not known.
fn machine() -> Option<&'static str> {
    static MACHINE: OnceLock<Option<String>> = OnceLock::new();
    let found = || {
        let library = xla_library()?.canonicalize().ok()?;
        let changed = library.metadata().ok()?.modified().ok()?;
        // The first core's lines: those of many cores take long to write.
        let lines = BufReader::new(File::open("/proc/cpuinfo").ok()?).lines().map_while(io::Result::ok);
        let lines = lines.take_while(|line| !line.is_empty());
        let telling = ["vendor_id", "cpu family", "model", "stepping", "flags"];
        let processor: Vec<_> =
            lines.filter(|line| telling.iter().any(|name| line.starts_with(name))).collect();
        let library = format!("{} {changed:?}", library.display());
        Some(format!("{}\n{library}\n{}", env!("CARGO_PKG_VERSION"), processor.join("\n")))
    };
    MACHINE.get_or_init(found).as_deref()
}

/// The program in a file, which is marked as used; `None` if it is not there or is damaged.
fn read(file: &Path) -> Option<Vec<u8>> {
    let mut contents = fs::read(file).ok()?;
    let sum = contents.split_off(contents.len().checked_sub(Sha256::output_size())?);
    if Sha256::digest(&contents)[..] != sum {
        return None;
    }
    let _ = File::open(file).and_then(|file| file.set_modified(SystemTime::now()));
    Some(contents)
}

/// Writes a program with its hash behind it. Only the user may write to the folder: what lies there is run.
fn write(path: &Path, program: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| Error::io("create", folder, e))?;
    file::write(path, &[program, &Sha256::digest(program)].concat())
}

/// Removes the files of a folder that were not used for the longest time, until the others hold `most` bytes or less.
fn make_room(folder: &Path, most: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut size: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, length, path) in files {
        if size <= most {
            break;
        }
        fs::remove_file(path)?;
        size -= length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_file_is_read_as_it_was_written_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("programs/key");
        assert_eq!(read(&file), None);
        write(&file, b"program").unwrap();
        assert_eq!(read(&file).as_deref(), Some(&b"program"[..]));
        let whole = fs::read(&file).unwrap();
        for damaged in [&whole[1..], &whole[..whole.len() - 1], &whole[..5], b""] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(read(&file), None);
        }
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_used_last_stays() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["old", "used", "new"].map(|name| folder.path().join(name));
        for (age, file) in [3, 2, 1].into_iter().zip(&files) {
            write(file, &[0; 68]).unwrap();
            let then = SystemTime::now() - Duration::from_secs(age * 60);
            File::open(file).unwrap().set_modified(then).unwrap();
        }
        make_room(folder.path(), 300).unwrap();
        assert!(files.iter().all(|file| file.exists()));
        read(&files[0]).unwrap();
        make_room(folder.path(), 299).unwrap();
        assert_eq!(files.map(|file| file.exists()), [true, false, true]);
    }
}
