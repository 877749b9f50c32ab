//! A recording to try things with, bundled with the program.

/// The files of the bundled recording: path relative to a folder, and content. A session that
/// releases an imaginary tool; import the first file as `claude-code`.
#[must_use]
pub fn demo_recording_files() -> &'static [(&'static str, &'static str)] {
    macro_rules! file {
        ($path:literal) => {
            ($path, include_str!(concat!("../../../tests/fixtures/recordings/demo/", $path)))
        };
    }
    &[
        file!("release-kestrel.jsonl"),
        file!("release-kestrel/subagents/agent-a1build7.jsonl"),
        file!("release-kestrel/subagents/agent-a2docs41.jsonl"),
        file!("release-kestrel/subagents/agent-a3links9.jsonl"),
    ]
}
