//! `taskledger cert`: its files, and a server that takes them.

use crate::support::{Place, schema};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};
use taskledger::{Ledger, Options};
use taskledger_server::client::{Client, ClientOptions, NodeFiles};

const NODE: &str = "0123456789abcdef0123456789abcdef";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A place with a ledger and an authority.
fn place() -> Place {
    let place = Place::new();
    place.run(&["cert", "ca", "--out", "authority"]).ok();
    place
}

/// The arguments that make the certificate of a node in `out`, with these besides.
fn node<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["cert", "node", "--authority", "authority", "--host", "localhost,127.0.0.1"];
    [&args, &["--out", out][..], more].concat()
}

#[test]
fn keys_are_their_users_alone_and_nothing_is_left_beside() {
    let place = Place::empty();
    let told = place.run(&["cert", "ca", "--out", "authority", "--json"]).json();
    schema::check(&told);
    assert_eq!((&told["certificate"], &told["node"]), (&told["ca"], &Value::Null));
    let told = place.run(&node("tls", &["--node", NODE, "--json"])).json();
    schema::check(&told);
    assert_eq!(told["node"], NODE);
    assert_eq!(told["hosts"], serde_json::json!(["localhost", "127.0.0.1"]));
    for (file, expected) in [
        ("authority", 0o700),
        ("authority/ca.key", 0o600),
        ("authority/ca.pem", 0o644),
        ("tls", 0o700),
        ("tls/key.pem", 0o600),
        ("tls/cert.pem", 0o644),
        ("tls/ca.pem", 0o644),
    ] {
        assert_eq!(mode(&place.path(file)), expected, "{file}");
    }
    let names = fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["authority", "tls"]);
    let [ca, copy] =
        ["authority/ca.pem", "tls/ca.pem"].map(|file| fs::read(place.path(file)).unwrap());
    assert_eq!(ca, copy);
}

#[test]
fn nothing_is_replaced_and_nothing_goes_into_a_ledger() {
    let place = place();
    let before = fs::read(place.path("authority/ca.key")).unwrap();
    fs::create_dir(place.path("empty")).unwrap();
    fs::write(place.path("file"), "").unwrap();
    std::os::unix::fs::symlink(place.path("ledger"), place.path("way")).unwrap();
    for out in [
        "authority",
        "empty",
        "file",
        "way",
        "ledger",
        "ledger/tls",
        "way/tls",
        "ledger/archive/tls",
    ] {
        place.run(&["cert", "ca", "--out", out]).fails(2);
        place.run(&node(out, &[])).fails(2);
    }
    place.run(&["cert", "ca", "--out", "none/authority"]).fails(3);
    assert_eq!(fs::read(place.path("authority/ca.key")).unwrap(), before);
    place.run(&["verify"]).ok();
}

#[test]
fn a_node_is_the_ledger_or_the_one_that_is_named() {
    let place = place();
    let reader = Ledger::open_read_only(place.path("ledger"), Options::default()).unwrap().reader();
    let own = reader.node_id().unwrap().to_string();
    assert_eq!(place.run(&node("own", &["--json"])).json()["node"], own);
    assert_eq!(place.run(&["stats", "--json"]).json()["node"], own);
    assert_eq!(place.run(&node("other", &["--node", NODE, "--json"])).json()["node"], NODE);
    place.run(&node("two", &["--node", NODE, "--db", "ledger"])).fails(2);
    place.run(&node("odd", &["--node", &NODE.to_uppercase()])).fails(2);
    place.run(&node("odd", &["--node", &NODE[1..]])).fails(2);
    place.run(&node("odd", &["--host", "localhost:7443"])).fails(2);
    place.run(&node("odd", &["--days", "0"])).fails(2);
    place.run(&node("odd", &["--days", "3649"])).ok();
    place.run(&["cert", "node", "--authority", "nowhere", "--host", "x", "--out", "x"]).fails(3);
    place.run(&["cert", "node", "--authority", "authority", "--out", "x"]).fails(2);
    fs::set_permissions(place.path("authority/ca.key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(place.run(&node("x", &[])).fails(8).contains("chmod 600"));
}

/// Asks the server as the node of this directory, and not as any client with a token.
fn asked(url: &str, dir: &Path) -> Result<String, String> {
    let files = ["ca.pem", "cert.pem", "key.pem"].map(|name| dir.join(name));
    let [ca, chain, key] = files;
    let files = NodeFiles::open(ca, chain, key).unwrap();
    let client = Client::new(url.parse().unwrap(), ClientOptions::default()).files(Arc::new(files));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(client.ask("/v1/threads")).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(answer.body.to_vec()).unwrap())
}

#[test]
fn a_server_knows_the_nodes_of_its_authority_and_needs_no_tokens() {
    let place = place();
    place.run(&node("tls", &[])).ok();
    place.run(&node("standby", &["--node", NODE])).ok();
    place.run(&["cert", "ca", "--out", "others"]).ok();
    let foreign = [
        "cert",
        "node",
        "--authority",
        "others",
        "--host",
        "localhost",
        "--node",
        NODE,
        "--out",
        "foreign",
    ];
    place.run(&foreign).ok();
    fs::copy(place.path("tls/ca.pem"), place.path("foreign/ca.pem")).unwrap();
    let tls =
        ["--tls-cert", "tls/cert.pem", "--tls-key", "tls/key.pem", "--client-ca", "tls/ca.pem"];
    let serve = [&["serve", "-o", "jsonl", "--listen", "127.0.0.1:0"][..], &tls].concat();
    place.run(&[&["serve", "--listen", "127.0.0.1:0"][..], &tls[4..]].concat()).fails(2);
    let mut child = Command::new(env!("CARGO_BIN_EXE_taskledger"))
        .current_dir(place.path("."))
        .env("TASKLEDGER_DB", place.path("ledger"))
        .args(&serve)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let url = told["url"].as_str().unwrap();
    let standby = asked(url, &place.path("standby"));
    let foreign = asked(url, &place.path("foreign"));
    let _ = child.kill();
    let _ = child.wait();
    assert!(standby.as_ref().is_ok_and(|told| told.contains("\"code\":\"role\"")), "{standby:?}");
    assert!(foreign.is_err(), "{foreign:?}");
    fs::set_permissions(place.path("tls/ca.pem"), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(place.run(&serve).fails(8).contains("chmod go-w"));
}
