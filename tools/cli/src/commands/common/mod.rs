//! What several commands share: arguments, and how answers of one kind are written.

mod draw;
mod each;
mod expected;
mod follow;
mod new_dir;
mod new_file;
mod outside;
mod parent;
mod readable;
mod seq;
mod status;
mod tell;

pub use draw::draw;
pub use each::{each, list};
pub use expected::{Expected, expected};
pub use follow::{CLEAR, Follower, check_follow, refreshed, watch};
pub use new_dir::NewDir;
pub use new_file::NewFile;
pub use outside::check_outside;
pub use parent::check_parent;
pub use readable::readable;
pub use seq::seq;
pub use status::StatusArg;
pub use tell::{tell, tell_kept};
