//! The log of the process holds nothing of what clients and tasks say.

use crate::support::Server;
use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};
use taskledger::time::Millis;
use taskledger_server::{Role, tokens};

/// Everything that was logged by any test of this process.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_line_of_the_log_holds_what_a_client_or_a_task_said() {
    const CANARY: &str = "cAnArY7";
    let levels = tracing_subscriber::EnvFilter::new("trace");
    let log = tracing_subscriber::fmt().with_env_filter(levels).with_ansi(false);
    log.with_writer(|| Log).init();
    let server = Server::new();
    let bearer = format!("authorization: Bearer {}", server.writer);
    let json = "content-type: application/json";
    let key = format!("idempotency-key: {CANARY}");
    let spawn = format!(
        r#"{{"thread_id":"{CANARY}","task_type":"{CANARY}","task_id":"{CANARY}","description":"{CANARY}"}}"#
    );
    assert_eq!(server.send("POST", "/v1/tasks", &[&bearer, json, &key], &spawn).status, 201);
    let message = format!(r#"{{"from":"{CANARY}","content":"{CANARY}"}}"#);
    let path = format!("/v1/tasks/{CANARY}/messages");
    assert_eq!(server.send("POST", &path, &[&bearer, json, &key], &message).status, 409);
    let again = spawn.replace("description", "name");
    assert_eq!(server.send("POST", "/v1/tasks", &[&bearer, json, &key], &again).status, 422);
    assert_eq!(server.send("POST", "/v1/tasks", &[&bearer, json, &key], CANARY).status, 400);
    assert_eq!(server.get(&format!("/v1/tasks/{CANARY}")).status, 200);
    assert_eq!(server.get(&format!("/v1/tasks/{CANARY}-not")).status, 404);
    assert_eq!(server.get(&format!("/v1/threads?{CANARY}={CANARY}")).status, 400);
    assert_eq!(server.get(&format!("/v1/log?after=0&thread={CANARY}")).status, 200);
    let wrong = format!("authorization: Bearer {CANARY}");
    assert_eq!(server.send("GET", "/v1/threads", &[&wrong], "").status, 401);
    assert_eq!(server.send(CANARY, "/v1/threads", &[&bearer], "").status, 405);
    server.raw(&format!("{CANARY}\r\n\r\n"));
    let ended = tokens::add(&server.tokens, "ended", Role::Read, Some(Millis(1))).unwrap();
    let bearer = format!("authorization: Bearer {ended}");
    server.send("GET", "/v1/threads", &[&bearer], "").refused(401, "unauthorized");
    let tokens = [server.writer.clone(), server.reader.clone(), ended];
    drop(server);
    let logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let logged = String::from_utf8_lossy(&logged);
    assert!(logged.contains("admitted"), "the log is looked at: {logged}");
    // One line for each request, in which a path is its template.
    for told in [
        "route=\"/v1/tasks/{task}\" status=404",
        "client=\"reader\"",
        "client=\"writer\" bytes=",
        "client=\"ended\" token=\"expired\"",
    ] {
        assert!(logged.contains(told), "{told}: {logged}");
    }
    assert!(!logged.contains(CANARY), "{logged}");
    for token in tokens {
        let part = token.get(..token.len() / 2).unwrap();
        assert!(!logged.contains(part), "no token, nor a part of one: {logged}");
    }
}
