//! The socket at which local programs ask, and where it lies.
//!
//! A path of a socket has at most 107 bytes, and a ledger may lie deeper. So the socket is bound, and
//! found, relative to its directory, by the name that `/proc` gives an open directory.

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use std::{
    fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            self,
            fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::{UnixListener, UnixStream};

/// The name of the socket in the directory of a ledger. A ledger takes no other one there.
pub const NAME: &str = "ledger.sock";

/// The longest look for a server at a path. One that is alive takes a connection at once, and one
/// whose queue is full is there as well.
const PROBE: Duration = Duration::from_millis(100);

/// The reason that there is no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// A server answers at the path.
    #[error("a server listens at {} already", .path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// There is something else at the path.
    #[error("{} is there and is no socket of yours", .path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The path names no file in a directory.
    #[error("{} names no file", .path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {during} the socket {}", .path.display())]
    Io {
        /// The attempt.
        during: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// A socket that listens. Dropping it removes it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    place: Place,
    /// Device and inode, by which it is told from one that another server put there.
    id: (u64, u64),
}

/// A name in a directory that is held open.
#[derive(Debug)]
struct Place {
    directory: OwnedFd,
    name: PathBuf,
    path: PathBuf,
}

impl Place {
    fn of(path: &Path) -> Result<Self, SocketError> {
        let no_name = || SocketError::NoName { path: path.to_owned() };
        let name = PathBuf::from(path.file_name().ok_or_else(no_name)?);
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(parent.unwrap_or(Path::new(".")), flags, Mode::empty());
        let failed = |error: rustix::io::Errno| SocketError::Io {
            during: "find the directory of",
            path: path.to_owned(),
            source: error.into(),
        };
        Ok(Self { directory: opened.map_err(failed)?, name, path: path.to_owned() })
    }

    /// A short path to the same file, for as long as this value lives.
    fn short(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.directory.as_raw_fd().to_string()).join(&self.name)
    }

    fn failed(&self, during: &'static str) -> impl FnOnce(io::Error) -> SocketError {
        let path = self.path.clone();
        move |source| SocketError::Io { during, path, source }
    }
}

impl Socket {
    /// Listens in the directory of a ledger that this process has open to append: a socket that is
    /// there is what a server left that was killed.
    ///
    /// # Errors
    /// [`SocketError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn in_ledger(directory: &Path) -> Result<Self, SocketError> {
        let place = Place::of(&directory.join(NAME))?;
        clear(&place)?;
        Self::listen(place)
    }

    /// Listens at any other path, unless a server listens there. The file `PATH.lock`, which is made
    /// beside it and stays, is locked meanwhile, so that of two servers that begin at once one finds
    /// the other. Does not wait for a server that hangs.
    ///
    /// # Errors
    /// [`SocketError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn at(path: &Path) -> Result<Self, SocketError> {
        let place = Place::of(path)?;
        let lock = lock(&place)?;
        match connect_within(&place, PROBE) {
            Err(Errno::NOENT) => {}
            Err(Errno::CONNREFUSED) => clear(&place)?,
            // Its queue is full: it is there.
            Ok(_) | Err(Errno::AGAIN) => return Err(SocketError::InUse { path: place.path }),
            Err(error) => return Err(place.failed("probe")(error.into())),
        }
        let socket = Self::listen(place);
        drop(lock);
        socket
    }

    fn listen(place: Place) -> Result<Self, SocketError> {
        let listener = UnixListener::bind(place.short()).map_err(place.failed("bind"))?;
        // Until then the umask decides; whoever was quicker is refused by his user id.
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(place.short(), private).map_err(place.failed("shut off"))?;
        let meta = fs::symlink_metadata(place.short()).map_err(place.failed("inspect"))?;
        Ok(Self { listener, place, id: (meta.dev(), meta.ino()) })
    }

    /// The path at which it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let short = self.place.short();
        let own =
            fs::symlink_metadata(&short).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.id);
        if own {
            // One that stays is replaced by the next server.
            let _ = fs::remove_file(short);
        }
    }
}

/// Locks the file beside the place, or finds that another server begins there.
fn lock(place: &Place) -> Result<OwnedFd, SocketError> {
    let mut path = place.short().into_os_string();
    path.push(".lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = open(path, flags | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR);
    let file = file.map_err(|error| place.failed("lock")(error.into()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::AGAIN) => Err(SocketError::InUse { path: place.path.clone() }),
        Err(error) => Err(place.failed("lock")(error.into())),
    }
}

/// Connects, or fails with [`Errno::AGAIN`] where the queue of the socket stays full for so long.
fn connect_within(place: &Place, longest: Duration) -> Result<unix::net::UnixStream, Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // None would be for ever.
    let longest = longest.max(Duration::from_millis(1));
    set_socket_timeout(&socket, Timeout::Send, Some(longest))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(place.short())?)?;
    Ok(socket.into())
}

