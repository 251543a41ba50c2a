//! Several processes train as one with as many devices, bit for bit. Skipped, with a message, if scripts/setup --mpi
//! has not been run.

mod common;

use common::numbers;
use neural::Array;
use neural::data::safetensors;
use neural::runs::Saved;
use neural::runtime::cache_folder;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// MPI's launcher, if it is there.
fn launcher() -> Option<PathBuf> {
    let folder = cache_folder().unwrap_or_default().join("mpi");
    let launcher = folder.join("bin/mpiexec");
    if folder.join("lib/libneural_mpi.so").is_file() && launcher.is_file() {
        return Some(launcher);
    }
    eprintln!("skipped: there is no MPI in {}; scripts/setup --mpi brings it", folder.display());
    None
}

/// Pictures of 6 by 6 pixels in three classes, as a table.
fn pictures(path: &Path, rows: usize, seed: u64) {
    let names: Vec<String> = (0..36).map(|i| format!("p{i}")).collect();
    let mut text = format!("{},class\n", names.join(","));
    for pixels in numbers(rows * 36, seed).chunks(36) {
        let class = (pixels[..12].iter().sum::<f64>().abs() * 2.0) as usize % 3;
        pixels.iter().for_each(|pixel| text.push_str(&format!("{pixel:.4},")));
        text.push_str(&format!("{}\n", ["a", "b", "c"][class]));
    }
    fs::write(path, text).expect("writable");
}

/// Arrays that a network may be trained on: pictures, lists of tokens, and a class and a value of each.
fn arrays(path: &Path, rows: usize) {
    let pixels: Vec<f32> = numbers(rows * 36, 1).iter().map(|&x| x as f32).collect();
    let sums: Vec<f32> = pixels.chunks(36).map(|picture| picture[..12].iter().sum()).collect();
    let classes: Vec<i32> = sums.iter().map(|sum| (sum.abs() * 2.0) as i32 % 3).collect();
    let tokens: Vec<i32> = pixels.iter().take(rows * 5).map(|x| (x.abs() * 12.0) as i32).collect();
    let array = |shape: &[usize], values| Array::new(shape, values).expect("as many values");
    let (pictures, tokens) =
        (array(&[rows, 6, 6, 1], pixels), Array::new(&[rows, 5], tokens).expect("as many tokens"));
    let (classes, sums) = (Array::vector(&classes), array(&[rows, 1], sums));
    let named = [("picture", &pictures), ("tokens", &tokens), ("class", &classes), ("sum", &sums)];
    fs::write(path, safetensors::encode(&named, None).expect("encoded")).expect("writable");
}

/// The sections of a recipe: its data, its model and its training.
struct Network {
    data: &'static str,
    model: &'static str,
    train: &'static str,
}

const TABLE: &str = "format = 'table'\npath = 'pictures.csv'\nvalidation_fraction = 0.2\n";

const DENSE: Network = Network {
    data: TABLE,
    model: "layers = ['flatten', { dense = 8 }, 'tanh', { dense = 3 }]",
    train: "loss = 'softmax-cross-entropy'\noptimizer = { sgd = { learning_rate = 0.5 } }",
};

