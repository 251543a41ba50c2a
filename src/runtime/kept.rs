//! Compiled programs for the built-in CPU, kept in a folder for later processes.

use super::private::{PrivateFolder, Refused};
use super::report::xla_library;
use super::written;
use crate::lower::{edit_at, without_id};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};
use std::time::SystemTime;
use xla::{PjRtClient, PjRtLoadedExecutable, XlaComputation};

/// The max size of a folder, in bytes. The least recently used programs go first.
const MOST: u64 = 256 << 20;

/// Compiles, or reads the program of an earlier process, and returns whether it was read. A folder that cannot be read
/// or written costs time and is no error, nor is an XLA that cannot serialise programs.
pub(super) fn compile(
    client: &PjRtClient,
    computation: &XlaComputation,
    folder: &Path,
) -> xla::Result<(PjRtLoadedExecutable, bool)> {
    let Some(key) = written::CAN_BE_WRITTEN.then(|| key(computation)).flatten() else {
        return Ok((client.compile(computation)?, false));
    };
    // Programs in the folder are run, so only this user may have written them.
    let folder = PrivateFolder::open(folder).map_err(|reason| complain(&reason)).ok();
    let kept = folder.as_ref().and_then(|folder| read(folder, &key));
    if let Some(program) = kept.and_then(|program| written::read(client, &program)) {
        return Ok((program, true));
    }
    let executable = client.compile(computation)?;
    if let Some(folder) = folder
        && let Some(program) = written::write(&executable)
        && folder.write(&key, &signed(&key, &without_warning(program))).is_ok()
    {
        let _ = make_room(folder.path(), MOST);
    }
    Ok((executable, false))
}

/// The program without the processor features that make XLA warn of illegal instructions on every load: two preferences
/// of its compiler, which it mistakes for instructions, and AVX-512, for which it adds them again (openxla/xla issue
/// 44565). The key already ensures that the processor is the same.
fn without_warning(program: Vec<u8>) -> Vec<u8> {
    // `features` in the `target_machine_options` of a `CompilationResultProto`, which is the `serialized_executable` of an
    // `ExecutableAndOptionsProto`.
    const PLACE: [u32; 3] = [1, 9, 3];
    const CAUSES: [&str; 3] = ["+prefer-no-gather", "+prefer-no-scatter", "+avx512"];
    let edited = edit_at(&program, &PLACE, &|features: &[u8]| {
        let features = String::from_utf8_lossy(features);
        let compared =
            features.split(',').filter(|feature| !CAUSES.iter().any(|cause| feature.starts_with(cause)));
        compared.collect::<Vec<_>>().join(",").into_bytes()
    });
    edited.unwrap_or(program)
}

/// Warns on stderr, once, that the folder or a file in it is not trusted. One that cannot be used at all costs only
/// time.
fn complain(reason: &Refused) {
    static ONCE: Once = Once::new();
    if let Refused::Distrusted(reason) = reason {
        ONCE.call_once(|| eprintln!("kept programs are not used: {reason}"));
    }
}

/// The name of a program's file: a hash of everything that the compilation depends on. There is none where the user has
/// given XLA flags, most of which serve to inspect a compilation.
fn key(computation: &XlaComputation) -> Option<String> {
    if std::env::var_os("XLA_FLAGS").is_some_and(|flags| !flags.is_empty()) {
        return None;
    }
    let program = without_id(computation)?;
    // XLA divides a program's work by the number of its threads: the number of cores, or the value of these variables.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = ["NPROC", "PJRT_NPROC"].map(|name| std::env::var_os(name).unwrap_or_default());
    let threads = format!("{threads} {asked:?}");
    let mut hash = Sha256::new();
    for part in [machine()?.as_bytes(), threads.as_bytes(), &program] {
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
        let processor = processor(BufReader::new(File::open("/proc/cpuinfo").ok()?))?;
        let library = format!("{} {changed:?}", library.display());
        Some(format!("{}\n{library}\n{processor}", env!("CARGO_PKG_VERSION")))
    };
    MACHINE.get_or_init(found).as_deref()
}

