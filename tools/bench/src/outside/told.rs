//! A script for one store, and what it answers.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What a store was measured to take, times in seconds.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) version: String,
    /// What has happened before it acknowledges.
    pub(super) means: String,
    /// A second.
    pub(super) writes: f64,
    pub(super) write_p50: f64,
    pub(super) write_p99: f64,
    pub(super) of_100: Look,
    pub(super) of_1000: Look,
    pub(super) bytes: f64,
    /// Of an empty one.
    pub(super) empty: f64,
}

/// Reading a thread as of a position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// One under `tools/bench/peers`.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    /// The module without which there is nothing to measure.
    pub(crate) needs: &'static str,
}

/// The repository, from where this was built.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `tools/bench/peers/install` has made; otherwise that of the system.
pub(crate) fn python() -> PathBuf {
    let ours = root().join("target/bench-peers/bin/python");
    if ours.exists() { ours } else { PathBuf::from("python3") }
}

impl Script {
    /// Whether what it needs is installed.
    pub(crate) fn is_there(&self, python: &Path) -> bool {
        let asked = Command::new(python)
            .args(["-c", &format!("import {}", self.needs)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    }

    pub(super) fn run(
        &self,
        python: &Path,
        history: &Path,
        directory: &Path,
        looks: u64,
    ) -> Result<Told> {
        let looks = looks.to_string();
        let said = self.ask(python, &[history.as_ref(), directory.as_ref(), looks.as_ref()])?;
        told(&said).with_context(|| format!("{} answered {said}", self.file))
    }

    /// Runs it to its end, and gives the JSON that it prints.
    pub(crate) fn ask(&self, python: &Path, args: &[&OsStr]) -> Result<Value> {
        let script = root().join("tools/bench/peers").join(self.file);
        let output = Command::new(python)
            .arg(script)
            .args(args)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {}", python.display()))?;
        if !output.status.success() {
            bail!("{}: {}", self.file, String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} did not answer in JSON", self.file))
    }
}

fn told(said: &Value) -> Result<Told> {
    let number = |path: &str| {
        said.pointer(path).and_then(Value::as_f64).with_context(|| format!("no number at {path}"))
    };
    let text = |path: &str| {
        let text = said.pointer(path).and_then(Value::as_str);
        text.map(str::to_owned).with_context(|| format!("no text at {path}"))
    };
    let look = |length: &str| -> Result<Look> {
        let p50 = number(&format!("/reads/{length}/p50"))?;
        Ok(Look { p50, p99: number(&format!("/reads/{length}/p99"))? })
    };
    Ok(Told {
        version: text("/version")?,
        means: text("/means")?,
        writes: number("/writes")?,
        write_p50: number("/write_p50")?,
        write_p99: number("/write_p99")?,
        of_100: look("100")?,
        of_1000: look("1000")?,
        bytes: number("/bytes")?,
        empty: number("/empty")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_that_leaves_something_out_is_none() {
        let look = json!({ "p50": 0.001, "p99": 0.002 });
        let mut said = json!({
            "version": "1.2", "means": "synced", "writes": 100.5, "write_p50": 0.01,
            "write_p99": 0.02, "reads": { "100": look, "1000": look }, "bytes": 4096, "empty": 0,
        });
        assert!((told(&said).unwrap().of_1000.p99 - 0.002).abs() < 1e-9);
        said["reads"].as_object_mut().unwrap().remove("100");
        assert!(told(&said).is_err());
    }
}
