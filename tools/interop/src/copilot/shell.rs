//! Commands in the background: what the runtime writes at the end of a tool's result.
//!
//! Output of the command stands before it, so only the last line counts.

use taskledger::event::Outcome;

/// Says what the last line of a result says of a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shell {
    /// The command goes on in the background.
    Runs(String),
    /// It ended.
    Ended(String, Outcome, Option<String>),
}

/// Says whether a tool runs commands.
pub(super) fn runs(tool: &str) -> bool {
    matches!(tool, "bash" | "powershell" | "shell" | "local_shell")
}

/// Says whether a tool looks at commands in the background.
pub(super) fn looks(tool: &str) -> bool {
    ["read_bash", "write_bash", "read_powershell", "write_powershell"].contains(&tool)
}

/// Says whether a tool stops them.
pub(super) fn stops(tool: &str) -> bool {
    ["stop_bash", "stop_powershell"].contains(&tool)
}

/// Says what the runtime wrote at the end of a result.
pub(super) fn said(content: &str) -> Option<Shell> {
    let last = content.trim_end().lines().next_back()?.trim();
    let said = last.strip_prefix('<')?.strip_suffix('>')?;
    let started = ["command started in background with shellId: "];
    let detached = "command started in detached background with shellId: ";
    for start in started.into_iter().chain([detached]) {
        if let Some(id) = said.strip_prefix(start) {
            return Some(Shell::Runs(word(id)?));
        }
    }
    if let Some((id, state)) =
        said.strip_prefix("command with shellId: ").and_then(|rest| rest.split_once(' '))
    {
        let on = ["is still running", "moved to background", "is running in the background"];
        return on.iter().any(|on| state.starts_with(on)).then(|| Shell::Runs(id.to_owned()));
    }
    let (id, state) = said.strip_prefix("shellId: ")?.split_once(' ')?;
    if state == "running" {
        return Some(Shell::Runs(id.to_owned()));
    }
    let code: i64 = state.strip_prefix("completed with exit code ")?.parse().ok()?;
    let (outcome, error) = ended(Some(code));
    Some(Shell::Ended(id.to_owned(), outcome, error))
}

/// Says how a command ended that left this exit code.
pub(super) fn ended(code: Option<i64>) -> (Outcome, Option<String>) {
    match code {
        Some(0) | None => (Outcome::Completed, None),
        Some(code) => (Outcome::Failed, Some(format!("exit code {code}"))),
    }
}

fn word(text: &str) -> Option<String> {
    text.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_line_is_the_runtimes() {
        let runs = |id: &str| Some(Shell::Runs(id.to_owned()));
        assert_eq!(said("<command started in background with shellId: build>"), runs("build"));
        assert_eq!(
            said("out\n<command with shellId: 7 is still running after 30 seconds. Wait.>\n"),
            runs("7")
        );
        let end = |code| Some(Shell::Ended("0".into(), ended(Some(code)).0, ended(Some(code)).1));
        assert_eq!(said("out\n<shellId: 0 completed with exit code 0>"), end(0));
        assert_eq!(said("<shellId: 0 completed with exit code 3>"), end(3));
        assert_eq!(
            said("<command started in background with shellId: x>\nthat was an example"),
            None
        );
        assert_eq!(said(""), None);
    }
}
