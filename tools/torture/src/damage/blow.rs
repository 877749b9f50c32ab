//! What is done to a file.

use anyhow::{Context, Result};
use std::{fmt, fs, os::unix::fs::FileExt, path::Path};

/// What a disk writes as one.
pub const SECTOR: u64 = 512;

/// One blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// One bit of the byte at this place is flipped.
    Flip {
        /// The place.
        at: u64,
        /// The bit, from 0 to 7.
        bit: u8,
    },
    /// 512 bytes from this place on are zeros, or as many as there are.
    Zero {
        /// The place.
        at: u64,
    },
    /// The file ends here.
    Cut {
        /// Its new length.
        at: u64,
    },
    /// It is gone.
    Delete,
    /// It is what it was earlier.
    Older,
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip { at, bit } => write!(f, "bit {bit} of byte {at} flipped"),
            Self::Zero { at } => write!(f, "512 bytes zeroed at {at}"),
            Self::Cut { at } => write!(f, "cut to {at} bytes"),
            Self::Delete => f.write_str("deleted"),
            Self::Older => f.write_str("swapped for an older copy"),
        }
    }
}

impl Blow {
    /// What kind of blow, for a table.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Flip { .. } => "bit flipped",
            Self::Zero { .. } => "512 bytes zeroed",
            Self::Cut { .. } => "cut",
            Self::Delete => "deleted",
            Self::Older => "older copy",
        }
    }

    /// Strikes `file`, whose older copy is `older`. Whether it is another file now.
    pub fn strike(self, file: &Path, older: &Path) -> Result<bool> {
        let before = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let open = || fs::OpenOptions::new().write(true).open(file);
        match self {
            Self::Flip { at, bit } => {
                let place = usize::try_from(at)?;
                let byte = before.get(place).context("a place behind the end of the file")?;
                open()?.write_all_at(&[byte ^ (1 << bit)], at)?;
            }
            Self::Zero { at } => {
                let length = u64::try_from(before.len())?;
                let count = usize::try_from(length.saturating_sub(at).min(SECTOR))?;
                open()?.write_all_at(&vec![0; count], at)?;
            }
            Self::Cut { at } => open()?.set_len(at)?,
            Self::Delete => fs::remove_file(file)?,
            Self::Older => drop(fs::copy(older, file).context("there is no older copy")?),
        }
        Ok(fs::read(file).map_or(true, |after| after != before))
    }
}
