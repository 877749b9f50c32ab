//! Findings 23, 24, 25 and 28: nothing forged is shown, and no proof says more than it proves.

use crate::{
    forger::{Place as Struck, forge},
    served::Served,
    support::{Place, Ran, ran, schema},
};
use serde_json::{Value, json};
use std::fs;

const PAID: &str = "pay 100 dollars";
const FORGED: &str = "pay 999 dollars";
const WITHHELD: &str = "(withheld: not what was recorded)";

/// A story of which the texts of events 2, 3, 4 and 6 are to be changed: each kind of text that a
/// view shows, and tasks that fill the files.
fn honest() -> (Place, String) {
    let place = Place::empty();
    let mut now = 1_767_225_600_000_u64;
    let mut event = |fields: Value| {
        now += 1_000;
        let mut event = json!({
            "schema": "taskledger.event/v1", "thread_id": "bank", "task_id": "pay",
            "occurred_ms": now,
        });
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        format!("{event}\n")
    };
    let spawn = |id: &str, text: &str| {
        json!({
            "action": "upserted", "task_id": id, "record": { "task_type": "shell" },
            "texts": { "description": text },
        })
    };
    let mut lines = event(spawn("pay", PAID));
    let content = format!("{{\"did\":\"{PAID}\"}}");
    lines += &event(json!({
        "action": "emitted", "event_type": "progress", "texts": { "content": content },
    }));
    lines += &event(json!({
        "action": "terminated", "outcome": "failed",
        "texts": { "error": format!("could not {PAID}") },
    }));
    lines += &event(spawn("late", "later"));
    // Too long for a state to hold.
    let result = json!(format!("{PAID} {}", "x".repeat(5_000))).to_string();
    lines += &event(json!({
        "action": "terminated", "task_id": "late", "outcome": "completed",
        "texts": { "result": result },
    }));
    for number in 0..150 {
        let text = format!("{number}: {}", "x".repeat(200));
        lines += &event(spawn(&format!("t{number}"), &text));
    }
    ran(place.command(&["import", "jsonl", "-"]).write_stdin(lines.clone())).ok();
    (place, lines)
}

fn forged(struck: Struck) -> Place {
    let (place, _) = honest();
    forge(&place.path("ledger"), struck, PAID, FORGED);
    place
}

#[track_caller]
fn not_believed(ran: &Ran, told: &str) {
    assert!(!ran.out.contains("pay 999") && !ran.err.contains("pay 999"), "{told}: {ran:?}");
}

/// What names the event and the part, whether as an error or as a text that was withheld.
fn names(ran: &Ran, seq: u64, part: &str) -> bool {
    let damaged = format!("event #{seq} is damaged: text of part {part} does not match");
    let withheld = format!("the {part} of event #{seq} is not what was recorded");
    ran.err.contains(&damaged) || ran.err.contains(&withheld)
}