/// Removes a socket of this user that nobody listens at.
fn clear(place: &Place) -> Result<(), SocketError> {
    let meta = match fs::symlink_metadata(place.short()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta.map_err(place.failed("inspect"))?,
    };
    let own = meta.uid() == rustix::process::geteuid().as_raw();
    if !meta.file_type().is_socket() || !own {
        return Err(SocketError::Occupied { path: place.path.clone() });
    }
    fs::remove_file(place.short()).map_err(place.failed("replace"))
}

/// Connects to the socket at a path of any length.
///
/// # Errors
/// [`SocketError::Io`].
pub async fn connect(path: &Path) -> Result<UnixStream, SocketError> {
    let place = Place::of(path)?;
    UnixStream::connect(place.short()).await.map_err(place.failed("connect to"))
}

/// Connects as [`connect`] does, for programs without a runtime. Blocks for at most `longest`, which
/// is the limit of a write on the stream as well.
///
/// # Errors
/// [`SocketError::Io`], of the kind [`WouldBlock`](io::ErrorKind::WouldBlock) if a server listens and
/// takes no connection.
pub fn connect_now(path: &Path, longest: Duration) -> Result<unix::net::UnixStream, SocketError> {
    let place = Place::of(path)?;
    let connected = connect_within(&place, longest).map_err(io::Error::from);
    connected.map_err(place.failed("connect to"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_lies_as_deep_as_a_ledger_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
        fs::create_dir_all(&deep).unwrap();
        let socket = Socket::in_ledger(&deep).unwrap();
        let path = socket.path().to_owned();
        assert!(path.as_os_str().len() > 200);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let (met, taken) = tokio::join!(connect(&path), socket.accept());
        assert!(met.is_ok() && taken.is_ok());
        drop(socket);
        assert!(!path.exists(), "its file goes with it");
    }

    /// A socket that listens and takes nothing, with those that fill its queue.
    fn stuck(path: &Path) -> (OwnedFd, Vec<unix::net::UnixStream>) {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        let place = Place::of(path).unwrap();
        let queue = std::iter::from_fn(|| connect_within(&place, PROBE).ok()).collect();
        (socket, queue)
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_found_without_waiting_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.sock");
        let (_socket, queue) = stuck(&path);
        assert!(!queue.is_empty());
        assert!(matches!(Socket::at(&path), Err(SocketError::InUse { .. })));
        let refused = connect_now(&path, PROBE).unwrap_err();
        let SocketError::Io { source, .. } = refused else { panic!("{refused}") };
        assert_eq!(source.kind(), io::ErrorKind::WouldBlock);
        assert!(path.exists(), "it is still its own");
    }

    #[tokio::test]
    async fn of_servers_that_begin_at_once_at_one_path_one_listens() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Handle::current();
        for round in 0..50 {
            let path = dir.path().join(format!("{round}.sock"));
            // Left by one that was killed: each finds that nobody listens.
            drop(unix::net::UnixListener::bind(&path).unwrap());
            let together = std::sync::Barrier::new(4);
            let begin = || {
                let _entered = runtime.enter();
                together.wait();
                let socket = Socket::at(&path);
                together.wait(); // none goes before all have tried
                socket.map(|_| ())
            };
            let listening = std::thread::scope(|scope| {
                let all: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
                all.into_iter().flat_map(|one| one.join().unwrap()).count()
            });
            assert_eq!(listening, 1);
        }
    }

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.sock");
        // As after kill -9: the file stays, and nobody listens.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = Socket::at(&path).unwrap();
        assert!(matches!(Socket::at(&path), Err(SocketError::InUse { .. })));
        // Another one took its place: it is not removed with this one.
        fs::remove_file(&path).unwrap();
        let other = Socket::at(&path).unwrap();
        drop(socket);
        assert!(path.exists());
        drop(other);
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Socket::at(&path), Err(SocketError::Occupied { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        match unix::fs::chown(&path, Some(65_534), None) {
            Ok(()) => assert!(matches!(Socket::at(&path), Err(SocketError::Occupied { .. }))),
            // Only root can make one of another user.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        assert!(matches!(Socket::at(Path::new("/")), Err(SocketError::NoName { .. })));
    }
}
