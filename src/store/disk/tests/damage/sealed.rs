//! The faults of sled that an opening finds; a rebuild mends them or changes nothing.

use super::*;
use crate::store::sled::Sled;

#[test]
fn a_sled_that_is_missing_is_a_finding_and_is_rebuilt() {
    let (dir, sled) = sealed_before();
    fs::remove_dir_all(&sled).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::Damaged { seq: None, .. }), "{error}");
    let rebuilt = rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
    assert_eq!(rebuilt, Rebuilt { head: head_at(700), set_aside: Vec::new() });
    assert_holds(&reopened(dir.path()), 700);
}

#[test]
fn a_sled_that_is_cut_or_emptied_is_a_finding_and_is_rebuilt() {
    let (dir, sled) = sealed_before();
    let db = sled.join("1/db");
    let length = fs::metadata(&db).unwrap().len();
    for cut in [0, 1, 600_000, length / 2] {
        if cut < length {
            open_file(&db).set_len(cut).unwrap();
            let error = refused(dir.path());
            assert!(
                matches!(
                    error,
                    Error::LostTail { expected: 700, .. }
                        | Error::Damaged { .. }
                        | Error::Engine { .. }
                ),
                "cut at {cut}: {error}"
            );
        }
    }
    rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
    let store = reopened(dir.path());
    assert_holds(&store, 700);
    append_upto(&store, 800);
    store.close().unwrap();
    assert_holds(&reopened(dir.path()), 800);
}

/// Sled makes an empty file into a new database: what was lost would be written over.
#[test]
fn a_sled_that_is_emptied_is_refused_before_it_is_opened() {
    let (dir, sled) = sealed_before();
    open_file(&sled.join("1/db")).set_len(0).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::LostTail { expected: 700, found: 0 }), "{error}");
}

#[test]
fn a_rebuild_takes_what_was_never_sealed_from_the_journal() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 500);
    store.sync().unwrap();
    store.flush().unwrap();
    append_upto(&store, 530);
    store.sync().unwrap();
    drop(store);
    fs::remove_dir_all(ledger(dir.path()).join("sled")).unwrap();
    rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
    let store = reopened(dir.path());
    assert_eq!(store.sealed(), head_at(530));
    assert_holds(&store, 530);
}

/// Does something to archives of a sound ledger.
type Blow<'a> = &'a dyn Fn(&[PathBuf]);

