//! What the figures are of: without it they say nothing.

use std::{fs, process::Command, thread};

/// The date, the commit, the machine, the disk and the kernel, and how busy it is, in one line.
pub(crate) fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']));
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1));
    let memory = memory.and_then(|kib| kib.parse::<u64>().ok());
    let memory = memory.map_or_else(|| "?".to_owned(), |kib| (kib >> 20).to_string());
    let temp = std::env::temp_dir();
    let disk = said("df", &["--output=source,fstype", &temp.to_string_lossy()]);
    let disk = disk.lines().last().unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ");
    let kernel = said("uname", &["-sr"]);
    let date = said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]);
    let commit = said("git", &["describe", "--always", "--dirty", "--abbrev=10"]);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    format!(
        "{date}, commit {commit}, {cores} cores ({model}), {memory} GiB, {disk}, {kernel}, load \
         {load} before"
    )
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "?".to_owned())
}
