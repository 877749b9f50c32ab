//! `UmaDB`, asked from Python by as many connections.

use super::{Entrant, race::Load};
use crate::{append::Sample, outside::Script};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const SCRIPT: Script = Script { name: "UmaDB", file: "umadb_spawns.py", needs: "umadb" };

/// The reason, if it cannot be asked.
pub(super) fn entrant(python: PathBuf) -> Result<Entrant, String> {
    let Script { name, needs, .. } = SCRIPT;
    if !SCRIPT.is_there(&python) {
        let python = python.display();
        return Err(format!(
            "{name}: {python} cannot import `{needs}`; see tools/bench/peers/install"
        ));
    }
    Ok(Entrant {
        name,
        means: "gRPC; two fdatasync",
        promised: "its own process, by TCP, asked from as many threads of a Python by one connection: an append whose condition is \
                   that no event has the task or the key, after a look for the parent; no map of tasks",
        run: Box::new(move |place, load, each| run(&python, place, load, each)),
    })
}

fn run(python: &Path, place: &Path, load: Load, each: Duration) -> Result<Sample> {
    fs::create_dir_all(place)?;
    let numbers = [load.connections.to_string(), load.batch.to_string()];
    let [connections, batch] = &numbers;
    let millis = each.as_millis().to_string();
    let args = [place.as_ref(), connections.as_ref(), batch.as_ref(), millis.as_ref()];
    let said = SCRIPT.ask(python, &args)?;
    let number = |name: &str| {
        let number = said.get(name).and_then(Value::as_f64);
        number.with_context(|| format!("no {name} in {said}"))
    };
    Ok(Sample { rate: number("rate")?, p50: number("p50")?, p99: number("p99")? })
}
