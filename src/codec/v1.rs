//! The wire types of format 1. What exists is never edited: a field more, or one that means
//! something else, is a new format.
//!
//! The only file that names `bincode`. Field order and variant order are the format: a variant's
//! tag is its place in the declaration, from 0, and the comment beside it says so once more; a
//! test pins each. Format 1 grows by new tags and by reserved flags of the frame, and in no other
//! way (`docs/format.md`): a new variant goes to the end of its enum, and only if older readers may
//! refuse every log that holds it. `convert` turns these types into the domain's and back.

use super::{
    error::{DecodeError, TooLarge},
    limits::EVENT_BYTES_MAX,
};
use bincode::{
    BorrowDecode, Encode, borrow_decode_from_slice,
    config::{self, Configuration, Limit, LittleEndian, Varint},
    enc::write::Writer,
    encode_into_writer, error,
};

/// Spelled out, so that another version of bincode with other defaults cannot change the format.
const CONFIG: Configuration<LittleEndian, Varint, Limit<EVENT_BYTES_MAX>> = config::standard()
    .with_little_endian()
    .with_variable_int_encoding()
    .with_limit::<EVENT_BYTES_MAX>();

#[derive(Encode, BorrowDecode)]
pub(super) struct Event<'a> {
    pub(super) seq: u64,
    pub(super) epoch: Epoch,
    pub(super) recorded: u64,
    pub(super) occurred: u64,
    pub(super) thread: Option<&'a str>,
    pub(super) task: Option<&'a str>,
    pub(super) prev_in_thread: Option<u64>,
    pub(super) prev_in_task: Option<u64>,
    pub(super) cause: Cause<'a>,
    pub(super) key: Option<[u8; 16]>,
    pub(super) action: Action<'a>,
    pub(super) parts: Vec<Commitment>,
}

#[derive(Encode, BorrowDecode)]
pub(super) struct Epoch {
    pub(super) number: u64,
    /// Little endian, of fixed length: a varint does not make a random number shorter.
    pub(super) nonce: [u8; 8],
}

#[derive(Encode, BorrowDecode)]
pub(super) struct Cause<'a> {
    pub(super) task: Option<&'a str>,
    pub(super) run: Option<&'a str>,
    pub(super) call: Option<&'a str>,
    pub(super) agent: Option<&'a str>,
}

