//! The token of a client: never an argument, which any user of the machine can see.

use crate::exit::{Exit, Problem};
use anyhow::{Error, Result};
use rustix::process::geteuid;
use std::{
    env,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use taskledger_server::client::Token;

/// The token itself.
const TOKEN: &str = "TASKLEDGER_TOKEN";
/// The path of a file with the token. (`TASKLEDGER_TOKEN_FILE` is the server's list of hashes.)
const PATH: &str = "TASKLEDGER_TOKEN_PATH";
/// Bytes of such a file. A token has some 60.
const FILE_BYTES_MAX: u64 = 1 << 10;

/// The token that the environment names, if it names one. An empty variable is as good as none.
pub fn of_env() -> Result<Option<Token>> {
    let var = |name| env::var_os(name).filter(|value| !value.is_empty());
    let no_token = |place: &str| Problem::usage(format!("{place} holds no token"));
    if let Some(text) = var(TOKEN) {
        let token = text.to_str().and_then(|text| Token::new(text.trim()));
        return Ok(Some(token.ok_or_else(|| no_token(TOKEN))?));
    }
    let Some(path) = var(PATH).map(PathBuf::from) else { return Ok(None) };
    let shown = path.display().to_string();
    let text = private(&path)?;
    Ok(Some(Token::new(text.trim()).ok_or_else(|| no_token(&shown))?))
}

/// The error of a file that cannot be read.
fn unread(path: &Path, error: io::Error) -> Error {
    let told = format!("cannot read the token in {}", path.display());
    if error.kind() != io::ErrorKind::NotFound {
        return Error::new(error).context(told);
    }
    let hint =
        format!("{PATH} names a file that holds the token which `taskledger token new` printed");
    Problem::not_found(format!("{told}: {error}")).hint(hint).into()
}

/// A file of this user that nobody else can read.
fn private(path: &Path) -> Result<String> {
    let shown = path.display();
    let read = || -> io::Result<_> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok((meta, text))
    };
    let (meta, text) = read().map_err(|error| unread(path, error))?;
    if meta.mode() & 0o077 != 0 || meta.uid() != geteuid().as_raw() {
        let problem = Problem::new(Exit::Unsafe, format!("others may read the token in {shown}"));
        return Err(problem.hint("make it yours alone: `chmod 600 FILE`").into());
    }
    Ok(text)
}
