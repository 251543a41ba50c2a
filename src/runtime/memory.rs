//! How much memory is left on this machine, and how much the process has held.

use std::fs;
use std::path::Path;

/// Where one version of control groups keeps its limits, and the memory that counts against them.
struct Group {
    /// The name of the controller in `/proc/self/cgroup`, and the folder below `/sys/fs/cgroup`.
    controller: &'static str,
    folder: &'static str,
    limit: &'static str,
    used: &'static str,
    /// The cache of files that is given up for programs, which counts as used.
    cache: &'static str,
}

const GROUPS: [Group; 2] = [
    Group { controller: "", folder: "", limit: "memory.max", used: "memory.current", cache: "inactive_file" },
    Group {
        controller: "memory",
        folder: "memory",
        limit: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        cache: "total_inactive_file",
    },
];

/// Bytes that a process can still get: memory that the system has free or can free, within the limits of the process's
/// control groups. `root` is the root of the file system.
pub(super) fn free(root: &Path) -> Option<u64> {
    let information = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kilobytes = |name: &str| value(&information, name);
    let of_machine = (kilobytes("MemAvailable:")? + kilobytes("SwapFree:").unwrap_or(0)) << 10;
    Some(of_groups(root).fold(of_machine, u64::min))
}

/// The most bytes of memory that this process has held at once, on the host; `None` where the system does not tell.
///
/// ```
/// if let Some(peak) = neural::runtime::peak_memory() {
///     assert!(peak > 1 << 20);
/// }
/// ```
pub fn peak_memory() -> Option<u64> {
    value(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:").map(|kilobytes| kilobytes << 10)
}

/// The number after a name at the beginning of a line.
fn value(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', '\t']))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The memory that each control group of the process leaves, and each of its parents.
fn of_groups(root: &Path) -> impl Iterator<Item = u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    // A line is `number:controllers:path`.
    let place = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let group =
            GROUPS.iter().find(|group| controllers.split(',').any(|name| name == group.controller))?;
        Some((group, root.join("sys/fs/cgroup").join(group.folder), path.trim_start_matches('/').to_string()))
    };
    let places: Vec<_> = groups.lines().filter_map(place).collect();
    places.into_iter().flat_map(|(group, top, path)| {
        let folders: Vec<_> = Path::new(&path).ancestors().map(|folder| top.join(folder)).collect();
        folders.into_iter().filter_map(|folder| left(group, &folder))
    })
}

fn left(group: &Group, folder: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, used) = (number(group.limit)?, number(group.used)?);
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cache = value(&stat, group.cache).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_peak_stays_when_memory_is_given_back() {
        let Some(before) = peak_memory() else { return };
        let size = 300 << 20;
        drop(std::hint::black_box(vec![1u8; size]));
        let peak = peak_memory().unwrap();
        assert!(peak >= size as u64 && peak >= before, "{peak} {before}");
    }

    const MEMORY: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    800 kB\nSwapFree:         50 kB\n",
    );

    #[test]
    fn the_machines_memory_is_what_is_available() {
        assert_eq!(free(machine(&[MEMORY]).path()), Some(850 << 10));
        assert_eq!(free(machine(&[("proc/meminfo", "MemFree: 7 kB\n")]).path()), None);
        assert_eq!(free(Path::new("/no/such/root")), None);
    }

    #[test]
    fn the_tightest_group_counts_less_the_cache_that_it_can_give_up() {
        let second = [
            MEMORY,
            ("proc/self/cgroup", "0::/user/job\n"),
            ("sys/fs/cgroup/user/job/memory.max", "max\n"),
            ("sys/fs/cgroup/user/job/memory.current", "100\n"),
            ("sys/fs/cgroup/user/memory.max", "5000\n"),
            ("sys/fs/cgroup/user/memory.current", "3000\n"),
            ("sys/fs/cgroup/user/memory.stat", "anon 1\ninactive_file 500\n"),
        ];
        assert_eq!(free(machine(&second).path()), Some(2500));
        let first = [
            MEMORY,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job\n"),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "7000\n"),
            ("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "9000\n"),
            ("sys/fs/cgroup/memory/job/memory.stat", "total_inactive_file 2500\n"),
        ];
        assert_eq!(free(machine(&first).path()), Some(500));
        // A path of another namespace: only the folder at the top is there.
        let inside = [
            MEMORY,
            ("proc/self/cgroup", "0::/../elsewhere\n"),
            ("sys/fs/cgroup/memory.max", "4000\n"),
            ("sys/fs/cgroup/memory.current", "1000\n"),
        ];
        assert_eq!(free(machine(&inside).path()), Some(3000));
    }
}