/// A command, and the event and part that it must name.
type Reads = (&'static [&'static str], Option<(u64, &'static str)>);

/// Every command that reads; those that show the text of a changed event, with the event and part
/// that they must name.
const COMMANDS: [Reads; 54] = [
    (&["show", "pay"], Some((2, "description"))),
    (&["show", "pay", "--json"], Some((2, "description"))),
    (&["show", "pay", "--at", "#2"], Some((2, "description"))),
    (&["show", "late"], Some((6, "result"))),
    (&["logs", "late"], Some((6, "result"))),
    (&["logs", "late", "--json"], Some((6, "result"))),
    (&["event", "2"], Some((2, "description"))),
    (&["event", "2", "--json"], Some((2, "description"))),
    (&["event", "3"], Some((3, "content"))),
    (&["event", "4"], Some((4, "error"))),
    (&["event", "6"], Some((6, "result"))),
    (&["prove", "2"], Some((2, "description"))),
    (&["prove", "2", "-o", "json"], Some((2, "description"))),
    (&["prove", "4", "--with-texts", "-o", "json"], Some((4, "error"))),
    (&["prove", "7"], None),
    (&["prove", "--since", "3"], None),
    (&["log"], Some((2, "description"))),
    (&["log", "bank", "--oneline"], Some((3, "content"))),
    (&["log", "--raw"], Some((4, "error"))),
    (&["log", "--json"], Some((3, "content"))),
    (&["log", "--task", "pay", "-o", "csv"], Some((2, "description"))),
    (&["log", "-n", "3"], None),
    (&["tasks"], Some((2, "description"))),
    (&["tasks", "-o", "wide"], Some((6, "result"))),
    (&["tasks", "-o", "tree"], Some((2, "description"))),
    (&["tasks", "-o", "csv"], Some((2, "description"))),
    (&["tasks", "--json", "--at", "#4"], Some((2, "description"))),
    (&["tasks", "--at", "2026-01-01T00:00:02Z"], Some((2, "description"))),
    (&["tree", "bank"], Some((2, "description"))),
    (&["tree", "bank", "--json"], Some((4, "error"))),
    (&["tree", "bank", "--at", "#5"], Some((2, "description"))),
    (&["threads"], None),
    (&["threads", "-o", "tree"], Some((2, "description"))),
    (&["timeline", "bank"], None),
    (&["timeline", "bank", "--json"], None),
    (&["why", "pay"], Some((2, "description"))),
    (&["why", "pay", "--json"], Some((2, "description"))),
    (&["diff", "bank", "--from", "#1"], Some((2, "description"))),
    (&["diff", "bank", "--from", "#3", "--to", "#4"], Some((4, "error"))),
    (&["diff", "bank", "--from", "#3", "--json"], Some((4, "error"))),
    (&["diff", "bank", "--from", "#3", "--stat"], None),
    (&["replay", "bank"], Some((2, "description"))),
    (&["replay", "bank", "--json"], Some((3, "content"))),
    (&["first", "--where", "status(pay)=failed"], None),
    (&["first", "--where", "status(pay)=failed", "--json"], None),
    (&["stats"], None),
    (&["checkpoint"], None),
    (&["verify"], Some((2, "description"))),
    (&["verify", "--json"], None),
    (&["export", "jsonl"], Some((2, "description"))),
    (&["export", "jsonl", "--out", "exported"], Some((2, "description"))),
    (&["backup", "saved"], Some((2, "description"))),
    (&["fork", "forked"], Some((2, "description"))),
    (&["completions", "bash"], None),
];

/// Finding 23: run over a ledger whose texts were changed in the journal, in the sealed blocks, in
/// an archive, no command prints the changed words, and each that would show one ends with 4 and
/// names event and part.
#[test]
fn no_command_believes_a_text_that_was_changed_in_the_log() {
    for struck in [Struck::Journal, Struck::Sealed, Struck::Archive] {
        let place = forged(struck);
        for (command, named) in COMMANDS {
            let told = format!("{struck:?}: {command:?}");
            let ran = place.run(command);
            not_believed(&ran, &told);
            let Some((seq, part)) = named else { continue };
            assert_eq!(ran.code, 4, "{told}: {ran:?}");
            let verified = command[0] == "verify" && ran.out.contains(&format!("part at #{seq}"));
            assert!(verified || names(&ran, seq, part), "{told}: {ran:?}");
        }
        for file in ["exported", "saved", "forked"] {
            assert!(!place.path(file).exists(), "{struck:?}: {file}");
        }
        let salvaged = place.run(&["backup", "--from-sealed", "salvaged"]);
        not_believed(&salvaged, "salvaged");
        assert_eq!(salvaged.code, 4);
    }
}

/// The commands that write to the ledger or to a copy of it; none of them takes the changed text
/// for the recorded one, and none says it.
const WRITERS: [(&[&str], i32); 14] = [
    (&["record", "event", "pay", "--type", "note", "--content", "1"], 0),
    (&["record", "spawn", "--thread", "bank", "--type", "shell"], 0),
    (&["run", "--thread", "bank", "--", "true"], 0),
    (&["update", "t1", "--name", "n"], 0),
    (&["cancel", "t1", "--reason", "enough"], 0),
    (&["import", "jsonl", "again.jsonl"], 0),
    (&["purge"], 0),
    (&["rebuild"], 4),
    (&["restore", "none", "restored"], 3),
    (&["init"], 2),
    (&["redact", "2", "--part", "description", "--reason", "forged"], 0),
    (&["show", "pay"], 4),
    (&["man", "--out", "pages"], 0),
    (&["completions", "fish"], 0),
];

/// Finding 23: what is recorded is recorded, also beside a changed text; an import of the same
/// lines adds nothing, and no copy is made of it.
#[test]
fn commands_that_write_say_nothing_that_was_changed() {
    for struck in [Struck::Journal, Struck::Sealed, Struck::Archive] {
        let (place, lines) = honest();
        forge(&place.path("ledger"), struck, PAID, FORGED);
        fs::write(place.path("again.jsonl"), lines).unwrap();
        for (command, code) in WRITERS {
            let ran = place.run(command);
            not_believed(&ran, &format!("{struck:?}: {command:?}"));
            assert_eq!(ran.code, code, "{struck:?}: {command:?}: {ran:?}");
        }
    }
}

/// Nor does a server: an answer leaves the text out and says so, or there is none, and a stream ends
/// with the reason.
#[test]
fn no_answer_of_a_server_holds_a_text_that_was_changed() {
    for (struck, args) in [(Struck::Journal, &["--read-only"][..]), (Struck::Archive, &[])] {
        let place = forged(struck);
        let served = Served::start(&place, args);
        for target in [
            "/v1/threads",
            "/v1/tasks",
            "/v1/tasks?at=4",
            "/v1/threads/bank/tree",
            "/v1/threads/bank/timeline",
            "/v1/tasks/pay",
            "/v1/tasks/late",
            "/v1/tasks/pay/why",
            "/v1/log",
            "/v1/log?format=jsonl&task=pay",
            "/v1/diff?thread=bank&from=1",
            "/v1/first?thread=bank&where=status(pay)%3Dfailed",
            "/v1/stats",
        ] {
            let answer = served.raw(target);
            assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
            assert!(!answer.contains("pay 999"), "{target}: {answer}");
        }
        assert!(served.raw("/v1/tasks").contains(r#""withheld":["description","error"]"#));
        for target in ["/v1/events/2", "/v1/prove/2", "/v1/prove/4?with_texts=true"] {
            let answer = served.raw(target);
            assert!(
                answer.starts_with("HTTP/1.1 500") && answer.contains("is damaged"),
                "{answer}"
            );
            assert!(!answer.contains("pay 999"), "{target}: {answer}");
        }
        let stream = served.raw("/v1/log?after=0&follow=true");
        assert!(stream.contains(r#"{"problem":{"#) && !stream.contains("pay 999"), "{stream}");
        assert!(stream.contains(r#""seq":1,"#), "what is before it is given: {stream}");
    }
}

/// The command line at a server ends as it does in the directory.
#[test]
fn a_command_at_a_server_ends_with_4_where_a_text_is_withheld() {
    let place = forged(Struck::Journal);
    let served = Served::start(&place, &["--read-only"]);
    for words in [
        &["show", "pay"][..],
        &["tree", "bank"],
        &["tasks"],
        &["log"],
        &["show", "pay", "--json"],
        &["log", "-o", "jsonl"],
        &["event", "2"],
    ] {
        let here = place.run(words);
        let mut command = place.command(words);
        command.env_remove("TASKLEDGER_DB").env("TASKLEDGER_SERVER", &served.url);
        let there = crate::support::ran(command.env("TASKLEDGER_TOKEN", &served.token));
        not_believed(&there, &format!("{words:?}"));
        assert_eq!((there.code, &there.out), (4, &here.out), "{words:?}: {there:?}");
    }
}

/// A command that is made later is tried as well.
#[test]
fn every_command_was_tried_on_a_changed_text() {
    let help = Place::empty().run(&["--help"]).ok();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let listed = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 20, "{help}");
    let read = COMMANDS.iter().map(|(command, _)| command[0]);
    let tried: Vec<&str> = read.chain(WRITERS.iter().map(|(command, _)| command[0])).collect();
    for name in names {
        // A demo makes a ledger of its own, tokens and certificates are in none, a server is tried above and a
        // standby is one, and what was replaced is read as any ledger.
        let others = ["demo", "help", "token", "cert", "serve", "standby", "divergent"];
        assert!(tried.contains(&name) || others.contains(&name), "{name}: not tried");
    }
}

/// Finding 23: a snapshot whose text was changed, with its digest made right, is not believed
/// either: the text is read from its event.
#[test]
fn no_command_believes_a_text_of_a_snapshot() {
    let place = forged(Struck::Snapshot);
    for (command, named) in COMMANDS {
        let told = format!("{command:?}");
        let ran = place.run(command);
        not_believed(&ran, &told);
        if named.is_some() && command[0] != "verify" {
            assert_eq!(ran.code, 0, "{told}: {ran:?}");
        }
    }
    assert!(place.run(&["show", "pay"]).ok().contains(PAID));
    assert!(place.run(&["tasks"]).ok().contains(PAID));
    assert!(place.run(&["tree", "bank"]).ok().contains(PAID));
}

/// Finding 23: what is left of the ledger is shown, the text is not called erased, and a redaction
/// with a purge makes it sound again.
#[test]
fn a_changed_text_is_withheld_until_it_is_redacted() {
    let place = forged(Struck::Sealed);
    let shown = place.run(&["show", "pay"]);
    assert_eq!(shown.code, 4);
    let description = shown.out.lines().find(|line| line.starts_with("description")).unwrap();
    assert!(description.contains(WITHHELD), "{shown:?}");
    assert!(!shown.out.contains("(erased)"), "{shown:?}");
    assert!(shown.err.contains("taskledger redact"), "{shown:?}");
    let tasks: Value = serde_json::from_str(&place.run(&["tasks", "--json"]).out).unwrap();
    schema::check(&tasks);
    assert_eq!(tasks["items"][0]["withheld"], json!(["description", "error"]));
    assert_eq!(tasks["items"][0]["erased"], json!([]));

    // What is recorded is recorded: a warning, and no failure.
    let recorded = place.run(&["record", "spawn", "--thread", "bank", "--type", "shell"]);
    assert_eq!(recorded.code, 0, "{recorded:?}");

    for (seq, part) in [("2", "description"), ("3", "content"), ("4", "error")] {
        place.run(&["redact", seq, "--part", part, "--reason", "forged"]).ok();
    }
    place.run(&["redact", "6", "--reason", "forged"]).ok();
    let shown = place.run(&["show", "pay"]).ok();
    assert!(shown.contains("(erased)"), "{shown}");
    place.run(&["purge"]).ok();
    place.run(&["verify"]).ok();
    place.run(&["backup", "saved"]).ok();
    place.run(&["export", "jsonl"]).ok();
}

/// A ledger with a story, proofs and checkpoints of it.
fn proven(command: &[&str]) -> (Place, Value) {
    let place = Place::with_story();
    let proof = place.run(&[&["prove"], command, &["--json"]].concat()).json();
    schema::check(&proof);
    fs::write(place.path("proof"), proof.to_string()).unwrap();
    fs::write(place.path("head"), place.run(&["checkpoint"]).ok()).unwrap();
    (place, proof)
}

/// Finding 24: a check says what was proven, from the leaf, and which texts the event commits to.
#[test]
fn a_check_says_what_the_event_is() {
    let (place, proof) = proven(&["7"]);
    assert!(proof.get("texts").is_none());
    let told = place.run(&["prove", "--check", "proof", "--expect", "head"]).ok();
    for word in ["event #7", "terminated", "build", "test", "failed", "2026-01-01T00:00:50"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(told.contains("(14 bytes, committed to; not in this proof)"), "{told}");
    assert!(!told.contains("3 tests failed"), "{told}");
    let body = place.run(&["prove", "--check", "proof", "--expect", "head", "--json"]).json();
    schema::check(&body);
    assert_eq!(body["event"]["task_id"], "test");
    assert_eq!(body["event"]["texts"], json!({ "error": null }));
}

/// Finding 24: salts and texts are in a proof on request, and are held against the event.
#[test]
fn a_proof_carries_texts_that_its_event_commits_to() {
    let (place, proof) = proven(&["7", "--with-texts"]);
    assert_eq!(proof["texts"][0]["text"], "3 tests failed");
    fs::remove_dir_all(place.path("ledger")).unwrap();
    let told = place.run(&["prove", "--check", "proof", "--expect", "head"]).ok();
    assert!(told.contains("3 tests failed"), "{told}");
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut other = proof.clone();
        change(&mut other["texts"]);
        fs::write(place.path("other"), other.to_string()).unwrap();
        let ran = place.run(&["prove", "--check", "other", "--expect", "head"]);
        assert!(!ran.out.contains("proven"), "{ran:?}");
        ran.fails(4)
    };
    let told = changed(&|texts| texts[0]["text"] = "4 tests failed".into());
    assert!(told.contains("text of part error does not match its commitment"), "{told}");
    changed(&|texts| texts[0]["text"] = "none".into());
    changed(&|texts| texts[0]["salt"] = "00".repeat(16).into());
    changed(&|texts| texts[0]["kind"] = "result".into());
    changed(&|texts| {
        let again = texts[0].clone();
        texts.as_array_mut().unwrap().push(again);
    });
    changed(&|texts| {
        let salt = "00".repeat(16);
        texts.as_array_mut().unwrap().push(json!({ "kind": "no", "salt": salt, "text": "" }));
    });

    let place = Place::with_story();
    place.run(&["redact", "7", "--reason", "a secret"]).ok();
    let proof = place.run(&["prove", "7", "--with-texts", "--json"]).json();
    assert_eq!(proof["texts"], json!([]), "what is erased is not proven");
}

/// Finding 28: other programs use the fields of a proof, so each must follow from the leaf, the
/// path and the checkpoint.
#[test]
fn a_proof_with_a_field_that_does_not_follow_proves_nothing() {
    let (place, proof) = proven(&["3", "--with-texts"]);
    let growth = place.run(&["prove", "--since", "5", "--json"]).json();
    let other = "ab".repeat(32);
    for (proof, field, value) in [
        (&proof, "seq", json!(4)),
        (&proof, "leaf_index", json!(3)),
        (&proof, "leaf_hash", json!(other)),
        (&proof, "leaf", json!(proof["leaf"].as_str().unwrap().replacen('0', "1", 1))),
        (&proof, "root", json!(other)),
        (&proof, "size", json!(8)),
        (&proof, "path", json!([])),
        (&growth, "root", json!(other)),
        (&growth, "size", json!(8)),
        (&growth, "old_root", json!(other)),
        (&growth, "old_size", json!(4)),
        (&growth, "path", json!([])),
    ] {
        let mut changed = proof.clone();
        changed[field] = value;
        fs::write(place.path("other"), changed.to_string()).unwrap();
        for args in [&["--expect", "head"][..], &[]] {
            let ran = place.run(&[&["prove", "--check", "other"], args].concat());
            assert!(!ran.out.contains("proven"), "{field}: {ran:?}");
            assert_ne!(ran.code, 0, "{field}: {ran:?}");
        }
    }
    let mut changed = proof.clone();
    let checkpoint = proof["checkpoint"].as_str().unwrap();
    let mut lines: Vec<&str> = checkpoint.lines().collect();
    let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    lines[2] = zeros;
    changed["checkpoint"] = format!("{}\n", lines.join("\n")).into();
    changed["root"] = "00".repeat(32).into();
    fs::write(place.path("other"), changed.to_string()).unwrap();
    place.run(&["prove", "--check", "other", "--expect", "head"]).fails(4);
    // A field that can be worked out may be missing: a program may have made the proof.
    let mut short = proof.clone();
    for field in ["leaf_index", "leaf_hash", "size", "root"] {
        short.as_object_mut().unwrap().remove(field);
    }
    fs::write(place.path("other"), short.to_string()).unwrap();
    place.run(&["prove", "--check", "other", "--expect", "head"]).ok();
}

/// Finding 28: an option that would do nothing is refused.
#[test]
fn an_expectation_without_a_check_is_refused() {
    let (place, _) = proven(&["3"]);
    place.run(&["prove", "3", "--expect", "head"]).fails(2);
    place.run(&["prove", "--since", "3", "--expect", "head"]).fails(2);
    place.run(&["prove", "3", "--signed-by", "key"]).fails(2);
    place.run(&["prove", "--expect", "head"]).fails(2);
    place.run(&["prove", "--check", "proof", "--signed-by", "key"]).fails(2);
    place.run(&["prove", "--check", "proof", "--with-texts"]).fails(2);
}

/// Finding 25: the party without a ledger checks the signature of the checkpoint too.
#[test]
fn a_check_asks_for_the_signature_of_its_checkpoint() {
    let (place, _) = proven(&["3"]);
    let keys =
        taskledger::proof::generate_keys("auditor", &taskledger::time::SeededEntropy::new(7))
            .unwrap();
    fs::write(place.path("key"), &keys.signing).unwrap();
    let signed = place.run(&["checkpoint", "--key", "key"]).ok();
    fs::write(place.path("signed"), &signed).unwrap();
    fs::remove_dir_all(place.path("ledger")).unwrap();
    let key = keys.verifying.clone();
    let check = |file: &str, key: &str| {
        place.run(&["prove", "--check", "proof", "--expect", file, "--signed-by", key])
    };
    let told = check("signed", &key).ok();
    assert!(told.contains("proven") && told.contains("signed by auditor"), "{told}");
    let json = ["prove", "--check", "proof", "--expect", "signed", "--signed-by", &key, "--json"];
    let body = place.run(&json).json();
    schema::check(&body);
    assert_eq!(body["signed_by"], "auditor");
    // One bit of the signature.
    let place_of = signed.rfind("=\n").unwrap_or(signed.len() - 1) - 4;
    let mut bytes = signed.clone().into_bytes();
    bytes[place_of] = if bytes[place_of] == b'A' { b'B' } else { b'A' };
    fs::write(place.path("tampered"), &bytes).unwrap();
    let ran = check("tampered", &key);
    assert!(!ran.out.contains("proven"), "{ran:?}");
    let told = ran.fails(4);
    assert!(told.contains("does not hold"), "{told}");
    check("head", &key).fails(4);
    check("signed", "nonsense").fails(2);
}
