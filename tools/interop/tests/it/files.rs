//! What stands in a folder beside plain recordings, and what comes in another way than as a file.

use super::cases::case;
use std::{fs, io::Write as _, path::Path, process::Command};
use taskledger_interop::{Found, ReadError, ReadOptions, Recording, find, look, read_all};

const SESSION: &str = "11111111-2222-4333-8444-000000000001";

fn session() -> Vec<u8> {
    fs::read(case("bashoutput").join(format!("{SESSION}.jsonl"))).unwrap()
}

fn looked(path: &Path) -> Found {
    look(&[path.to_owned()], None)
}

fn read(found: &Found) -> Vec<Recording> {
    let read = read_all(&found.datasets, &ReadOptions::default(), &mut |_| {});
    read.into_iter().map(Result::unwrap).collect()
}

/// Tasks and their ends, of one recording.
#[track_caller]
fn proposals(path: &Path) -> usize {
    let recordings = read(&looked(path));
    assert_eq!(recordings.len(), 1, "{}", path.display());
    assert_eq!(recordings[0].threads[0].as_str(), SESSION);
    recordings[0].collect().unwrap().len()
}

#[test]
fn a_packed_transcript_and_one_in_utf_16_give_the_same() {
    let place = tempfile::tempdir().unwrap();
    let plain = place.path().join(format!("{SESSION}.jsonl"));
    fs::write(&plain, session()).unwrap();
    let expected = proposals(&plain);
    assert_eq!(expected, 4);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&session()).unwrap();
    let text = String::from_utf8(session()).unwrap();
    let utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let files = [
        ("a.jsonl.gz", gzip.finish().unwrap()),
        ("b.jsonl.zst", zstd::bulk::compress(&session(), 3).unwrap()),
        ("c.jsonl", utf16),
    ];
    for (name, bytes) in files {
        let folder = place.path().join(name.split('.').next().unwrap());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
        assert_eq!(proposals(&folder.join(name)), expected, "{name}");
        assert_eq!(proposals(&folder), expected, "{name} in its folder");
    }
}

#[test]
fn a_packed_file_that_is_cut_gives_what_is_there_and_says_so() {
    let place = tempfile::tempdir().unwrap();
    let mut packed = zstd::bulk::compress(&session(), 3).unwrap();
    packed.truncate(packed.len() - 20);
    let path = place.path().join("s.jsonl.zst");
    fs::write(&path, packed).unwrap();
    let found = look(&[path], "claude-code".parse().ok());
    let recordings = read(&found);
    let bad = &recordings[0].tally.bad_lines;
    assert!(bad.iter().any(|bad| bad.why.contains("unpacked")), "{bad:?}");
}

#[test]
fn a_named_pipe_is_read_to_its_end() {
    let place = tempfile::tempdir().unwrap();
    let pipe = place.path().join("pipe.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (writer, bytes) = (pipe.clone(), session());
    let writing = std::thread::spawn(move || fs::write(writer, bytes).unwrap());
    assert_eq!(proposals(&pipe), 4);
    writing.join().unwrap();
    // In a folder nobody may ever write to it.
    let found = looked(place.path());
    assert!(matches!(found.passed[0], ReadError::Pipe { .. }), "{found:?}");
}

#[test]
fn links_are_followed_and_each_folder_once() {
    let place = tempfile::tempdir().unwrap();
    let (real, links) = (place.path().join("real"), place.path().join("links"));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&links).unwrap();
    fs::write(real.join(format!("{SESSION}.jsonl")), session()).unwrap();
    std::os::unix::fs::symlink("../real", links.join("project")).unwrap();
    std::os::unix::fs::symlink("../real", links.join("again")).unwrap();
    std::os::unix::fs::symlink("..", links.join("round")).unwrap();
    let found = looked(&links);
    assert_eq!((found.datasets.len(), found.failed.len(), found.passed.len()), (1, 0, 0));
}

#[test]
fn what_cannot_be_read_is_said_and_stops_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join(format!("{SESSION}.jsonl")), session()).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path().join("gone.jsonl")).unwrap();
    std::os::unix::fs::symlink("loop.jsonl", place.path().join("loop.jsonl")).unwrap();
    let found = looked(place.path());
    assert_eq!(found.datasets.len(), 1);
    let passed: Vec<String> = found.passed.iter().map(ToString::to_string).collect();
    assert_eq!(passed.len(), 2, "{passed:?}");
    assert!(passed[0].contains("gone.jsonl") && passed[1].contains("loop.jsonl"), "{passed:?}");
}

#[test]
fn a_recording_of_another_tool_is_named_as_what_it_is() {
    let alone = find(&[case("qwen-taken-for-claude")], None).unwrap_err();
    assert!(matches!(alone, ReadError::Unrecognised { .. }));
    assert!(alone.to_string().contains("Qwen Code"), "{alone}");

    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join(format!("{SESSION}.jsonl")), session()).unwrap();
    fs::copy(case("qwen-taken-for-claude").join("qwen.jsonl"), place.path().join("q.jsonl"))
        .unwrap();
    fs::write(place.path().join("settings.json"), "{\"theme\":\"dark\"}").unwrap();
    let found = looked(place.path());
    assert_eq!((found.datasets.len(), found.passed.len()), (1, 1), "{found:?}");
    assert!(found.passed[0].to_string().contains("q.jsonl"));
}

#[test]
fn a_recording_is_read_once_however_its_files_are_named() {
    let folder = case("agent-files-beside-the-session");
    let files = [folder.join("agent-a1.jsonl"), folder.join(format!("{SESSION}.jsonl"))];
    let found = look(&files, None);
    assert_eq!(found.datasets.len(), 1);
    assert_eq!(found.datasets[0].inputs.len(), 2);
    assert_eq!(look(&files[1..], None).datasets[0].inputs.len(), 2, "the session alone finds it");
    assert_eq!(look(&files[..1], None).datasets.len(), 1, "an agent alone is read alone");
}
