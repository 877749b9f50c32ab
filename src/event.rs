//! What can be said about a task.
//!
//! An [`Event`] is a fact, never changed; an [`Entry`] is an event with the texts that stand beside
//! it and can be erased. Knows no bytes, no I/O and no rules: those are in `codec`, `store` and
//! `state`. A new kind of fact is a new variant of [`Action`], which stops the build wherever
//! actions are matched.

use crate::{
    ids::{AgentId, CallId, Epoch, Key, LedgerId, NodeId, Root, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};
use std::sync::Arc;

/// The most parts that one event can have.
pub const PARTS_MAX: usize = 4;

/// One fact, as it stands in the log for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number: 1, 2, 3, without a gap.
    pub seq: Seq,
    /// Which primary wrote it.
    pub epoch: Epoch,
    /// The clock when it was appended; never less than that of the event before.
    pub recorded: Millis,
    /// When it happened: the clock, or the time in an imported recording. Not in order.
    pub occurred: Millis,
    /// The thread that it belongs to.
    pub thread: Option<ThreadId>,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// The event before this one in its thread.
    pub prev_in_thread: Option<Seq>,
    /// The event before this one of its task.
    pub prev_in_task: Option<Seq>,
    /// Who did this.
    pub cause: Cause,
    /// The caller's idempotency key.
    pub key: Option<Key>,
    /// What is said.
    pub action: Action,
    /// What the texts beside the event must hash to, in the order of the texts.
    pub parts: Vec<Commitment>,
}

/// Who did something: any of the four may be unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    /// The task whose code did it.
    pub task: Option<TaskId>,
    /// The agent run that it was part of.
    pub run: Option<RunId>,
    /// The tool call that it was part of.
    pub call: Option<CallId>,
    /// The agent that did it.
    pub agent: Option<AgentId>,
}

/// What an event says. The order of variants is not the format; `codec` gives each its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A task was spawned, or its name, parent or description changed.
    ///
    /// The first one of a task inserts it. Later ones change `name` and `parent` to what the
    /// record says, and the description if the event has that part; nothing else.
    Upserted {
        /// The task as it is from now on.
        record: TaskRecord,
    },
    /// The task ended. The first one wins; `decide` refuses a second.
    Terminated {
        /// How it ended.
        outcome: Outcome,
        /// When it ended.
        completed: Millis,
    },
    /// The task was brought back by a restore.
    Restored {
        /// In which way.
        why: Restored,
    },
    /// Somebody asked for a stop; `cause` and the part `reason` say who and why.
    CancelRequested {
        /// What is to stop.
        scope: CancelScope,
        /// When to stop waiting for it.
        deadline: Option<Millis>,
    },
    /// A message went to the task's inbox; part `content`.
    Messaged {
        /// Who sent it, as the sender calls itself.
        from: Arc<str>,
        /// What became of it.
        delivery: Delivery,
    },
    /// The task told of its progress; part `content`.
    Emitted {
        /// What kind of progress, as the task calls it.
        event_type: Arc<str>,
    },
    /// Texts of an earlier event are erased; part `reason`. `thread` and `task` are those of the
    /// earlier event.
    Redacted {
        /// The event whose texts are erased.
        seq: Seq,
        /// Which of them.
        parts: PartSet,
    },
    /// A writer took charge: the first event of the first group after an opening.
    Began {
        /// Which ledger.
        ledger: LedgerId,
        /// Which copy of it.
        node: NodeId,
        /// The version of this crate that wrote it.
        version: Arc<str>,
        /// 1, 2, 3 for each writer of this log.
        incarnation: u64,
        /// Why it began.
        why: Began,
    },
}

/// Why a writer took charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Began {
    /// The ledger is new.
    Created,
    /// The ledger was opened again.
    Opened,
    /// A standby became the primary.
    Promoted,
    /// The ledger starts as a copy of the first events of another.
    Forked(Origin),
    /// The ledger starts as a backup of another.
    RestoredFrom(Origin),
}

/// Where a copied history comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The ledger that was copied.
    pub ledger: LedgerId,
    /// Its last event that was copied; `None` if it was empty.
    pub at: Option<Seq>,
    /// Its root there, which is also the root of the copy there.
    pub root: Root,
}

/// What is known of a task when it starts, and stays known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// What kind of task: `sub_agent`, `background_command`, .. as its runtime calls it.
    pub task_type: Arc<str>,
    /// Its name, unique among the running Managed tasks of its thread.
    pub name: Option<Arc<str>>,
    /// The task that spawned it.
    pub parent: Option<Parent>,
    /// The agent run that spawned it.
    pub run: Option<RunId>,
    /// The tool call that spawned it.
    pub call: Option<CallId>,
    /// The agent that spawned it.
    pub agent: Option<AgentId>,
    /// When it was created.
    pub created: Millis,
    /// Who runs it.
    pub host: Host,
}

impl TaskRecord {
    /// Whether no task of this ledger spawned it, so that it is the root of a tree here.
    #[must_use]
    pub fn is_root(&self) -> bool {
        !matches!(self.parent, Some(Parent::Local(_)))
    }
}

/// The task that spawned another. Decided once, when the spawn is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// A task of this ledger.
    Local(TaskId),
    /// A task that this ledger does not hold.
    External {
        /// The ledger that holds it, if known.
        ledger: Option<LedgerId>,
        /// Its id there.
        id: TaskId,
    },
}

