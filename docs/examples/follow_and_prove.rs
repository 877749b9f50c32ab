//! Following events, and proving one to somebody who has nothing but a signed checkpoint.
//!
//! `cargo run --example follow_and_prove`

#![allow(
    clippy::indexing_slicing,
    clippy::match_wildcard_for_single_variants,
    clippy::wildcard_enum_match_arm,
    reason = "an example may stop at the first surprise"
)]
#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use taskledger::{
    Ledger, Options, codec,
    command::{Finish, Spawn},
    event::Action,
    ids::{Head, ThreadId},
    ledger::Followed,
    proof::{Checkpoint, check_consistency, check_inclusion, generate_keys, leaf_hash},
    time::OsEntropy,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::in_memory(Options::default())?;
    let spawned = ledger.append(Spawn::new(ThreadId::new("session-1")?, "sub_agent")).await?;
    let task = spawned[0].task.as_ref().ok_or("a spawn has a task")?;
    let before = ledger.reader().head();
    ledger.append(Finish::completed(task).result(r#"{"pages":3}"#)).await?;

    // Each event once, in order, and only when it survives loss of power.
    let mut follow = ledger.follow(Head::EMPTY)?;
    let end = loop {
        match follow.next().await?.ok_or("the ledger is open")? {
            Followed::Event(entry) if matches!(entry.event.action, Action::Terminated { .. }) => {
                break entry;
            }
            Followed::Event(entry) => {
                println!("{} {}", entry.event.seq, entry.event.action.as_str());
            }
            _ => return Err("the end is missing".into()),
        }
    };

    // The host signs its head once in a while, and gives the event and a proof away.
    let keys = generate_keys("ledger.example", &OsEntropy)?;
    let (signing, verifying) = (keys.signing.parse()?, keys.verifying.parse()?);
    let signed = ledger.reader().checkpoint().sign(&signing)?;
    let (seq, size) = (end.event.seq, ledger.reader().head().size);
    let included = ledger.reader().run(move |reader| reader.prove_inclusion(seq, size)).await?;
    let frame = codec::encode(&end)?;

    // The other side has the public key, and trusts nothing else.
    let checkpoint = Checkpoint::verify(&signed, &verifying)?;
    check_inclusion(&included, leaf_hash(codec::leaf(&frame)?), checkpoint.root)?;

    // It had an older head: the log that it knew is the beginning of this one.
    let (old, new) = (before.size, checkpoint.size);
    let grown = ledger.reader().run(move |reader| reader.prove_consistency(old, new)).await?;
    check_consistency(&grown, before.root, checkpoint.root)?;
    Ok(())
}