/// Finding 35: without an archive a rebuild was refused, though the sealed blocks have its events.
#[test]
fn an_archive_that_is_missing_or_damaged_is_made_again_from_the_sealed_blocks() {
    let (dir, _) = sealed();
    let whole = archives(dir.path());
    assert!(whole.len() > 3);
    let blows: [(Blow<'_>, usize); 6] = [
        (&|paths| fs::remove_file(&paths[1]).unwrap(), 0),
        (&|paths| paths.iter().for_each(|path| fs::remove_file(path).unwrap()), 0),
        (&|paths| fs::remove_file(paths.last().unwrap()).unwrap(), 0),
        // In a chunk, in the header, and all of it.
        (&|paths| flip(&paths[1], 700), 1),
        (&|paths| flip(&paths[0], 20), 1),
        (&|paths| paths.iter().for_each(|path| fs::write(path, b"").unwrap()), whole.len()),
    ];
    for (number, (blow, kept)) in blows.into_iter().enumerate() {
        let image = kept_of(dir.path());
        blow(&archives(image.path()));
        let rebuilt = rebuild(ledger(image.path()), &small(), &mut Tree(0)).unwrap();
        assert_eq!(rebuilt.head, head_at(700), "{number}");
        // The old sled too.
        assert_eq!(rebuilt.set_aside.len(), kept + 1, "{number}: {rebuilt:?}");
        assert!(
            archive::gaps(&ledger(image.path()), journal_start(image.path())).unwrap().is_empty()
        );
        assert!(
            archives(image.path())
                .iter()
                .all(|path| archive::Archive::open(path).unwrap().is_whole())
        );
        // They are enough, without sled, also to rebuild again.
        fs::remove_dir_all(ledger(image.path()).join("sled")).unwrap();
        rebuild(ledger(image.path()), &small(), &mut Tree(0)).unwrap();
        assert_holds(&reopened(image.path()), 700);
    }
}

/// The size of the log before its oldest journal.
fn journal_start(dir: &Path) -> Size {
    scan::read_header(&journals(dir)[0]).unwrap().before.size
}

#[test]
fn a_rebuild_that_finds_an_event_nowhere_changes_nothing() {
    let (dir, sled) = sealed();
    let archive = archives(dir.path()).remove(1);
    let first = archive::range_of(&archive).unwrap().0;
    flip(&archive, 700);
    fs::remove_dir_all(sled.join("1")).unwrap();
    // A journal that was being prepared is not worth keeping.
    dir::remove_leftovers(&ledger(dir.path())).unwrap();
    let before = evidence(dir.path());
    let error = rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap_err();
    let Error::Damaged { seq: Some(at), file: None, detail: Damage::Nowhere } = error else {
        panic!("{error}")
    };
    assert_eq!(at, first);
    let mut after = evidence(dir.path());
    after.retain(|(path, _)| !path.to_string_lossy().contains("sled/2"));
    assert!(before == after);
}

// What is in sled and in no archive is a forger's to choose, as far as sled can tell.
#[test]
fn events_that_do_not_lead_to_the_root_of_the_next_file_are_not_archived() {
    let (dir, _) = sealed();
    fs::remove_file(archives(dir.path()).remove(1)).unwrap();
    let before = archives(dir.path());
    let error = rebuild(ledger(dir.path()), &small(), &mut Other).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_eq!(archives(dir.path()), before);
}

/// A tree that is not the one of the made-up log.
struct Other;

impl Replay for Other {
    fn push(&mut self, _: Seq, _: &[u8]) -> Result<Vec<TreeHash>, Error> {
        Ok(Vec::new())
    }
    fn root(&self) -> Root {
        Root([3; 32])
    }
}

#[test]
fn a_rebuild_that_gives_another_root_is_refused() {
    let (dir, _) = sealed();
    let error = rebuild(ledger(dir.path()), &small(), &mut Other).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_holds(&reopened(dir.path()), 700);
}

#[test]
fn any_flipped_bit_of_sled_is_found_or_harmless_and_a_rebuild_mends_it() {
    let (dir, sled) = sealed_before();
    let db = sled.join("1/db");
    let whole = fs::read(&db).unwrap();
    let original = files(&sled);
    let mut found = 0;
    for number in 0..16 {
        let image = TempDir::new().unwrap();
        copy(&ledger(dir.path()), &ledger(image.path()));
        let place = whole.len() / 16 * number + 77;
        flip(&ledger(image.path()).join("sled/1/db"), place as u64);
        match DiskStore::open(ledger(image.path()), &small()) {
            // What sled has lost without a word is read from where it was before.
            Ok(store) => {
                for number in 1..=700 {
                    assert_eq!(store.read(seq(number), 1).unwrap(), [frame_of(number)]);
                }
            }
            Err(Error::LostTail { .. } | Error::Damaged { .. } | Error::Engine { .. }) => {
                found += 1;
            }
            Err(other) => panic!("byte {place}: {other}"),
        }
        rebuild(ledger(image.path()), &small(), &mut Tree(0)).unwrap();
        assert_holds(&reopened(image.path()), 700);
    }
    assert!(found > 0, "not one of these places matters");
    assert!(files(&sled) == original);
}

/// A copy of the ledger as it is now.
fn kept_of(dir: &Path) -> TempDir {
    let kept = TempDir::new().unwrap();
    copy(&ledger(dir), &ledger(kept.path()));
    kept
}

/// Puts an older part of a ledger in the place of the newer one.
fn put_back(kept: &TempDir, dir: &Path, part: &str) {
    let (from, to) = (ledger(kept.path()).join(part), ledger(dir).join(part));
    if from.is_dir() {
        fs::remove_dir_all(&to).unwrap();
        copy(&from, &to);
    } else {
        fs::copy(from, to).unwrap();
    }
}

fn append_and_close(dir: &Path, upto: u64) {
    let store = reopened_with(dir, &lazy());
    append_upto(&store, upto);
    store.close().unwrap();
}

/// A sealed ledger of `old` events, a copy of it, and then of `new`.
fn grown(old: u64, new: u64) -> (TempDir, TempDir) {
    let dir = TempDir::new().unwrap();
    created_with(dir.path(), &lazy()).close().unwrap();
    append_and_close(dir.path(), old);
    let kept = kept_of(dir.path());
    append_and_close(dir.path(), new);
    (dir, kept)
}

// Only what is synced is sealed. An older journal and HEAD, put back beside a newer sled, made 402
// events 101 without a word.
#[test]
fn a_log_that_ends_before_what_sled_holds_has_lost_its_tail() {
    for (old, new) in [(100, 400), (96, 97), (97, 98), (96, 112), (0, 1)] {
        let (dir, kept) = grown(old, new);
        put_back(&kept, dir.path(), "HEAD");
        put_back(&kept, dir.path(), "journal");
        let error = refused(dir.path());
        assert!(
            matches!(error, Error::LostTail { expected, found } if (expected, found) == (new, old)),
            "{old} of {new}: {error}"
        );
    }
}

// Its number tells that there was more, also where nothing can be read of it.
#[test]
fn a_log_that_ends_before_a_damaged_block_has_lost_its_tail_and_one_that_reaches_it_is_damaged() {
    for (old, new, at) in [(100, 400, 385), (384, 400, 385), (390, 400, 385)] {
        let (dir, kept) = grown(old, new);
        put_back(&kept, dir.path(), "HEAD");
        put_back(&kept, dir.path(), "journal");
        forget_upto(dir.path());
        let place = ledger(dir.path());
        let sled = Sled::open(&place.join("sled/1"), 1 << 20, &place).unwrap();
        sled.spoil(seq(at));
        drop(sled);
        let error = refused(dir.path());
        let lost =
            matches!(error, Error::LostTail { expected, found } if (expected, found) == (at, old));
        let damaged = matches!(error, Error::Damaged { seq: Some(first), .. } if first == seq(at));
        assert!(if old < at { lost } else { damaged }, "{old} of {new}: {error}");
    }
}

#[test]
fn an_older_sled_has_lost_what_was_sealed_since_and_where_it_ends_is_told() {
    // In the middle of the last block; as a block that is not there; with nothing at all.
    for (old, new, end) in [(90, 95, 90), (90, 700, 96), (96, 97, 96), (0, 20, 0)] {
        let (dir, kept) = grown(old, new);
        put_back(&kept, dir.path(), "sled");
        let error = refused(dir.path());
        assert!(
            matches!(error, Error::LostTail { expected, found } if (expected, found) == (new, end)),
            "{old} of {new}: {error}"
        );
    }
}

#[test]
fn a_sled_that_was_empty_has_lost_nothing() {
    let (dir, _) = unsealed(50);
    open_file(&ledger(dir.path()).join("sled/1/db")).set_len(0).unwrap();
    assert_holds(&reopened_with(dir.path(), &lazy()), 50);
}

// The other way round is what every crash leaves: blocks that HEAD does not know of yet.
#[test]
fn blocks_that_were_sealed_after_the_last_flush_are_no_loss() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 90);
    store.sync().unwrap();
    let head = fs::read(ledger(dir.path()).join("HEAD")).unwrap();
    store.flush().unwrap();
    drop(store);
    fs::write(ledger(dir.path()).join("HEAD"), head).unwrap();
    let store = reopened_with(dir.path(), &lazy());
    assert_eq!(store.sealed(), Head::EMPTY);
    assert_holds(&store, 90);
}
