//! A question and the type of its answer, whoever gives it.

use super::{
    AskError, Asked, CheckpointQuestion, DiffQuestion, EventQuestion, FirstQuestion,
    GrowthQuestion, Listed, LogQuestion, ProofQuestion, Question, ShowQuestion, StatsQuestion,
    TasksQuestion, ThreadsQuestion, TimelineQuestion, TreeQuestion, WhyQuestion,
};
use crate::answers::{
    AnswerError, CheckpointBody, ConsistencyBody, DiffBody, EventLine, FirstBody, LinkItem,
    ProofBody, Row, ShowBody, SpanItem, StatsBody, TaskItem, ThreadItem, read_document, read_list,
    read_single,
};
use taskledger_interop::jsonl::SCHEMA;

/// An answer that may lack texts which are stored and are not what was recorded.
pub trait Withholds {
    /// True if it does.
    fn withholds(&self) -> bool;
}

impl<T: Row> Withholds for Listed<T> {
    fn withholds(&self) -> bool {
        self.items.iter().any(Row::is_withheld)
    }
}

impl Withholds for ShowBody {
    fn withholds(&self) -> bool {
        self.task.is_withheld() || self.history.iter().any(Row::is_withheld)
    }
}

impl Withholds for DiffBody {
    fn withholds(&self) -> bool {
        self.items.iter().any(Row::is_withheld)
    }
}

impl Withholds for FirstBody {
    fn withholds(&self) -> bool {
        self.event.as_ref().is_some_and(Row::is_withheld)
    }
}

impl Withholds for EventLine {
    fn withholds(&self) -> bool {
        self.is_withheld()
    }
}

macro_rules! withhold_nothing {
    ($($body:ty),*) => {$(
        impl Withholds for $body {
            fn withholds(&self) -> bool {
                false
            }
        }
    )*};
}

withhold_nothing!(StatsBody, CheckpointBody, ProofBody, ConsistencyBody);

/// A question that a ledger answers here, or a server elsewhere; the answer is of one type.
pub trait Ask: Clone + Into<Question> {
    /// The answer.
    type Answer: Withholds;

    /// True if the answer is a list, which has a line for each item as `jsonl`.
    const IS_LIST: bool;

    /// The answer of a ledger that is open here.
    ///
    /// # Errors
    /// [`AskError`].
    fn ask(&self, asked: &Asked<'_>) -> Result<Self::Answer, AskError>;

    /// The answer of a server, which is JSON.
    ///
    /// # Errors
    /// [`AnswerError`] if it is no such answer, or not all of it.
    fn read(json: &[u8]) -> Result<Self::Answer, AnswerError>;
}

macro_rules! asks {
    ($($question:ty, $kind:ident => $answer:ty, $is_list:literal,
       |$own:ident, $asked:ident| $ask:expr, $read:expr;)*) => {$(
        impl From<$question> for Question {
            fn from(question: $question) -> Self {
                Self::$kind(question)
            }
        }

        impl Ask for $question {
            type Answer = $answer;
            const IS_LIST: bool = $is_list;

            fn ask(&self, $asked: &Asked<'_>) -> Result<Self::Answer, AskError> {
                let $own = self;
                $ask
            }

            fn read(json: &[u8]) -> Result<Self::Answer, AnswerError> {
                $read(json)
            }
        }
    )*};
}

asks! {
    ThreadsQuestion, Threads => Listed<ThreadItem>, true, |own, asked| own.answer(asked), read_list;
    TasksQuestion, Tasks => Listed<TaskItem>, true, |own, asked| own.answer(asked), read_list;
    TreeQuestion, Tree => Listed<TaskItem>, true, |own, asked| own.answer(asked), read_list;
    TimelineQuestion, Timeline => Listed<SpanItem>, true, |own, asked| own.answer(asked), read_list;
    WhyQuestion, Why => Listed<LinkItem>, true, |own, asked| own.answer(asked), read_list;
    LogQuestion, Log => Listed<EventLine>, true, |own, asked| own.answer(asked), read_list;
    ShowQuestion, Show => ShowBody, false, |own, asked| own.answer(asked), read_single;
    DiffQuestion, Diff => DiffBody, false, |own, asked| own.answer(asked), read_single;
    FirstQuestion, First => FirstBody, false, |own, asked| own.answer(asked), read_single;
    EventQuestion, Event => EventLine, false, |own, asked| own.answer(asked),
        |json| read_document(SCHEMA, json);
    StatsQuestion, Stats => StatsBody, false, |own, asked| own.answer(asked), read_single;
    CheckpointQuestion, Checkpoint => CheckpointBody, false, |own, asked| own.answer(asked),
        read_single;
    ProofQuestion, Proof => ProofBody, false, |own, asked| own.answer(asked), read_single;
    GrowthQuestion, Growth => ConsistencyBody, false, |own, asked| own.answer(asked), read_single;
}
