//! The server that has a ledger in a directory of this machine.

use super::Unsent;
use anyhow::Error;
use std::{
    io,
    path::{self, Path, PathBuf},
    time::Duration,
};
use taskledger_server::socket::{self, SocketError};

/// The longest wait until a server takes a connection, which one that is alive does at once.
const CONNECT: Duration = Duration::from_secs(1);

/// The socket of the server that has the ledger, if one listens. A socket that nobody listens at was
/// left by a server that was killed. Blocks for as long as [`CONNECT`]: a server that hangs is one.
pub fn server_of(db: &Path) -> Result<Option<PathBuf>, Unsent> {
    let Ok(db) = path::absolute(db) else { return Ok(None) };
    let path = db.join(socket::NAME);
    match socket::connect_now(&path, CONNECT) {
        Ok(_) => Ok(Some(path)),
        Err(SocketError::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
            let why = format!("the server that has the ledger takes no connection ({source})");
            Err(Unsent::Stuck(why))
        }
        Err(_) => Ok(None),
    }
}

/// The error of a server that took too long.
pub fn late(longest: Duration) -> Error {
    Unsent::Lost(format!("the server that has the ledger did not answer in {longest:?}")).into()
}
