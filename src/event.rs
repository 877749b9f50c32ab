//! The facts about tasks that a ledger can record.
//!
//! An [`Event`] is a fact that never changes. An [`Entry`] is an event with the texts beside it,
//! which can be erased. Knows no bytes, no I/O and no rules: those are in `codec`, `store` and
//! `state`. A new kind of fact is a new variant of [`Action`], which stops the build wherever
//! actions are matched.

use crate::{
    ids::{AgentId, CallId, Epoch, Key, LedgerId, NodeId, Root, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};
use std::sync::Arc;

/// The most parts that one event can have.
pub const PARTS_MAX: usize = 4;

/// The longest text beside an event, in bytes. An option of the ledger can set a lower limit.
pub const PART_BYTES_MAX: usize = 1 << 20;

/// The longest description of a task, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4 << 10;

/// One fact, in the form that stays in the log for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number: 1, 2, 3, without a gap.
    pub seq: Seq,
    /// The epoch of the primary that wrote it.
    pub epoch: Epoch,
    /// The time of the clock when it was appended; never less than that of the event before.
    pub recorded: Millis,
    /// The time at which it happened: the clock, or the time in an imported recording. Not in
    /// order.
    pub occurred: Millis,
    /// The thread that it belongs to.
    pub thread: Option<ThreadId>,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// The event before this one in its thread.
    pub prev_in_thread: Option<Seq>,
    /// The event before this one of its task.
    pub prev_in_task: Option<Seq>,
    /// The cause: the task, run, call and agent that did this.
    pub cause: Cause,
    /// The caller's idempotency key.
    pub key: Option<Key>,
    /// The fact itself.
    pub action: Action,
    /// The commitments to the texts beside the event, in the order of the texts.
    pub parts: Vec<Commitment>,
}

/// The cause of an event. Each of the four may be unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
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

impl Cause {
    setters! {
        ;
        into task: Option<TaskId>,
        into run: Option<RunId>,
        into call: Option<CallId>,
        into agent: Option<AgentId>,
    }
}

/// The content of an event. The order of variants is not the format; `codec` gives each its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A task was spawned, or its name, parent or description changed.
    ///
    /// The first one of a task inserts it. A later one changes `name` and `parent` to those of the
    /// record, and the description if the event has that part; nothing else.
    Upserted {
        /// The task as it is from now on.
        record: TaskRecord,
    },
    /// The task ended. The first one wins; `decide` refuses a second.
    Terminated {
        /// The way in which it ended.
        outcome: Outcome,
        /// The time at which it ended.
        completed: Millis,
    },
    /// A restore brought the task back.
    Restored {
        /// The kind of restore.
        why: Restored,
    },
    /// A caller asked for a stop. `cause` says which, and the part `reason` why.
    CancelRequested {
        /// The scope that is to stop.
        scope: CancelScope,
        /// The time after which nothing waits for it.
        deadline: Option<Millis>,
    },
    /// A message went to the task's inbox; part `content`.
    Messaged {
        /// The sender, in its own words.
        from: Arc<str>,
        /// The result of the delivery.
        delivery: Delivery,
    },
    /// The task reported progress; part `content`.
    Emitted {
        /// The kind of progress, in the task's own words.
        event_type: Arc<str>,
    },
    /// Texts of an earlier event are erased; part `reason`. `thread` and `task` are those of the
    /// earlier event.
    Redacted {
        /// The event whose texts are erased.
        seq: Seq,
        /// The kinds of these texts.
        parts: PartSet,
    },
    /// A writer took charge: the first event of the first group after an opening.
    Began {
        /// The ledger.
        ledger: LedgerId,
        /// The copy of the ledger.
        node: NodeId,
        /// The version of this crate that wrote it.
        version: Arc<str>,
        /// 1, 2, 3 for each writer of this log.
        incarnation: u64,
        /// The reason.
        why: Began,
    },
}

/// The reason that a writer took charge.
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

/// The origin of a copied history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The ledger that was copied.
    pub ledger: LedgerId,
    /// Its last event that was copied; `None` if it was empty.
    pub at: Option<Seq>,
    /// Its root there, which is also the root of the copy there.
    pub root: Root,
}

/// The facts about a task that are known when it starts, and stay known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// The type of the task, in the words of its runtime: `sub_agent`, `background_command`, ..
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
    /// The time at which it was created.
    pub created: Millis,
    /// The host that runs it.
    pub host: Host,
}

impl TaskRecord {
    /// Says whether it is the root of a tree here: no task of this ledger spawned it.
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
    /// The parent's id, in this ledger or another.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        match self {
            Self::Local(id) | Self::External { id, .. } => id,
        }
    }
}

/// The host of a task, which can say that the task is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// A manager in the process that writes this ledger.
    Managed {
        /// The writer's incarnation.
        incarnation: u64,
        /// The number of the manager in that process.
        manager: u32,
    },
    /// A runtime elsewhere reports it.
    External,
    /// It comes from a recording.
    Imported,
}

impl Host {
    /// Returns true for a manager of this ledger.
    #[must_use]
    pub const fn is_managed(self) -> bool {
        matches!(self, Self::Managed { .. })
    }
}

/// The way in which a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The task did its work.
    Completed,
    /// The task could not do its work.
    Failed,
    /// The task was stopped.
    Cancelled,
}