/// Every operation that reaches over a batch or draws for its rows, and each kind of figure.
const NETWORKS: [(Network, usize, usize); 6] = [
    (Network { data: "inputs = 'picture'\ntarget = 'class'", ..DENSE }, 2, 2),
    (
        Network {
            data: "inputs = 'picture'\ntarget = 'class'",
            model: "layers = [{ conv = { filters = 4, kernel = [3, 3] } }, 'batch-norm', 'relu', 'flatten', { dropout = 0.4 }, \
                    { dense = 3 }]",
            train: "loss = 'softmax-cross-entropy'\noptimizer = { adam = { learning_rate = 0.01 } }\n\
                    augment = [{ noise = 0.1 }]\naverage = 0.9",
        },
        2,
        1,
    ),
    (
        Network {
            data: "inputs = 'picture'\ntarget = 'sum'\nscale_target = 'standardize'",
            model: "layers = [{ reshape = [6, 6] }, { lstm = 5 }, 'layer-norm', { dense = 1 }]",
            train: "loss = 'mean-squared-error'\noptimizer = { adamw = { learning_rate = 0.01 } }\naccumulate = 2\n\
                    clip_norm = 1.0\nlast_batch = 'mask'",
        },
        4,
        1,
    ),
    (
        Network {
            data: "inputs = 'picture'\ntarget = 'class'\non_disk = true",
            model: "layers = [{ reshape = [6, 6] }, 'position', { attention = { heads = 2, dropout = 0.1 } }, 'batch-norm', \
                    'flatten', { dense = 80 }, 'relu', { dense = 3 }]",
            train: "loss = 'softmax-cross-entropy'\noptimizer = { sgd = { learning_rate = 0.1, momentum = 0.9 } }\n\
                    mixed_precision = true\nshuffle_blocks = { rows = 16, window = 4 }",
        },
        2,
        1,
    ),
    (
        Network {
            data: "inputs = ['picture', 'tokens']\ntargets = ['class', 'sum']",
            model: "[model.nodes]\n\
                    seen = { from = 'picture', layers = ['flatten', { dense = 6 }] }\n\
                    read = { from = 'tokens', layers = [{ embedding = { vocabulary = 12, units = 4 } }, 'flatten', { dense = 6 }] }\n\
                    both = { from = ['seen', 'read'], join = 'concatenate', layers = ['batch-norm', 'tanh'] }\n\
                    kind = { from = 'both', layers = [{ dense = 3 }] }\n\
                    value = { from = 'both', layers = [{ dense = 1 }] }",
            train: "optimizer = { adam = { learning_rate = 0.01 } }\n[train.objectives]\n\
                    class = { from = 'kind', loss = 'softmax-cross-entropy', target = 'class' }\n\
                    size = { from = 'value', loss = 'mean-squared-error', target = 'sum', weight = 0.5 }",
        },
        2,
        1,
    ),
    (
        Network {
            data: "inputs = 'tokens'\ntarget = 'class'",
            model: "layers = [{ embedding = { vocabulary = 12, units = 4 } }, 'global-avg-pool', { dense = 3 }]",
            train: "loss = { softmax-cross-entropy = { class_weights = [1.0, 2.0, 0.5] } }\n\
                    optimizer = { adam = { learning_rate = 0.02 } }",
        },
        2,
        1,
    ),
];

/// A folder with data and a recipe that trains the network on them.
fn project(network: &Network) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    pictures(&folder.path().join("pictures.csv"), 90, 1);
    let Network { data, model, train } = network;
    let rows = if *data == TABLE {
        String::new()
    } else {
        arrays(&folder.path().join("arrays.safetensors"), 640);
        "format = 'safetensors'\npath = 'arrays.safetensors'\nvalidation_fraction = 0.55\n".into()
    };
    let recipe = format!(
        "[data]\n{rows}{data}\n[model]\n{model}\n[train]\nbatch_size = 16\nepochs = 3\nsteps_per_call = 5\n{train}\n"
    );
    fs::write(folder.path().join("recipe.toml"), recipe).expect("writable");
    folder
}

/// `neural train` with these arguments in the folder: with as many devices in one process, or in as many processes.
fn command(
    folder: &TempDir,
    processes: Option<(&Path, usize)>,
    devices: usize,
    arguments: &[&str],
) -> Command {
    command_of("train", folder, processes, devices, arguments)
}

