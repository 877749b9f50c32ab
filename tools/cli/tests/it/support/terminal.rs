//! A terminal for the program.

use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use std::{
    ffi::OsStr,
    fs::File,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
};

/// A terminal that nobody types at; one as long as the first is held.
pub(crate) fn terminal() -> (OwnedFd, File) {
    let host = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&host).unwrap();
    unlockpt(&host).unwrap();
    let name = ptsname(&host, Vec::new()).unwrap();
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    let mut options = File::options();
    options.read(true).write(true).custom_flags(flags);
    let terminal = options.open(OsStr::from_bytes(name.as_bytes())).unwrap();
    (host, terminal)
}