/// The status of a task: a new one is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TaskStatus {
    /// It has no terminal event.
    #[default]
    Running,
    /// The task did its work.
    Completed,
    /// The task could not do its work.
    Failed,
    /// The task was stopped.
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

    /// Says whether the status is final.
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

/// The way in which a restore brought a task back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// From a snapshot, in the status that it had there.
    Snapshot {
        /// The task.
        record: TaskRecord,
        /// Its status.
        status: TaskStatus,
        /// The time at which it ended, if it had ended and the snapshot knows.
        completed: Option<Millis>,
    },
    /// Its manager is gone: it ends as Failed.
    Orphaned {
        /// The time at which that was found.
        completed: Millis,
    },
}

/// The scope of a cancel request.
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

/// The result of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A slot in the inbox was taken before the message was recorded.
    Delivered,
    /// The inbox was full.
    InboxFull,
    /// The receiver of the inbox is gone.
    InboxClosed,
}

/// The kind of a text beside an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// The description of a task.
    Description,
    /// The error of a task.
    Error,
    /// The result of a task, as JSON text.
    Result,
    /// The content of a message or a progress event.
    Content,
    /// The reason for a request.
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

    /// Says whether `kind` is in it.
    #[must_use]
    pub const fn contains(self, kind: PartKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// The kinds in this set and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The kinds in this set or in `other`.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds in it, in the order of [`PartKind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = PartKind> {
        PartKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// Says whether it is empty.
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

/// A commitment to a text: its length and hash. It stands in the event; the text stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// The kind of the text.
    pub kind: PartKind,
    /// Its length in bytes.
    pub len: u32,
    /// SHA-256 of the kind's tag, the salt and the text.
    pub digest: [u8; 32],
}

/// A text beside an event: erasable, and proven by its [`Commitment`] while it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The kind of the text.
    pub kind: PartKind,
    /// The text; `None` once it is erased, or while it is [withheld](Entry::withheld).
    pub body: Option<PartBody>,
}

/// A text, and the salt that keeps its hash from revealing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartBody {
    /// Random.
    pub salt: [u8; 16],
    /// The text.
    pub text: Arc<str>,
}

/// An event and the texts beside it: the contents of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// Its texts, one for each of `event.parts`, in the same order.
    pub parts: Vec<Part>,
    /// The texts that are stored, but are not those that the event commits to: they were changed.
    /// Nobody is shown them; they are missing in `parts`.
    pub withheld: PartSet,
    /// True if the next event is of the same batch. No hash covers it: it says where a log may be
    /// cut, and changes no meaning of the events.
    pub batch_goes_on: bool,
}

impl Entry {
    /// The text of this kind, unless it has none or it is erased.
    #[must_use]
    pub fn text(&self, kind: PartKind) -> Option<&Arc<str>> {
        self.parts.iter().find(|p| p.kind == kind)?.body.as_ref().map(|body| &body.text)
    }

    /// Removes the texts of these kinds, as if they had been erased.
    pub fn erase(&mut self, kinds: PartSet) {
        self.withheld = self.withheld.minus(kinds);
        self.remove(kinds);
    }

    /// Removes the texts of these kinds, which are not what was recorded.
    pub(crate) fn withhold(&mut self, kinds: PartSet) {
        self.withheld = self.withheld.union(kinds);
        self.remove(kinds);
    }

    fn remove(&mut self, kinds: PartSet) {
        self.parts.iter_mut().filter(|p| kinds.contains(p.kind)).for_each(|p| p.body = None);
    }
}

impl Action {
    /// The kind of the action, without its content.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Upserted { .. } => ActionKind::Upserted,
            Self::Terminated { .. } => ActionKind::Terminated,
            Self::Restored { .. } => ActionKind::Restored,
            Self::CancelRequested { .. } => ActionKind::CancelRequested,
            Self::Messaged { .. } => ActionKind::Messaged,
            Self::Emitted { .. } => ActionKind::Emitted,
            Self::Redacted { .. } => ActionKind::Redacted,
            Self::Began { .. } => ActionKind::Began,
        }
    }

    /// The name of the action, for output and filters.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.kind().as_str()
    }
}

/// A kind of action, without its content. Events are filtered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionKind {
    /// [`Action::Upserted`].
    Upserted,
    /// [`Action::Terminated`].
    Terminated,
    /// [`Action::Restored`].
    Restored,
    /// [`Action::CancelRequested`].
    CancelRequested,
    /// [`Action::Messaged`].
    Messaged,
    /// [`Action::Emitted`].
    Emitted,
    /// [`Action::Redacted`].
    Redacted,
    /// [`Action::Began`].
    Began,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Upserted,
        Self::Terminated,
        Self::Restored,
        Self::CancelRequested,
        Self::Messaged,
        Self::Emitted,
        Self::Redacted,
        Self::Began,
    ];

    /// The name of the action, for output and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upserted => "upserted",
            Self::Terminated => "terminated",
            Self::Restored => "restored",
            Self::CancelRequested => "cancel_requested",
            Self::Messaged => "messaged",
            Self::Emitted => "emitted",
            Self::Redacted => "redacted",
            Self::Began => "began",
        }
    }
}
