//! Safeguards that are taken away outside of the library: by what is passed on to it, or told of it.

/// A safeguard that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A standby acknowledges what it is about to write.
    AckBeforeDurable,
    /// A primary acknowledges what it has not synced.
    AppendBeforeSync,
    /// A restart forgets promises.
    PromiseNotPersisted,
    /// A promise is answered with the head of the survey before it.
    HeadBeforeFreeze,
    /// A message ends within a batch.
    BatchCut,
    /// A source below the promise is followed.
    EpochIgnored,
    /// A primary goes on after its promise.
    FenceIgnored,
    /// A node that rejoins forgets what it has promised.
    PromiseLostInRejoin,
    /// Answers to acknowledgements count whatever they answer.
    LateAnswersCounted,
    /// Where the primary gave no promise, its survey is taken for one.
    ClaimWithoutPromise,
    /// An operator's rejoin drops the tail that is in no other history.
    TailDropped,
    /// A lossy promotion starts no higher with its task numbers.
    FloorOff,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AckBeforeDurable,
        Self::AppendBeforeSync,
        Self::PromiseNotPersisted,
        Self::HeadBeforeFreeze,
        Self::BatchCut,
        Self::EpochIgnored,
        Self::FenceIgnored,
        Self::PromiseLostInRejoin,
        Self::LateAnswersCounted,
        Self::ClaimWithoutPromise,
        Self::TailDropped,
        Self::FloorOff,
    ];
}
