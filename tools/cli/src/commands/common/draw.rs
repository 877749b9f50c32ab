//! The drawing of a forest.

use crate::{
    forest::{self, Node},
    output::Out,
};
use anyhow::Result;

/// Writes the lines of a forest.
pub fn draw(out: &mut Out, nodes: &[Node]) -> Result<()> {
    let look = out.look;
    forest::draw(nodes, &look).try_for_each(|line| out.line(&line))
}
