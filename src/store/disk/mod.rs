//! TEMPORARY STUB.
#![allow(missing_docs, missing_debug_implementations, clippy::pedantic)]
mod options;
pub use options::*;
use super::*;
use crate::ids::*;
use std::path::Path;
#[derive(Debug,Clone)] pub struct Identity { pub ledger: LedgerId, pub node: NodeId, pub origin: Vec<u8> }
#[derive(Debug)] pub struct DiskStore(MemStore);
impl DiskStore {
  pub fn create(_: &Path, _: &DiskOptions, _: Identity) -> Result<Self, Error> { Err(Error::Halted) }
  pub fn open(_: &Path, _: &DiskOptions) -> Result<Self, Error> { Err(Error::Halted) }
  pub fn identity(&self) -> Identity { unimplemented!() }
  pub fn snapshots(&self) -> MemStore { self.0.clone() }
  pub fn into_inner(self) -> MemStore { self.0 }
}
