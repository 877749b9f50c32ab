//! One ledger, its pools and its routes.

use crate::{
    feed::Feed,
    follow::Freshness,
    guard::{self, Caller, Tries},
    health,
    options::ServerOptions,
    pools::Pools,
    problem::Problem,
    reads,
    text::Room,
    writes,
};
use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};
use taskledger::Ledger;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A ledger as a server answers for it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    directory: Option<PathBuf>,
    options: ServerOptions,
    pools: Pools,
    feed: Feed,
    tries: Tries,
    freshness: Freshness,
    closing: CancellationToken,
    tasks: TaskTracker,
    run: Option<u64>,
}

impl Service {
    /// Answers for `ledger`, which lies in `directory` if it lies in one. Starts nothing.
    #[must_use]
    pub fn new(ledger: Ledger, directory: Option<PathBuf>, options: ServerOptions) -> Self {
        let pools = Pools::new(&options);
        let feed = Feed::new(Room::new(&options), options.feed_bytes_max);
        let inner = Inner {
            ledger,
            directory,
            options,
            pools,
            feed,
            tries: Tries::default(),
            freshness: Freshness::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            run: getrandom::u64().ok(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The routes, for a host that serves them by itself. Such a host guards its connections: the
    /// limits of their number and their pace are those of [`serve_tcp`](Self::serve_tcp) alone. Its
    /// clients need a token, and call it by one of [`ServerOptions::hosts`].
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/v1/{*path}", any(ask_or_record))
            .fallback(no_path)
            .method_not_allowed_fallback(wrong_method)
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .with_state(self.clone())
    }

    /// Ends the connections: answers on their way have [`ServerOptions::drain`] to arrive, and the
    /// futures of [`serve_tcp`](Self::serve_tcp) and [`serve_socket`](Self::serve_socket) end. The
    /// ledger stays open.
    pub fn stop(&self) {
        self.inner.closing.cancel();
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(crate) fn directory(&self) -> Option<&Path> {
        self.inner.directory.as_deref()
    }

    pub(crate) fn options(&self) -> &ServerOptions {
        &self.inner.options
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.inner.pools
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.inner.feed
    }

    pub(crate) fn tries(&self) -> &Tries {
        &self.inner.tries
    }

    pub(crate) fn freshness(&self) -> &Freshness {
        &self.inner.freshness
    }

    /// Runs `task` to its end, which [`stopped`](Self::stopped) waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(task);
    }

    /// Waits for the work that goes on without a connection. Call it after [`stop`](Self::stop).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// A number that no other run of a server has. None if the system has no random numbers.
    pub(crate) fn run(&self) -> Option<u64> {
        self.inner.run
    }

    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }
}

async fn ask_or_record(
    service: State<Service>,
    caller: Extension<Option<Caller>>,
    request: Request,
) -> Response {
    if request.method() == Method::POST {
        return writes::write(service, caller, request).await;
    }
    reads::read(service, caller, request).await
}

async fn no_path() -> Response {
    let text = "there is nothing at this path";
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", text).into_response()
}

async fn wrong_method() -> Response {
    Problem::method("GET").into_response()
}