fn command_of(
    name: &str,
    folder: &TempDir,
    processes: Option<(&Path, usize)>,
    devices: usize,
    arguments: &[&str],
) -> Command {
    let neural = env!("CARGO_BIN_EXE_neural");
    let mut command = match processes {
        None => Command::new(neural),
        Some((launcher, count)) => {
            let mut command = Command::new(launcher);
            command.args(["-n", &count.to_string(), neural]);
            command
        }
    };
    command.arg(name).args(arguments).args(["--device", "cpu", "--devices", &devices.to_string()]);
    if processes.is_some() {
        command.args(["--processes", "mpi"]);
    }
    let flags = format!("--xla_force_host_platform_device_count={devices}");
    command.current_dir(folder.path()).env("XLA_FLAGS", flags).env_remove("RUST_LOG");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeds(mut command: Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    output
}

/// All results of the run, without its times.
fn reached(folder: &TempDir, run: &str) -> Vec<(String, Vec<u8>)> {
    let run = folder.path().join("runs").join(run);
    let mut reached = Vec::new();
    for name in ["last", "best"] {
        let saved = Saved::read(&run.join(format!("{name}.safetensors"))).expect("a checkpoint");
        let tensors = saved.checkpoint.tensors.iter();
        reached.extend(tensors.map(|(tensor, array)| (format!("{name} {tensor}"), array.bytes().to_vec())));
        for epoch in saved.epochs.expect("a history") {
            let figures = format!("{} {:?} {:?}", epoch.loss, epoch.accuracy, epoch.validation);
            reached.push((format!("{name} epoch {}", epoch.number), figures.into_bytes()));
        }
    }
    reached
}

/// Checks that the runs have the same results, bit for bit.
fn assert_same(folder: &TempDir, one: &str, other: &str) {
    let (one, other) = (reached(folder, one), reached(folder, other));
    assert_eq!(one.len(), other.len());
    for (a, b) in one.iter().zip(&other) {
        assert!(a == b, "{} differs", a.0);
    }
}

#[test]
fn processes_train_and_evaluate_as_one_with_as_many_devices() {
    let Some(mpi) = launcher() else { return };
    for (network, processes, devices) in NETWORKS {
        let folder = project(&network);
        let name = ["recipe.toml", "--name"];
        succeeds(command(&folder, None, processes * devices, &[&name[..], &["one"]].concat()));
        let several = Some((&*mpi, processes));
        let output = succeeds(command(&folder, several, devices, &[&name[..], &["several"]].concat()));
        assert_same(&folder, "one", "several");
        // Only one of them prints.
        let said = text(&output.stdout);
        assert_eq!(said.matches("epoch 3/3").count(), 1, "{said}");
        assert!(said.contains(&format!("in each of {processes} processes")), "{said}");
    }
}

/// As between machines without faster links: MPICH would use shared memory on one machine.
#[test]
fn messages_over_tcp_give_the_same() {
    let Some(mpi) = launcher() else { return };
    let (network, processes, devices) = &NETWORKS[5];
    let folder = project(network);
    let name = ["recipe.toml", "--name"];
    succeeds(command(&folder, None, processes * devices, &[&name[..], &["one"]].concat()));
    let mut over_tcp =
        command(&folder, Some((&*mpi, *processes)), *devices, &[&name[..], &["several"]].concat());
    over_tcp.env("MPIR_CVAR_NOLOCAL", "1").env("FI_PROVIDER", "tcp");
    succeeds(over_tcp);
    assert_same(&folder, "one", "several");
}

/// Gradients go in one message, however many parameters there are, and the figures of a call's steps in another.
#[test]
fn a_step_makes_one_sum_over_the_processes() {
    let Some(mpi) = launcher() else { return };
    let folder = project(&NETWORKS[0].0);
    let output = succeeds(command(&folder, Some((&*mpi, 2)), 2, &["recipe.toml", "--json"]));
    let said = text(&output.stdout);
    let traffic = said.lines().find(|line| line.contains("\"traffic\"")).expect("a line of traffic");
    let traffic: serde_json::Value = serde_json::from_str(traffic).expect("JSON");
    let page = include_str!("../docs/json.md");
    let row =
        page.lines().find(|line| line.starts_with("| `traffic` |")).expect("a row of the documentation");
    let keys = traffic.as_object().expect("an object").keys();
    assert!(keys.into_iter().all(|key| key == "event" || row.contains(&format!("`{key}`"))), "{row}");
    let number = |key: &str| traffic[key].as_f64().expect("a number");
    // 288 training rows are 18 steps an epoch, in calls of 5, 5, 5 and 3.
    assert_eq!((number("steps"), number("sums")), (54.0, 54.0 + 12.0), "{traffic}");
    // Each of the process's two devices sends 36 · 8 + 8 + 8 · 3 + 3 gradients and four figures to three others.
    let (gradients, figures) = (4.0 * 323.0, 8.0 * 4.0);
    assert_eq!(number("bytes"), 54.0 * 2.0 * 3.0 * (gradients + figures), "{traffic}");
}

#[test]
fn the_runs_of_a_group_and_of_a_sweep_are_those_of_one_process() {
    let Some(mpi) = launcher() else { return };
    let folder = project(&DENSE);
    let several = Some((&*mpi, 2));
    for arguments in [["--repeat", "2"], ["--folds", "2"]] {
        let [one, other] = ["one", "other"].map(|name| format!("{name}{}", arguments[0]));
        let words = |name| [&["recipe.toml", "--epochs", "2", "--name", name][..], &arguments].concat();
        succeeds(command(&folder, None, 2, &words(&one)));
        succeeds(command(&folder, several, 1, &words(&other)));
        let runs = fs::read_dir(folder.path().join("runs").join(&one)).expect("a folder");
        let runs: Vec<_> = runs.map(|entry| entry.expect("an entry")).filter(|e| e.path().is_dir()).collect();
        assert_eq!(runs.len(), 2);
        for run in runs {
            let name = run.file_name().into_string().expect("UTF-8");
            assert_same(&folder, &format!("{one}/{name}"), &format!("{other}/{name}"));
        }
    }
    // A rate at which a trial fails under way, and a model that cannot start, in a sweep that goes on.
    let sweep = |processes, devices| {
        let mut command = command_of("sweep", &folder, processes, devices, &["recipe.toml"]);
        let rates = "train.optimizer.sgd.learning_rate=0.5,1e38";
        command.args([
            "--over",
            rates,
            "--over",
            "model.layers=[{dense=3}],[{dense=8},{conv={filters=1,kernel=[9,9]}}]",
        ]);
        command.args(["--epochs", "2"]);
        succeeds(command)
    };
    let alone = sweep(None, 2);
    let shared = sweep(several, 1);
    let failed = |output: &Output| text(&output.stderr).matches("failed").count();
    assert_eq!((failed(&alone), failed(&shared)), (3, 3), "{}", text(&shared.stderr));
    assert_same(&folder, "recipe-sweep-1/trial-1", "recipe-sweep-2/trial-1");
}

/// The errors when the second process has another environment or runs in another folder.
fn refused(first: &TempDir, mpi: &Path, of_second: &[&str]) -> String {
    let mut command = command(first, Some((mpi, 1)), 1, &["recipe.toml", "--quiet"]);
    let second = env!("CARGO_BIN_EXE_neural");
    command.arg(":").args(of_second).args([
        "-n",
        "1",
        second,
        "train",
        "--device",
        "cpu",
        "--processes",
        "mpi",
    ]);
    let output = command.output().expect("it starts");
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    said
}

#[test]
fn processes_that_differ_end_the_job_and_say_in_what() {
    let Some(mpi) = launcher() else { return };
    // Muon's products of a step are XLA's; the update of most optimizers is a function of the crate, the same on every
    // processor.
    let muon = "loss = 'softmax-cross-entropy'\noptimizer = { muon = { learning_rate = 0.01 } }";
    let folder = project(&Network { train: muon, ..DENSE });
    let other = tempfile::tempdir().expect("a temporary folder");
    let path = other.path().to_string_lossy().into_owned();
    let said = refused(&folder, &mpi, &["-wdir", &path]);
    assert!(said.contains("error: process 1 on ") && said.contains("cannot read pictures.csv"), "{said}");
    pictures(&other.path().join("pictures.csv"), 90, 2);
    let said = refused(&folder, &mpi, &["-wdir", &path]);
    assert!(said.contains("the values of the inputs differ"), "{said}");
    assert!(!folder.path().join("runs").exists(), "nothing is written before the processes agree");
    let two = "--xla_force_host_platform_device_count=2";
    let said = refused(&folder, &mpi, &["-env", "XLA_FLAGS", two]);
    let expected = "number of devices: expected 1 in all processes, as in the first, got 2 in process 1";
    assert!(said.contains(expected), "{said}");
    // Another kind of processor, as XLA sees it.
    if cfg!(target_arch = "x86_64") {
        let said = refused(&folder, &mpi, &["-env", "XLA_FLAGS", "--xla_cpu_max_isa=SSE4_2"]);
        let expected = "weights: expected those of the first process, got others after 5 steps";
        assert!(said.contains(expected), "{said}");
    }
}

/// A process of the launcher's that runs this program.
fn one_of(launcher: u32) -> Option<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let all = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_ours = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim() == "neural")
            && std::iter::successors(Some(*pid), |pid| parent(*pid)).any(|pid| pid == launcher)
    };
    all.filter(is_ours).max()
}

