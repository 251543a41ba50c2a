//! Finding, choosing and reporting devices.

use neural::runtime::{Device, DeviceOptions, DeviceSpec};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the program with no CUDA in sight except the test's own.
fn neural(arguments: &[&str], cache: &Path, plugin: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neural"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("NEURAL_CACHE", cache);
    match plugin {
        Some(plugin) => command.env("XLA_PJRT_PLUGIN", plugin),
        None => command.env_remove("XLA_PJRT_PLUGIN"),
    };
    command.output().expect("the program starts")
}

fn report(cache: &Path, plugin: Option<&str>) -> Value {
    let output = neural(&["devices", "--json"], cache, plugin);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// Checks that training on `device` ends with one line on stderr that holds all of `words`.
fn refuses(device: &str, cache: &Path, plugin: Option<&str>, words: &[&str]) {
    let output = neural(&["train", "--device", device], cache, plugin);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{device}: {said}");
    assert!(said.lines().count() == 1 && words.iter().all(|word| said.contains(word)), "{device}: {said}");
}

/// A cache in which `scripts/setup --cuda` seems to have been, with a plugin that is an empty file.
fn cache_with_plugin() -> (tempfile::TempDir, PathBuf) {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let plugin = cache.path().join("cuda/jax_plugins/xla_cuda13/xla_cuda_plugin.so");
    std::fs::create_dir_all(plugin.parent().expect("it has a folder")).expect("writable");
    std::fs::write(&plugin, "").expect("writable");
    let plugin = plugin.canonicalize().expect("it is there");
    (cache, plugin)
}

fn has_driver() -> bool {
    Path::new("/proc/driver/nvidia/version").exists() || Path::new("/dev/dxg").exists()
}

#[test]
fn the_report_tells_what_is_there() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let output = neural(&["devices"], empty.path(), None);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for row in ["XLA ", "CPU ", "driver ", "plugin ", "auto ", "cpu "] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row}: {text}");
    }
    assert!(text.contains("\n\ndevice  opens as\n"), "{text}");

    let report = report(empty.path(), None);
    let memory = std::fs::read_to_string("/proc/meminfo").expect("it is Linux");
    let kilobytes: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok())
        .expect("the kernel tells");
    assert_eq!(report["cpu"]["memory"].as_u64(), Some(1024 * kilobytes));
    assert!(Path::new(report["xla"]["library"].as_str().expect("a path")).is_file(), "{report}");
    assert_eq!(report["devices"][0]["name"], "cpu");
}

#[test]
fn a_plugin_in_the_cache_is_found_and_needs_a_driver() {
    let (cache, plugin) = cache_with_plugin();
    let found = report(cache.path(), None);
    assert_eq!(found["plugin"]["path"].as_str(), plugin.to_str());
    assert_eq!((&found["plugin"]["origin"], &found["plugin"]["cuda"]), (&"cache".into(), &13.into()));
    // An empty file is found, and nothing of NVIDIA's lies beside it.
    assert_eq!(found["plugin"]["libraries"], 0);
    if has_driver() {
        return;
    }
    assert_eq!(found["auto"]["device"], "cpu");
    assert!(found["driver"]["missing"].as_str().expect("a reason").contains("libcuda.so.1"), "{found}");
    refuses("cuda", cache.path(), None, &["cuda:0: ", "NVIDIA's driver is not there"]);

    // A missing GPU that was not asked for by name is no failure, and is reported.
    let output = neural(&["devices"], cache.path(), None);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.lines().any(|line| line.starts_with("auto ") && line.contains("cpu: NVIDIA's driver")),
        "{text}"
    );
}

#[test]
fn a_plugin_that_was_named_is_not_passed_over() {
    let (cache, _) = cache_with_plugin();
    for device in ["auto", "cuda"] {
        refuses(device, cache.path(), Some("cuda:/none/plugin.so"), &["XLA_PJRT_PLUGIN", "/none/plugin.so"]);
        refuses(device, cache.path(), Some("plugin.so"), &["XLA_PJRT_PLUGIN", "NAME:PATH", "plugin.so"]);
    }
    let report = report(cache.path(), Some("cuda:/none/plugin.so"));
    assert!(report["problems"][0].as_str().expect("a problem").contains("/none/plugin.so"), "{report}");

    // A plugin that exists takes precedence over the cache.
    let (_other, plugin) = cache_with_plugin();
    let named = format!("cuda:{}", plugin.display());
    let report = self::report(cache.path(), Some(&named));
    assert_eq!(report["plugin"]["path"].as_str(), plugin.to_str());
    assert_eq!(report["plugin"]["origin"], "environment");
}

#[test]
fn what_is_no_plugin_is_refused() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let refuses = |path: &Path, words: &[&str]| {
        refuses(&format!("plugin:other={}", path.display()), empty.path(), None, words);
    };
    refuses(Path::new("/none/plugin.so"), &["other: there is no plugin at /none/plugin.so"]);
    let text = empty.path().join("text.so");
    std::fs::write(&text, "not a library").expect("writable");
    refuses(&text, &["other: ", "text.so"]);
    // The C library is a library, but no plugin.
    let maps = std::fs::read_to_string("/proc/self/maps").expect("it is Linux");
    let libc = maps
        .lines()
        .find_map(|line| line.find('/').map(|at| &line[at..]).filter(|path| path.contains("/libc.so")));
    refuses(Path::new(libc.expect("the C library is loaded")), &["other: ", "no PJRT plugin", "GetPjrtApi"]);
}

#[test]
fn the_part_of_memory_is_a_part() {
    for fraction in [0.0, -0.5, 1.5, f32::NAN] {
        let options = DeviceOptions { memory_fraction: Some(fraction), ..DeviceOptions::default() };
        let error = Device::open_with(&DeviceSpec::Cpu, &options).expect_err("refused").to_string();
        assert!(error.contains("memory_fraction") && error.contains("at most 1"), "{error}");
    }
}

#[test]
fn a_device_is_written_as_it_is_read() {
    for text in ["auto", "cpu", "cuda:0", "cuda:3", "plugin:tpu=/opt/libtpu.so"] {
        assert_eq!(text.parse::<DeviceSpec>().expect("well formed").to_string(), text);
    }
    for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "plugin:tpu", "cpu:1", "AUTO"] {
        let error = text.parse::<DeviceSpec>().expect_err("refused").to_string();
        assert!(error.contains("plugin:NAME=PATH"), "{error}");
    }
}