/// The lines of `/proc/cpuinfo` that tell one kind of processor from another, on x86-64 and on Arm; `None` where its
/// instructions are not among them.
fn processor(information: impl BufRead) -> Option<String> {
    const TELLING: [&str; 9] = [
        "vendor_id",
        "cpu family",
        "model",
        "stepping",
        "flags",
        "Features",
        "CPU implementer",
        "CPU part",
        "CPU variant",
    ];
    // The first core's lines: the kernel takes long to write the lines of many cores.
    let lines = information.lines().map_while(io::Result::ok).take_while(|line| !line.is_empty());
    let telling: Vec<_> = lines.filter(|line| TELLING.iter().any(|name| line.starts_with(name))).collect();
    let has_instructions =
        telling.iter().any(|line| ["flags", "Features"].iter().any(|name| line.starts_with(name)));
    has_instructions.then(|| telling.join("\n"))
}

/// The program that is kept under `key`; `None` if there is none, or it is damaged or not trusted.
fn read(folder: &PrivateFolder, key: &str) -> Option<Vec<u8>> {
    let mut contents = folder.read(key, MOST).map_err(|reason| complain(&reason)).ok()??;
    let sum = contents.split_off(contents.len().checked_sub(Sha256::output_size())?);
    (checksum(key, &contents)[..] == sum).then_some(contents)
}

/// A program with its checksum behind it.
fn signed(key: &str, program: &[u8]) -> Vec<u8> {
    [program, &checksum(key, program)].concat()
}