#[derive(Encode, BorrowDecode)]
pub(super) enum Action<'a> {
    // 0
    Upserted { record: TaskRecord<'a> },
    // 1
    Terminated { outcome: Outcome, completed: u64 },
    // 2
    Restored { why: Restored<'a> },
    // 3
    CancelRequested { scope: CancelScope<'a>, deadline: Option<u64> },
    // 4
    Messaged { from: &'a str, delivery: Delivery },
    // 5
    Emitted { event_type: &'a str },
    // 6
    Redacted { seq: u64, parts: u8 },
    // 7
    Began { ledger: [u8; 16], node: [u8; 16], version: &'a str, incarnation: u64, why: Began },
}

#[derive(Encode, BorrowDecode)]
pub(super) enum Began {
    Created,              // 0
    Opened,               // 1
    Promoted,             // 2
    Forked(Origin),       // 3
    RestoredFrom(Origin), // 4
}

#[derive(Encode, BorrowDecode)]
pub(super) struct Origin {
    pub(super) ledger: [u8; 16],
    pub(super) at: Option<u64>,
    pub(super) root: [u8; 32],
}

#[derive(Encode, BorrowDecode)]
pub(super) struct TaskRecord<'a> {
    pub(super) task_type: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) parent: Option<Parent<'a>>,
    pub(super) run: Option<&'a str>,
    pub(super) call: Option<&'a str>,
    pub(super) agent: Option<&'a str>,
    pub(super) created: u64,
    pub(super) host: Host,
}

#[derive(Clone, Copy, Encode, BorrowDecode)]
pub(super) enum Parent<'a> {
    // 0
    Local(&'a str),
    // 1
    External { ledger: Option<[u8; 16]>, id: &'a str },
}

#[derive(Encode, BorrowDecode)]
pub(super) enum Host {
    // 0
    Managed { incarnation: u64, manager: u32 },
    // 1
    External,
    // 2
    Imported,
}

#[derive(Encode, BorrowDecode)]
pub(super) enum Outcome {
    Completed, // 0
    Failed,    // 1
    Cancelled, // 2
}

#[derive(Encode, BorrowDecode)]
pub(super) enum TaskStatus {
    Running,   // 0
    Completed, // 1
    Failed,    // 2
    Cancelled, // 3
}

#[derive(Encode, BorrowDecode)]
pub(super) enum Restored<'a> {
    // 0
    Snapshot { record: TaskRecord<'a>, status: TaskStatus, completed: Option<u64> },
    // 1
    Orphaned { completed: u64 },
}

#[derive(Clone, Copy, Encode, BorrowDecode)]
pub(super) enum CancelScope<'a> {
    Task,         // 0
    Tree,         // 1
    Thread,       // 2
    Run(&'a str), // 3
}

#[derive(Encode, BorrowDecode)]
pub(super) enum Delivery {
    Delivered,   // 0
    InboxFull,   // 1
    InboxClosed, // 2
}

#[derive(Encode, BorrowDecode)]
pub(super) enum PartKind {
    Description, // 0
    Error,       // 1
    Result,      // 2
    Content,     // 3
    Reason,      // 4
}

#[derive(Encode, BorrowDecode)]
pub(super) struct Commitment {
    pub(super) kind: PartKind,
    pub(super) len: u32,
    pub(super) digest: [u8; 32],
}

/// The beginning of an [`Event`], up to the tag of its action.
#[derive(BorrowDecode)]
#[allow(dead_code, reason = "what stands before a field must be read to find it")]
pub(super) struct Peeked<'a> {
    pub(super) seq: u64,
    epoch: Epoch,
    pub(super) recorded: u64,
    occurred: u64,
    pub(super) thread: Option<&'a str>,
    pub(super) task: Option<&'a str>,
    prev_in_thread: Option<u64>,
    prev_in_task: Option<u64>,
    cause: Cause<'a>,
    key: Option<[u8; 16]>,
    /// The number of the variant of [`Action`].
    pub(super) action: u32,
}

/// Reads the beginning of an event, and the number behind it, which for some actions is another tag.
/// Does not read the rest.
pub(super) fn peek(bytes: &[u8]) -> Result<(Peeked<'_>, Option<u32>), DecodeError> {
    let (peeked, used) =
        borrow_decode_from_slice::<Peeked<'_>, _>(bytes, CONFIG).map_err(|e| refuse(&e))?;
    let rest = bytes.get(used..).unwrap_or_default();
    let next = borrow_decode_from_slice::<u32, _>(rest, CONFIG).ok();
    Ok((peeked, next.map(|(next, _)| next)))
}

/// Appends the bytes of `event` to `out`.
pub(super) fn write(event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    let before = out.len();
    // A vector takes any bytes and no wire type refuses a value, so this cannot fail.
    let written = encode_into_writer(event, Append(out), CONFIG);
    debug_assert!(written.is_ok());
    TooLarge::check("event", out.len() - before, EVENT_BYTES_MAX)
}

/// Reads an event that takes all of `bytes`, in the one form that [`write`] gives. The caller has
/// checked the length against [`EVENT_BYTES_MAX`].
pub(super) fn read(bytes: &[u8]) -> Result<Event<'_>, DecodeError> {
    let (event, used) =
        borrow_decode_from_slice::<Event<'_>, _>(bytes, CONFIG).map_err(|e| refuse(&e))?;
    if used < bytes.len() {
        return Err(DecodeError::Leftover { what: "event", bytes: bytes.len() - used });
    }
    // bincode reads `fb 05 00` as 5. Two encodings of one event would be two leaves, so the event
    // is written again and compared on the way, without a buffer.
    let mut same = Same(bytes);
    match encode_into_writer(&event, &mut same, CONFIG) {
        Ok(()) if same.0.is_empty() => Ok(event),
        Ok(()) | Err(_) => Err(DecodeError::NotCanonical),
    }
}

struct Append<'a>(&'a mut Vec<u8>);

impl Writer for Append<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Accepts only the bytes that it expects.
struct Same<'a>(&'a [u8]);

impl Writer for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), error::EncodeError> {
        self.0 = self.0.strip_prefix(bytes).ok_or(error::EncodeError::UnexpectedEnd)?;
        Ok(())
    }
}

/// Turns an error of bincode into one of ours, so that its type does not show.
fn refuse(error: &error::DecodeError) -> DecodeError {
    if let error::DecodeError::UnexpectedVariant { type_name, allowed, found } = error
        && let error::AllowedEnumVariants::Range { max, .. } = allowed
        && let Some(what) = tag_name(type_name)
    {
        return DecodeError::UnsupportedFormat { what, found: *found, max: *max };
    }
    let why = if let error::DecodeError::UnexpectedEnd { .. } = error {
        "it ends early"
    } else if let error::DecodeError::LimitExceeded = error {
        "it asks for more than its limit"
    } else if let error::DecodeError::Utf8 { .. } = error {
        "a text is not UTF-8"
    } else if let error::DecodeError::UnexpectedVariant { .. } = error {
        "an option is neither 0 nor 1"
    } else {
        "a number is out of range"
    };
    DecodeError::Malformed { why }
}

/// The name of a tag, for an error. A type that is not listed is no enum of ours: the byte of an
/// option.
fn tag_name(type_name: &str) -> Option<&'static str> {
    Some(match type_name {
        "Action" => "action",
        "Began" => "reason to begin",
        "Parent" => "kind of parent",
        "Host" => "host",
        "Outcome" => "outcome",
        "TaskStatus" => "task status",
        "Restored" => "kind of restore",
        "CancelScope" => "cancel scope",
        "Delivery" => "delivery",
        "PartKind" => "part kind",
        _ => return None,
    })
}
