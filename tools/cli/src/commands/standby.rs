//! `taskledger standby`: a second node that has everything, and can take over.

use super::serve;
use crate::{
    app::App,
    command::{Command, LogFormat, Moment, Server},
    exit::{Exit, Problem},
    output::Out,
    paint::Paint,
    progress::Unit,
    remote::{Remote, client_of},
};
use anyhow::{Context as _, Result};
use clap::Subcommand;
use std::{path::Path, time::Duration};
use taskledger::{
    Ledger, Options,
    ids::{LedgerId, Root, Size},
    ledger::{History, OpenError, Role, Told, Unanswered},
};
use taskledger_contract::answers::{
    CheckpointBody, FollowingBody, NodeBody, PromoteRequest, PromotedBody, RejoinedBody, from_hex,
    read_single,
};
use taskledger_server::{
    client::{Address, Recording},
    socket::NAME,
};

/// Keep a second node that has every event, and take over with it.
///
/// `run` follows a source, writes what it gets as durably as the source does, and
/// answers every question meanwhile. `promote` makes a running standby the primary.
/// docs/replication.md says what each way can lose.
///
/// Example:
///   taskledger --db copy standby run --from https://a.example:7443
///   taskledger --db copy standby status
///   taskledger --db copy standby promote
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make an empty standby, whose node id a certificate needs; `run` makes one by itself
    Init(Init),
    /// Follow the primary, and answer questions; makes the ledger if there is none
    Run(Box<serve::Args>),
    /// Say what the running server of this ledger is, and how far behind
    Status,
    /// Make the running standby of this ledger the primary
    Promote(Promote),
    /// Make this ledger a standby of another primary than before; what only it has is kept beside it
    Rejoin(Rejoin),
}

#[derive(Debug, Clone, clap::Args)]
struct Init {
    /// The ledger of the primary, as its `taskledger stats` tells: 32 hex digits
    #[arg(long, value_name = "HEX", value_parser = ledger_id)]
    ledger: LedgerId,
}

fn ledger_id(text: &str) -> Result<LedgerId, String> {
    from_hex(text).map(LedgerId).ok_or_else(|| "expected 32 hexadecimal digits".to_owned())
}

#[derive(Debug, Clone, clap::Args)]
struct Rejoin {
    /// The server of the primary
    #[arg(long, value_name = "URL")]
    from: Address,
}

#[derive(Debug, Clone, clap::Args)]
struct Promote {
    /// Go on without the primary; what only it has is lost to this history
    #[arg(long)]
    accept_loss: bool,
    /// Go on only if the newest epoch has this number
    #[arg(long, value_name = "NUMBER")]
    expect_epoch: Option<u64>,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("a standby is of the present")
    }

    fn server(&self) -> Server {
        match self.what {
            What::Init(_) | What::Run(_) | What::Rejoin(_) => Server::Refused,
            What::Status | What::Promote(_) => Server::Taken,
        }
    }

    fn appends(&self) -> bool {
        matches!(self.what, What::Run(_))
    }

    fn ends_on_interrupt(&self) -> bool {
        !matches!(self.what, What::Run(_))
    }

    fn log_format(&self) -> LogFormat {
        match &self.what {
            What::Run(serve) => Command::log_format(&**serve),
            What::Init(_) | What::Status | What::Promote(_) | What::Rejoin(_) => LogFormat::Text,
        }
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        match &self.what {
            What::Init(wishes) => init(wishes, app),
            What::Run(serve) => run(serve, app),
            What::Status => status(app),
            What::Promote(wishes) => promote(wishes, app),
            What::Rejoin(wishes) => rejoin(wishes, app),
        }
    }
}

fn init(wishes: &Init, app: &mut App) -> Result<Exit> {
    let ledger = Ledger::create_standby(&app.db, wishes.ledger, app.options())?;
    let body = NodeBody::from(ledger.node_status());
    ledger.close_blocking()?;
    let name = body.node.clone();
    app.out.single(body, Some(&name), node)?;
    Ok(Exit::Ok)
}

/// Makes the ledger if there is none, and serves it.
fn run(serve: &serve::Args, app: &mut App) -> Result<Exit> {
    if serve.sources().is_empty() {
        let problem = Problem::usage("a standby follows a source");
        return Err(problem.hint("name its server with --from URL").into());
    }
    // Any other error is told by the opening that counts.
    if let Err(OpenError::NotFound { .. }) = Ledger::open_read_only(&app.db, Options::default()) {
        make(serve, app)?;
    }
    serve.run(app)
}

