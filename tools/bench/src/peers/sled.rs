//! sled, one key an event. Its own flush does not reach the device, so that an fdatasync follows.

use crate::append::{Entrant, Store, grouped};
use anyhow::Result;
use sled::{Batch, Db};
use std::{fs::File, sync::Arc};

pub(super) fn entrant() -> Entrant {
    Entrant {
        name: "sled + fdatasync",
        means: "flush, fdatasync",
        promised: "`apply_batch`, `flush`, and an fdatasync of its file, without which a power cut \
                   loses it all",
        open: Box::new(|path, load| {
            let db = sled::Config::new().path(path).flush_every_ms(None).open()?;
            let file = File::open(path.join("db"))?;
            grouped::<Arc<[u8]>>(Box::new(Sled { db, file }), load)
        }),
    }
}

struct Sled {
    db: Db,
    file: File,
}

impl Store for Sled {
    fn commit(&mut self, first: u64, values: &[Arc<[u8]>]) -> Result<()> {
        let mut batch = Batch::default();
        for (seq, value) in (first..).zip(values) {
            batch.insert(&seq.to_be_bytes(), &value[..]);
        }
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }
}
