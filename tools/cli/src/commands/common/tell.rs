//! What was done to or with a ledger.

use crate::app::App;
use anyhow::Result;
use std::path::{Path, PathBuf};
use taskledger::ids::{Head, LedgerId};
use taskledger_contract::answers::HeadBody;

/// Says what has been done to or with which ledger, and where it stands now.
pub fn tell(app: &mut App, done: &str, path: &Path, ledger: LedgerId, head: Head) -> Result<()> {
    tell_kept(app, done, path, ledger, head, &[])
}

/// Says the same, and what is kept of what was there before.
pub fn tell_kept(
    app: &mut App,
    done: &str,
    path: &Path,
    ledger: LedgerId,
    head: Head,
    set_aside: &[PathBuf],
) -> Result<()> {
    let body = HeadBody::new(done, path, ledger, head, set_aside);
    let (quiet, name) = (app.quiet, body.ledger.clone());
    app.out.single(body, Some(&name), |out, body| {
        if quiet {
            return Ok(());
        }
        let path = out.look.safe(&body.path);
        out.line(&format!("{}: {path}", body.done))?;
        out.line(&format!("ledger {}  events {}", body.ledger, body.size))?;
        out.line(&format!("root   {}", body.root))?;
        let kept = body.set_aside.iter().map(|path| out.look.safe(path)).collect::<Vec<_>>();
        kept.iter().try_for_each(|path| out.line(&format!("kept   {path}")))
    })
}