/// It covers the key, so that a file under the name of another is not taken for it.
fn checksum(key: &str, program: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(key).chain_update(program).finalize().into()
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
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::time::Duration;

    fn folder(of: &Path) -> PrivateFolder {
        PrivateFolder::open(&of.join("programs")).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn write(folder: &PrivateFolder, key: &str, program: &[u8]) {
        folder.write(key, &signed(key, program)).unwrap();
    }

    #[test]
    fn a_file_is_read_as_it_was_written_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(place.path());
        assert_eq!(read(&folder, "key"), None);
        write(&folder, "key", b"program");
        assert_eq!(read(&folder, "key").as_deref(), Some(&b"program"[..]));
        let file = folder.path().join("key");
        assert_eq!((mode(folder.path()), mode(&file)), (0o700, 0o600));
        let whole = fs::read(&file).unwrap();
        // Under another key it is another program.
        folder.write("other", &whole).unwrap();
        assert_eq!(read(&folder, "other"), None);
        for damaged in [&whole[1..], &whole[..whole.len() - 1], &whole[..5], b""] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(read(&folder, "key"), None);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_others_can_write_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let within = folder(place.path());
        write(&within, "key", b"program");
        let file = within.path().join("key");
        let refused = || within.read("key", MOST).unwrap_err().to_string();
        let permit = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o620, 0o602, 0o666] {
            permit(&file, mode);
            assert!(refused().contains("chmod go-w"), "{}", refused());
        }
        permit(&file, 0o600);
        assert!(read(&within, "key").is_some());

        // A link, a pipe and a folder in the place of the file.
        fs::rename(&file, within.path().join("elsewhere")).unwrap();
        symlink("elsewhere", &file).unwrap();
        assert!(refused().contains("is a link"), "{}", refused());
        fs::remove_file(&file).unwrap();
        let name = CString::new(file.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name ends in a nul byte.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(refused().contains("is not a file"), "{}", refused());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        permit(&file, 0o700);
        assert!(refused().contains("is not a file"), "{}", refused());

        // The folder and its ancestors; in a sticky one, such as /tmp, nobody can replace another user's files.
        let open =
            || PrivateFolder::open(&place.path().join("programs")).map(|_| ()).map_err(|e| e.to_string());
        for (path, mode, trusted) in [
            (within.path(), 0o770, false),
            (within.path(), 0o1777, false),
            (within.path(), 0o755, true),
            (place.path(), 0o777, false),
            (place.path(), 0o775, false),
            (place.path(), 0o1777, true),
            (place.path(), 0o755, true),
        ] {
            permit(path, mode);
            let opened = open();
            assert_eq!(opened.is_ok(), trusted, "{}: {mode:o}", path.display());
            if let Err(reason) = opened {
                assert!(reason.contains(&format!("chmod go-w {}", path.display())), "{reason}");
            }
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_not_read() {
        // Only root can give a file away.
        // SAFETY: geteuid only looks the number up.
        if unsafe { libc::geteuid() } != 0 {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let within = folder(place.path());
        write(&within, "key", b"program");
        chown(within.path().join("key"), Some(65534), None).unwrap();
        let refused = within.read("key", MOST).unwrap_err().to_string();
        assert!(refused.contains("belongs to another user (uid 65534)"), "{refused}");
        for path in [within.path(), place.path()] {
            chown(path, Some(65534), None).unwrap();
            let refused = PrivateFolder::open(within.path()).map(|_| ()).unwrap_err().to_string();
            assert!(refused.contains(&format!("{} belongs to another", path.display())), "{refused}");
            chown(path, Some(0), None).unwrap();
        }
        assert!(PrivateFolder::open(within.path()).is_ok());
    }

    #[test]
    fn processors_are_told_apart_by_their_instructions_and_models() {
        let arm = |features: &str, part: &str| {
            let lines = ["processor\t: 0", "BogoMIPS\t: 243.75"].map(String::from).into_iter().chain([
                format!("Features\t: {features}"),
                "CPU implementer\t: 0x41".into(),
                format!("CPU part\t: {part}"),
            ]);
            lines.collect::<Vec<_>>().join("\n")
        };
        let of = |text: &str| processor(text.as_bytes());
        let v1 = of(&arm("fp asimd sve bf16", "0xd40"));
        assert!(v1.as_ref().is_some_and(|v1| v1.contains("sve") && !v1.contains("BogoMIPS")), "{v1:?}");
        assert_ne!(v1, of(&arm("fp asimd", "0xd40")));
        assert_ne!(v1, of(&arm("fp asimd sve bf16", "0xd08")));
        assert_eq!(
            v1,
            of(&format!("{}\n\nprocessor\t: 1\nCPU part\t: 0x1", arm("fp asimd sve bf16", "0xd40")))
        );
        let intel = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t: 207\nflags\t: fpu avx2";
        assert_ne!(of(intel), of(&intel.replace("avx2", "avx")));
        // Nothing is kept where the instructions are not known.
        for text in ["", "processor\t: 0\nmodel\t: 207", "hart\t: 0\nisa\t: rv64imafdc"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn features_that_xla_warns_of_are_left_out() {
        let field = |tag: u8, contents: &[u8]| [&[tag << 3 | 2, contents.len() as u8], contents].concat();
        let program = |features: &str| {
            let machine = [field(1, b"x86_64"), field(3, features.as_bytes())].concat();
            let result = [field(3, b"entry"), field(9, &machine), field(8, b"+prefer-no-gather")].concat();
            [field(1, &result), field(2, b"")].concat()
        };
        let with = program("+avx2,+avx512f,+avx512vl,+prefer-no-scatter,+prefer-no-gather,+sse");
        assert_eq!(without_warning(with), program("+avx2,+sse"));
        let without = program("+avx2,-avx512f,-prefer-no-gather");
        assert_eq!(without_warning(without.clone()), without);
        // Other messages are left alone.
        assert_eq!(without_warning(b"program".to_vec()), b"program");
    }

    #[test]
    fn what_was_used_last_stays() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(place.path());
        let names = ["old", "used", "new"];
        let files = names.map(|name| folder.path().join(name));
        for (age, name) in [3, 2, 1].into_iter().zip(names) {
            write(&folder, name, &[0; 68]);
            let then = SystemTime::now() - Duration::from_secs(age * 60);
            File::open(folder.path().join(name)).unwrap().set_modified(then).unwrap();
        }
        make_room(folder.path(), 300).unwrap();
        assert!(files.iter().all(|file| file.exists()));
        read(&folder, names[0]).unwrap();
        make_room(folder.path(), 299).unwrap();
        assert_eq!(files.map(|file| file.exists()), [true, false, true]);
    }
}
