//! The limit: the same bytes, written one behind the other into a file that was written before.

use super::{
    Entrant, Promise,
    grouped::{Store, grouped},
};
use anyhow::Result;
use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

/// When it is full, the writer goes back to its beginning.
const FILE_BYTES: u64 = 128 << 20;

/// What it is called in the tables.
pub(super) const NAME: &str = "raw file";

pub(super) fn entrant(promise: Promise) -> Entrant {
    match promise {
        Promise::Durable => Entrant {
            name: NAME,
            means: "pwrite, fdatasync",
            promised: "a file of 128 MiB that was written and synced before; the limit of the device",
            open: Box::new(|path, load| {
                grouped::<Arc<[u8]>>(Box::new(Raw::create(path, true)?), load)
            }),
        },
        Promise::Written => Entrant {
            name: NAME,
            means: "pwrite",
            promised: "a file of 128 MiB that was written before; the limit of the kernel",
            open: Box::new(|path, load| {
                grouped::<Arc<[u8]>>(Box::new(Raw::create(path, false)?), load)
            }),
        },
    }
}

struct Raw {
    file: File,
    at: u64,
    sync: bool,
    bytes: Vec<u8>,
}

impl Raw {
    fn create(path: &Path, sync: bool) -> Result<Self> {
        fs::create_dir_all(path)?;
        let mut file = File::create(path.join("raw"))?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..FILE_BYTES >> 20 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0, sync, bytes: Vec::new() })
    }
}

impl Store for Raw {
    fn commit(&mut self, _first: u64, values: &[Arc<[u8]>]) -> Result<()> {
        self.bytes.clear();
        for value in values {
            self.bytes.extend_from_slice(value);
        }
        let len = u64::try_from(self.bytes.len())?;
        if self.at + len > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&self.bytes, self.at)?;
        self.at += len;
        if self.sync {
            self.file.sync_data()?;
        }
        Ok(())
    }
}