#[test]
fn a_process_that_is_slow_is_waited_for() {
    let Some(mpi) = launcher() else { return };
    let folder = project(&DENSE);
    let words = |name| ["recipe.toml", "--epochs", "60", "-q", "--name", name];
    succeeds(command(&folder, None, 2, &words("one")));
    let mut job = command(&folder, Some((&mpi, 2)), 1, &words("slow"));
    let mut job = job.stdout(Stdio::null()).spawn().expect("it starts");
    let mut stops = 0;
    while job.try_wait().expect("a child").is_none() {
        if let Some(process) = one_of(job.id()) {
            for signal in [libc::SIGSTOP, libc::SIGCONT] {
                // SAFETY: it only sends a signal.
                unsafe { libc::kill(process as libc::pid_t, signal) };
                sleep(Duration::from_millis(40));
            }
            stops += 1;
        }
    }
    assert!(job.wait().expect("it ends").success() && stops > 2, "{stops} stops");
    assert_same(&folder, "one", "slow");
}

#[test]
fn a_job_that_is_interrupted_or_loses_a_process_goes_on_with_any_number_of_them() {
    let Some(mpi) = launcher() else { return };
    let folder = project(&DENSE);
    let epochs = "150";
    succeeds(command(&folder, None, 2, &["recipe.toml", "--name", "whole", "--epochs", epochs, "--quiet"]));
    let run = folder.path().join("runs/parts");
    let lines = || fs::read_to_string(run.join("history.jsonl")).map_or(0, |text| text.lines().count());
    // Stops the job once it has made some progress, by a signal to the launcher or to one of its processes.
    let stop = |arguments: &[&str], signal: libc::c_int| {
        let before = lines();
        let mut job = command(&folder, Some((&mpi, 2)), 1, arguments);
        let mut job = job.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        while lines() < before + 3 {
            assert!(job.try_wait().expect("a child").is_none(), "it ended by itself");
            sleep(Duration::from_millis(2));
        }
        let to = if signal == libc::SIGKILL { one_of(job.id()).expect("a process") } else { job.id() };
        // SAFETY: it only sends a signal.
        unsafe { libc::kill(to as libc::pid_t, signal) };
        job.wait().expect("it ends").code()
    };
    assert_eq!(stop(&["recipe.toml", "--name", "parts", "--epochs", epochs, "-q"], libc::SIGINT), Some(130));
    assert_ne!(stop(&["--resume", "runs/parts", "-q"], libc::SIGKILL), Some(0));
    assert!(lines() < 150);
    succeeds(command(&folder, None, 2, &["--resume", "runs/parts", "-q"]));
    assert_same(&folder, "whole", "parts");
}

