use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};

const NOW: Millis = Millis(1_800_000_000_000);

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    Place { path: dir.path().join("tokens"), _dir: dir }
}

fn role_of(file: &TokenFile, token: &str) -> Option<Role> {
    match file.check(token, NOW).unwrap() {
        Worth::Holds(entry) => Some(entry.role),
        Worth::Expired(_) | Worth::Unknown => None,
    }
}

#[test]
fn a_token_holds_until_it_is_revoked_or_expires_and_the_server_need_not_start_again() {
    let Place { path, _dir } = place();
    let reader = add(&path, "dashboard", Role::Read, None).unwrap();
    let file = TokenFile::open(&path).unwrap();
    assert_eq!(role_of(&file, &reader), Some(Role::Read));
    assert_eq!(role_of(&file, "taskledger_"), None);
    let writer = add(&path, "ci", Role::Append, Some(Millis(NOW.0 + 1))).unwrap();
    assert_eq!(role_of(&file, &writer), Some(Role::Append), "the file is read again");
    let later = file.check(&writer, Millis(NOW.0 + 1)).unwrap();
    assert_eq!(later, Worth::Expired("ci".into()), "its name is told");
    assert_eq!(file.check("taskledger_", NOW).unwrap(), Worth::Unknown);
    revoke(&path, "dashboard").unwrap();
    assert_eq!(role_of(&file, &reader), None);
    assert_eq!(list(&path).unwrap().len(), 1);
}

#[test]
fn the_file_holds_no_token_and_is_the_users_alone() {
    let Place { path, _dir } = place();
    let token = add(&path, "a", Role::Admin, None).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(token.strip_prefix(PREFIX).unwrap()), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside");
    assert!(token.len() == PREFIX.len() + 64);
}

#[test]
fn no_token_holds_while_the_file_cannot_be_trusted() {
    let Place { path, _dir } = place();
    let token = add(&path, "a", Role::Read, None).unwrap();
    let file = TokenFile::open(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(file.check(&token, NOW), Err(TokenError::NotPrivate { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(role_of(&file, &token), Some(Role::Read));
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    symlink(&aside, &path).unwrap();
    assert!(file.check(&token, NOW).is_err(), "a link is not followed");
    fs::remove_file(&path).unwrap();
    assert!(file.check(&token, NOW).is_err(), "a file that is gone holds nothing");
    fs::write(&aside, "a read 00\n").unwrap();
    fs::rename(&aside, &path).unwrap();
    assert!(matches!(file.check(&token, NOW), Err(TokenError::Line { line: 1, .. })));
}

#[test]
fn lines_that_are_no_tokens_are_named_by_number() {
    let hash = "ab".repeat(32);
    for (text, line) in [
        (format!("# tokens\n\na read {hash}\na read {hash}\n"), 4),
        (format!("a write {hash}\n"), 1),
        (format!("../a read {hash}\n"), 1),
        (format!("a read {hash} soon\n"), 1),
        (format!("a read {hash} 2026-01-01T00:00:00Z x\n"), 1),
        (format!("a read {}\n", "+a".repeat(32)), 1),
        ("a read\n".to_owned(), 1),
    ] {
        match parse(&text) {
            Err(TokenError::Line { line: found, .. }) => assert_eq!(found, line, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    let good = format!("a admin {hash} 2026-01-01T00:00:00Z\n");
    assert_eq!(
        parse(&good).unwrap().iter().map(line).collect::<String>(),
        good.replace("00Z", "00.000Z")
    );
}

/// Else one line too many would let nobody in any more.
#[test]
fn a_token_that_is_added_leaves_a_file_that_can_be_read() {
    let Place { path, _dir } = place();
    let last = parse_time("9999-12-30T22:00:00.999Z").unwrap();
    add(&path, "a", Role::Read, Some(last)).unwrap();
    let before = fs::read(&path).unwrap();
    for beyond in [Millis(last.0 + 1), Millis(u64::MAX)] {
        let added = add(&path, "b", Role::Read, Some(beyond));
        assert!(matches!(added, Err(TokenError::BadEnd)), "{added:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(list(&path).unwrap().first().unwrap().expires, Some(last));
}

#[test]
fn a_name_is_taken_once_and_a_change_that_fails_changes_nothing() {
    let Place { path, _dir } = place();
    add(&path, "a", Role::Read, None).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(add(&path, "a", Role::Admin, None), Err(TokenError::NameTaken { .. })));
    assert!(matches!(add(&path, "a b", Role::Admin, None), Err(TokenError::BadName)));
    assert!(matches!(revoke(&path, "b"), Err(TokenError::Unknown { .. })));
    fs::write(path.with_file_name("tokens.tmp"), "").unwrap();
    assert!(matches!(
        add(&path, "c", Role::Read, None),
        Err(TokenError::Io { during: "make", .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), before);
    let missing = path.with_file_name("missing");
    assert!(revoke(&missing, "a").is_err() && !missing.exists());
}
