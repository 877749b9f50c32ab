//! `taskledger token`: who may ask a server.

use super::common::check_outside;
use crate::{
    app::App,
    command::{self, Server},
    exit::{Exit, Problem},
    global::token_file,
    output::{Item, Out},
    paint::Paint,
    table::{Cell, Column},
    term::Look,
    time,
};
use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;
use taskledger::{
    query::{parse_duration, parse_time},
    time::Millis,
};
use taskledger_contract::answers::{At, TokenBody, TokenItem};
use taskledger_server::{Role, tokens};

/// Make, list and revoke the tokens of those who ask a server by TCP.
///
/// The file holds hashes, not the tokens; a server that runs heeds every change at
/// once. It belongs to you alone (mode 0600), and lies outside of the ledger.
///
/// Example:
///   taskledger token --token-file tokens new dashboard --role read --expires 90d
///   taskledger token --token-file tokens revoke dashboard
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The file of tokens [env: TASKLEDGER_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Make a token and print it, this once; makes the file if there is none
    New {
        /// The name of the client
        name: String,
        /// What it allows
        #[arg(long, default_value = "read")]
        role: RoleArg,
        /// When it ends: a time, or a duration from now such as 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List the tokens, without what is secret in them
    List,
    /// Take a token out
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Questions
    Read,
    /// Recording, too
    Append,
    /// Redacting, too
    Admin,
    /// Replication, and nothing else
    Replicate,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Read => Self::Read,
            RoleArg::Append => Self::Append,
            RoleArg::Admin => Self::Admin,
            RoleArg::Replicate => Self::Replicate,
        }
    }
}

impl command::Command for Args {
    fn ends_on_interrupt(&self) -> bool {
        false
    }

    fn server(&self) -> Server {
        Server::NoLedger
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let file = token_file(self.token_file.as_deref()).ok_or_else(|| {
            Problem::usage("no file of tokens is named")
                .hint("--token-file FILE, or TASKLEDGER_TOKEN_FILE, names it")
        })?;
        match &self.what {
            What::New { name, role, expires } => {
                check_outside("the tokens would lie", &file)?;
                let expires = expires.as_deref().map(|text| end(text, app.now())).transpose()?;
                let token = tokens::add(&file, name, (*role).into(), expires)?;
                tell(app, "new", name, Some(token))?;
            }
            What::List => {
                let now = app.now();
                let items = tokens::list(&file)?.into_iter().map(|entry| {
                    Ok(TokenItem {
                        name: entry.name.to_string(),
                        role: entry.role.as_str().to_owned(),
                        expires_ms: entry.expires.map(|at| at.0),
                        expired: !entry.holds(now),
                    })
                });
                app.out.list(&At::new(0, now), items)?;
            }
            What::Revoke { name } => {
                tokens::revoke(&file, name)?;
                tell(app, "revoke", name, None)?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn tell(app: &mut App, done: &str, name: &str, token: Option<String>) -> Result<()> {
    let body = TokenBody { done: done.to_owned(), name: name.to_owned(), token };
    app.out.single(body, Some(name), |out: &mut Out, body| match &body.token {
        Some(token) => out.line(token),
        None => out.line(&format!("revoked: {}", body.name)),
    })
}

/// The end of a token, as an option has it.
fn end(text: &str, now: Millis) -> Result<Millis> {
    let after = || {
        let millis = u64::try_from(parse_duration(text)?.as_millis()).ok()?;
        now.0.checked_add(millis).map(Millis)
    };
    parse_time(text).or_else(after).ok_or_else(|| {
        let text = format!("{text:?} is neither a time nor a duration");
        Problem::usage(text).hint("write 2026-12-31T00:00:00Z, or 90d").into()
    })
}

impl Item for TokenItem {
    const COLUMNS: &'static [Column] =
        &[Column::new("NAME"), Column::new("ROLE"), Column::new("EXPIRES")];

    fn cells(&self, look: &Look) -> Vec<Cell> {
        let expires = self.expires_ms.map(|at| time::show(Millis(at), look)).unwrap_or_default();
        let expires = if self.expired {
            Cell { text: format!("{expires} (expired)"), paint: Some(Paint::Bad) }
        } else {
            expires.into()
        };
        vec![self.name.clone().into(), self.role.clone().into(), expires]
    }
}