/// When a job is interrupted.
#[derive(Debug)]
enum Moment {
    /// After so many lines of its output.
    Lines(usize),
    /// After a time, whatever the job does by then.
    Milliseconds(u64),
}

/// Starts a job in processes of MPI, interrupts it, and returns its exit code, `None` where the signal ended the
/// launcher.
fn interrupted(mut job: Command, moment: &Moment) -> Option<i32> {
    let mut job = job.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(job.stdout.take().expect("a pipe")).lines();
    match moment {
        Moment::Lines(count) => lines.by_ref().take(*count).for_each(drop),
        Moment::Milliseconds(time) => sleep(Duration::from_millis(*time)),
    }
    // SAFETY: it only sends a signal.
    unsafe { libc::kill(job.id() as libc::pid_t, libc::SIGINT) };
    // A full pipe would hold the job up.
    lines.for_each(drop);
    job.wait().expect("it ends").code()
}

#[test]
fn an_interrupt_at_any_moment_costs_nothing() {
    let Some(mpi) = launcher() else { return };
    let folder = project(&DENSE);
    let recipe = ["recipe.toml", "--epochs", "150", "--name"];
    succeeds(command(&folder, None, 2, &[&recipe[..], &["whole", "-q"]].concat()));
    let run = folder.path().join("runs/parts");
    let arguments = || match run.exists() {
        true => vec!["--resume", "runs/parts"],
        false => [&recipe[..], &["parts"]].concat(),
    };
    let two = Some((&*mpi, 2));
    let [lines, times] = [&[1, 2, 3, 4, 5, 9, 16, 30][..], &[0, 60, 250, 500, 1000]];
    let lines = lines.iter().map(|&count| Moment::Lines(count));
    for moment in lines.chain(times.iter().map(|&time| Moment::Milliseconds(time as u64))) {
        let code = interrupted(command(&folder, two, 1, &[&arguments()[..], &["--json"]].concat()), &moment);
        // Before the run begins there is nothing to keep; at its end nothing to interrupt.
        let is_usual = matches!(code, Some(0 | 130)) || matches!(moment, Moment::Milliseconds(_));
        assert!(is_usual, "{moment:?}: {code:?}");
    }
    succeeds(command(&folder, two, 1, &[&arguments()[..], &["-q"]].concat()));
    assert_same(&folder, "whole", "parts");
}

