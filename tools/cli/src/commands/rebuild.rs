#[derive(Debug, clap::Args)]
pub struct Args {}
pub fn run(_: &Args, _: &mut crate::app::App) -> anyhow::Result<crate::exit::Exit> {
    unimplemented!()
}