/// Makes an empty standby of the ledger that a source has.
fn make(serve: &serve::Args, app: &App) -> Result<()> {
    let mut last = None;
    for source in serve.sources() {
        match ledger_of(serve, source, app.global.authority().as_deref()) {
            Ok(ledger) => {
                let made = Ledger::create_standby(&app.db, ledger, Options::default());
                let made = made.with_context(|| format!("cannot make {}", app.db.display()))?;
                return Ok(made.close_blocking()?);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Problem::usage("no source is named").into()))
}

fn ledger_of(serve: &serve::Args, source: &Address, ca: Option<&Path>) -> Result<LedgerId> {
    let remote = Remote::of(serve.node_at(source, ca)?);
    let node: NodeBody = remote.get("/v1/replication/node")?;
    let id = from_hex(&node.ledger).map(LedgerId);
    id.with_context(|| format!("{source} does not say of which ledger it is"))
}

/// The server that was named, or the one that has this ledger open.
fn server(app: &App) -> Remote {
    app.remote.clone().unwrap_or_else(|| Remote::at_socket(&app.db.join(NAME)))
}

fn status(app: &mut App) -> Result<Exit> {
    let body: FollowingBody = server(app).get("/v1/replication/standby")?;
    let name = body.node.node.clone();
    app.out.single(body, Some(&name), show)?;
    Ok(Exit::Ok)
}

fn promote(wishes: &Promote, app: &mut App) -> Result<Exit> {
    let Promote { accept_loss, expect_epoch } = *wishes;
    let request = serde_json::to_vec(&PromoteRequest { accept_loss, expect_epoch })?;
    let recording = Recording {
        target: "/v1/replication/promote",
        key: None,
        ledger: None,
        body: request.into(),
    };
    let answer = server(app).post(recording)?;
    let body: PromotedBody = read_single(&answer.body)?;
    let name = body.node.node.clone();
    app.out.single(body, Some(&name), promoted)?;
    Ok(Exit::Ok)
}

/// The history of a primary, as its server tells it.
struct Primary(Remote);

impl History for Primary {
    fn told(&self) -> Result<Told, Unanswered> {
        let node: NodeBody = self.0.get("/v1/replication/node")?;
        let status = node.status().ok_or("its answer is not that of a node")?;
        if status.role != Role::Primary {
            return Err(format!("it is no primary but {}", status.role).into());
        }
        Ok(Told { ledger: status.ledger, epoch: status.epoch, head: status.head })
    }

    fn root_at(&self, size: Size) -> Result<Root, Unanswered> {
        let target = format!("/v1/replication/roots/{size}");
        let checkpoint: CheckpointBody = self.0.get(&target)?;
        if checkpoint.size != size.get() {
            return Err("its answer is about another size".into());
        }
        Ok(from_hex(&checkpoint.root).map(Root).ok_or("its root is none")?)
    }
}

fn rejoin(wishes: &Rejoin, app: &mut App) -> Result<Exit> {
    let client = client_of(&wishes.from, app.global.authority().as_deref())?;
    let primary = Primary(Remote::of(client));
    let shown = app.progress.start("copying", Unit::Events);
    let mut tell = |done, all| shown.set(done, all);
    let rejoined = Ledger::rejoin(&app.db, &primary, Options::default(), &mut tell)?;
    drop(shown);
    let divergent = rejoined.divergent.as_ref();
    let tail = divergent.map(|divergent| &divergent.tail);
    let body = RejoinedBody {
        path: app.db.display().to_string(),
        size: rejoined.kept.size.get(),
        root: rejoined.kept.root.to_string(),
        divergent: divergent.map(|divergent| divergent.path.display().to_string()),
        events: tail.map_or(0, |tail| tail.events),
        redactions: tail.map_or(0, |tail| u64::try_from(tail.redactions.len()).unwrap_or(u64::MAX)),
    };
    let name = body.path.clone();
    app.out.single(body, Some(&name), rejoined_to)?;
    Ok(Exit::Ok)
}

fn rejoined_to(out: &mut Out, body: &RejoinedBody) -> Result<()> {
    let look = out.look;
    figure(out, "standby", &format!("{}, with {} events", look.safe(&body.path), body.size))?;
    let Some(divergent) = &body.divergent else { return Ok(()) };
    let kept = format!("{} events that nobody else has, in {}", body.events, look.safe(divergent));
    figure(out, "kept", &kept)?;
    if body.redactions > 0 {
        let told = format!("{} of them; `taskledger divergent show` tells how", body.redactions);
        figure(out, "redact", &told)?;
    }
    Ok(())
}

fn figure(out: &mut Out, name: &str, value: &str) -> Result<()> {
    let name = Paint::Dim.on(&format!("{name:<8}"), &out.look);
    out.line(&format!("{name} {value}"))
}

fn node(out: &mut Out, node: &NodeBody) -> Result<()> {
    let look = out.look;
    figure(out, "node", &format!("{} ({})", look.safe(&node.node), look.safe(&node.role)))?;
    figure(out, "ledger", &look.safe(&node.ledger))?;
    let epoch = node.epoch.map_or("none".to_owned(), |epoch| epoch.number.to_string());
    figure(out, "epoch", &epoch)?;
    figure(out, "events", &node.size.to_string())
}

fn show(out: &mut Out, body: &FollowingBody) -> Result<()> {
    let look = out.look;
    node(out, &body.node)?;
    let Some(source) = &body.source else { return Ok(()) };
    if body.node.role != "standby" {
        return Ok(());
    }
    figure(out, "source", &look.safe(source))?;
    figure(out, "state", &look.safe(&body.state.replace('_', " ")))?;
    if let Some(why) = &body.why {
        figure(out, "", &look.safe(why))?;
    }
    let age = body.lag_ms.map(|lag| format!(", had all {:.1} s ago", seconds(lag)));
    let age = age.unwrap_or_else(|| ", never had all".to_owned());
    figure(out, "behind", &format!("{} events, {} bytes{age}", body.lag_events, body.lag_bytes))
}

fn promoted(out: &mut Out, body: &PromotedBody) -> Result<()> {
    node(out, &body.node)?;
    if body.may_have_lost {
        let warned = !body.untold.is_empty();
        let window = body.window_ms.map_or("an unknown time".to_owned(), |window| {
            format!("the last {:.1} s", seconds(window))
        });
        let known = format!("{} events of it are known to be missing", body.window_events);
        figure(out, "lost", &format!("maybe what the primary acknowledged in {window}; {known}"))?;
        if warned {
            figure(
                out,
                "",
                "and what a node that does not answer acknowledges until it hears of this",
            )?;
        }
    } else {
        figure(out, "lost", "no acknowledged event")?;
    }
    for address in &body.untold {
        let address = out.look.safe(address);
        figure(out, "untold", &format!("{address} does not answer; it is told until it does"))?;
    }
    Ok(())
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}
