//! The drawing of a forest.

use crate::{
    app::App,
    forest::{self, Node},
};
use anyhow::Result;

/// Writes the lines of a forest.
pub fn draw(app: &mut App, nodes: &[Node]) -> Result<()> {
    let look = app.out.look;
    forest::draw(nodes, &look).try_for_each(|line| app.out.line(&line))
}
