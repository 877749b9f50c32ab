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
    /// Its first sector is what it was earlier, and the rest as it is.
    Torn,
    /// It is that of another ledger.
    Foreign,
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip { at, bit } => write!(f, "bit {bit} of byte {at} flipped"),
            Self::Zero { at } => write!(f, "512 bytes zeroed at {at}"),
            Self::Cut { at } => write!(f, "cut to {at} bytes"),
            Self::Delete => f.write_str("deleted"),
            Self::Older => f.write_str("swapped for an older copy"),
            Self::Torn => f.write_str("torn: its first sector is that of an older copy"),
            Self::Foreign => f.write_str("swapped for that of another ledger"),
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
            Self::Torn => "torn",
            Self::Foreign => "another ledger's",
        }
    }

    /// Strikes `file`, of which `other` is the older copy, or that of another ledger. Whether it is another
    /// file now.
    pub fn strike(self, file: &Path, other: &Path) -> Result<bool> {
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
            Self::Torn => {
                let mut sector = fs::read(other).context("there is no older copy")?;
                sector.truncate(usize::try_from(SECTOR)?);
                open()?.write_all_at(&sector, 0)?;
            }
            Self::Older | Self::Foreign => {
                fs::copy(other, file).context("there is no other copy")?;
            }
        }
        Ok(fs::read(file).map_or(true, |after| after != before))
    }
}