#[test]
fn processes_stop_early_where_one_does() {
    let Some(mpi) = launcher() else { return };
    let folder = project(&DENSE);
    let recipe =
        ["recipe.toml", "--epochs", "500", "--set", "train.early_stopping={ patience = 3 }", "--name"];
    let one = succeeds(command(&folder, None, 2, &[&recipe[..], &["one"]].concat()));
    let two = succeeds(command(&folder, Some((&mpi, 2)), 1, &[&recipe[..], &["two"]].concat()));
    for output in [one, two] {
        let said = text(&output.stdout);
        assert!(said.contains("stopped early: validation-loss"), "{said}");
    }
    assert_same(&folder, "one", "two");
}

#[test]
fn a_sweep_that_is_interrupted_has_the_ranking_of_one_process() {
    let Some(mpi) = launcher() else { return };
    let folder = project(&DENSE);
    let over = ["--over", "train.optimizer.sgd.learning_rate=0.5,0.05,0.2,1.0"];
    let sweep = [&["recipe.toml", "--epochs", "20"], &over[..]].concat();
    succeeds(command_of("sweep", &folder, None, 2, &sweep));
    let two = Some((&*mpi, 2));
    let job = command_of("sweep", &folder, two, 1, &[&sweep[..], &["--json"]].concat());
    // All four trials print more than 80 lines. A job that ended before it was interrupted has nothing to resume.
    if interrupted(job, &Moment::Lines(60)) == Some(0) {
        return;
    }
    let report = |number: usize| {
        let text = fs::read_to_string(folder.path().join(format!("runs/recipe-sweep-{number}/report.md")));
        let rows =
            |text: String| text.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n");
        text.map(rows).unwrap_or_default()
    };
    assert_ne!(report(2), report(1));
    succeeds(command_of("sweep", &folder, two, 1, &["--resume", "runs/recipe-sweep-2", "-q"]));
    assert_eq!(report(2), report(1));
    assert_eq!(report(1).lines().count(), 2 + 4, "{}", report(1));
}

#[test]
fn each_process_sends_its_own_rows_to_its_device_unless_told_otherwise() {
    let Some(mpi) = launcher() else { return };
    let folder = project(&NETWORKS[0].0);
    // Whether the training program has all 640 pictures among its arguments.
    let is_resident = |name: &str, setting: &[&str]| {
        let arguments = ["recipe.toml", "--epochs", "1", "--no-kept-programs", "--name", name];
        let mut job = command(&folder, Some((&mpi, 2)), 1, &[&arguments[..], setting].concat());
        let dump = folder.path().join(format!("{name}-programs"));
        let flags = "--xla_force_host_platform_device_count=1 --xla_dump_hlo_as_text --xla_dump_to=";
        job.env("XLA_FLAGS", format!("{flags}{}", dump.display()));
        succeeds(job);
        let programs = fs::read_dir(dump).expect("programs").map(|entry| entry.expect("an entry").path());
        let texts = programs.filter_map(|path| fs::read_to_string(path).ok());
        let layouts: Vec<String> = texts
            .filter(|text| text.contains("all-reduce"))
            .filter_map(|text| {
                Some(text.lines().next()?.split("entry_computation_layout=").nth(1)?.to_string())
            })
            .collect();
        assert!(!layouts.is_empty());
        layouts.iter().any(|layout| layout.contains("[640,"))
    };
    assert!(!is_resident("own", &[]));
    assert!(is_resident("all", &["--set", "train.stream=false"]));
    assert_same(&folder, "own", "all");
}