impl Parent {
    /// The parent's id, wherever it is.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        match self {
            Self::Local(id) | Self::External { id, .. } => id,
        }
    }
}

/// Who runs a task, and so who can say that it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// A manager in the process that writes this ledger.
    Managed {
        /// The writer's incarnation.
        incarnation: u64,
        /// Which manager of that process.
        manager: u32,
    },
    /// A runtime elsewhere reports it.
    External,
    /// It comes from a recording.
    Imported,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It did what it was asked to do.
    Completed,
    /// It could not.
    Failed,
    /// It was stopped.
    Cancelled,
}

/// Where a task stands. A new one is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TaskStatus {
    /// It has no terminal event.
    #[default]
    Running,
    /// It did what it was asked to do.
    Completed,
    /// It could not.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl TaskStatus {
    /// Every status, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// `running`, `completed`, `failed` or `cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing can follow it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Running)
    }
}

impl From<Outcome> for TaskStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Failed => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

/// In which way a restore brought a task back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// From a snapshot, as it stood there.
    Snapshot {
        /// The task.
        record: TaskRecord,
        /// Where it stood.
        status: TaskStatus,
        /// When it ended, if it had and the snapshot knows.
        completed: Option<Millis>,
    },
    /// Its manager is gone: it ends as Failed.
    Orphaned {
        /// When that was found.
        completed: Millis,
    },
}

/// What a cancel request asks to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelScope {
    /// The event's task.
    Task,
    /// The event's task and all below it, now and later.
    Tree,
    /// Every live task of the event's thread.
    Thread,
    /// Every tree that this run started, now and later.
    Run(RunId),
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Its slot in the inbox was taken before it was recorded.
    Delivered,
    /// The inbox was full.
    InboxFull,
    /// Nobody reads the inbox any more.
    InboxClosed,
}

/// Which text of an event a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// What a task is for.
    Description,
    /// Why it failed.
    Error,
    /// What it returned: JSON text.
    Result,
    /// What a message or a progress event holds.
    Content,
    /// Why somebody asked for something.
    Reason,
}

impl PartKind {
    /// Every kind, in the order of their tags.
    pub const ALL: [Self; 5] =
        [Self::Description, Self::Error, Self::Result, Self::Content, Self::Reason];

    /// `description`, `error`, `result`, `content` or `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Error => "error",
            Self::Result => "result",
            Self::Content => "content",
            Self::Reason => "reason",
        }
    }
}

/// A set of [`PartKind`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PartSet(u8);

impl PartSet {
    /// Every kind.
    pub const ALL: Self = Self(0b1_1111);

    /// The set with these bits, one for each kind in the order of [`PartKind::ALL`]; `None` if
    /// other bits are set.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// One bit for each kind in the order of [`PartKind::ALL`].
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: PartKind) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    /// Whether `kind` is in it.
    #[must_use]
    pub const fn contains(self, kind: PartKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// What is in it and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn bit(kind: PartKind) -> u8 {
        match kind {
            PartKind::Description => 1,
            PartKind::Error => 1 << 1,
            PartKind::Result => 1 << 2,
            PartKind::Content => 1 << 3,
            PartKind::Reason => 1 << 4,
        }
    }
}

impl FromIterator<PartKind> for PartSet {
    fn from_iter<I: IntoIterator<Item = PartKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::default(), Self::with)
    }
}

/// What a text must hash to. It stands in the event; the text stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// Which text.
    pub kind: PartKind,
    /// Its length in bytes.
    pub len: u32,
    /// SHA-256 of the kind's tag, the salt and the text.
    pub digest: [u8; 32],
}

/// A text beside an event: erasable, and proven by its [`Commitment`] while it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which text.
    pub kind: PartKind,
    /// The text; `None` once it is erased.
    pub body: Option<PartBody>,
}

/// A text and the salt that keeps its hash from telling what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartBody {
    /// Random.
    pub salt: [u8; 16],
    /// The text.
    pub text: Arc<str>,
}

/// An event and the texts beside it: what one frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// Its texts, one for each of `event.parts`, in the same order.
    pub parts: Vec<Part>,
    /// Whether the next event is of the same batch. No hash covers it: it says where a log may be
    /// cut, and changes nothing that the events say.
    pub batch_goes_on: bool,
}

impl Entry {
    /// The text of this kind, unless it has none or it is erased.
    #[must_use]
    pub fn text(&self, kind: PartKind) -> Option<&Arc<str>> {
        self.parts.iter().find(|p| p.kind == kind)?.body.as_ref().map(|body| &body.text)
    }

    /// Takes the texts of these kinds away, as if they had been erased.
    pub fn erase(&mut self, kinds: PartSet) {
        self.parts.iter_mut().filter(|p| kinds.contains(p.kind)).for_each(|p| p.body = None);
    }
}

impl Action {
    /// The action's name as it is shown and filtered by.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Upserted { .. } => "upserted",
            Self::Terminated { .. } => "terminated",
            Self::Restored { .. } => "restored",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::Messaged { .. } => "messaged",
            Self::Emitted { .. } => "emitted",
            Self::Redacted { .. } => "redacted",
            Self::Began { .. } => "began",
        }
    }
}
