//! One ledger, its pools and its routes.

use crate::{
    feed::Feed,
    follow::Freshness,
    guard::{self, Caller, Tries},
    health,
    metrics::{self, Metrics},
    observe, openapi,
    options::ServerOptions,
    pools::Pools,
    problem::Problem,
    reads,
    routes::{self, Does, ROUTES},
    source::{answers, standbys::Standbys},
    standby::Nodes,
    text::Room,
    writes,
};
use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use taskledger::{BackgroundTaskManager, Ledger};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A ledger as a server answers for it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    manager: OnceLock<Arc<BackgroundTaskManager>>,
    directory: Option<PathBuf>,
    options: ServerOptions,
    pools: Pools,
    metrics: Metrics,
    feed: Feed,
    standbys: Standbys,
    /// Sent whenever the role of the ledger may have changed.
    role_changes: watch::Sender<()>,
    tries: Tries,
    freshness: Freshness,
    closing: CancellationToken,
    tasks: TaskTracker,
    run: Option<u64>,
    nodes: OnceLock<Nodes>,
}

impl Service {
    /// Answers for `ledger`, which lies in `directory` if it lies in one. Starts nothing.
    #[must_use]
    pub fn new(ledger: Ledger, directory: Option<PathBuf>, options: ServerOptions) -> Self {
        let pools = Pools::new(&options);
        let feed = Feed::new(Room::new(&options), options.feed_bytes_max);
        let inner = Inner {
            ledger,
            manager: OnceLock::new(),
            directory,
            options,
            pools,
            metrics: Metrics::default(),
            feed,
            standbys: Standbys::default(),
            role_changes: watch::Sender::new(()),
            tries: Tries::default(),
            freshness: Freshness::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            run: getrandom::u64().ok(),
            nodes: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Hands messages, and requests to stop, to the tasks that `manager` runs: for a host that serves
    /// the ledger of its own tasks. Once; a second manager is ignored.
    ///
    /// # Panics
    /// If the manager is not bound to the ledger of this service.
    ///
    /// # Example
    /// ```
    /// use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// use taskledger_server::{Service, options::ServerOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// let manager = BackgroundTaskManager::with_ledger(ledger.clone()).await?;
    /// let service = Service::new(ledger, None, ServerOptions::default()).with_manager(manager);
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_manager(self, manager: Arc<BackgroundTaskManager>) -> Self {
        let own = self.inner.ledger.reader().ledger_id();
        let bound = manager.ledger().map(|ledger| ledger.reader().ledger_id());
        assert!(bound == Some(own), "the manager is bound to the ledger that is served");
        let _ = self.inner.manager.set(manager);
        self
    }

    /// The routes, for a host that serves them by itself. Such a host guards its connections: the
    /// limits of their number and their pace are those of [`serve_tcp`](Self::serve_tcp) alone. Its
    /// clients need a token, and call it by one of [`ServerOptions::hosts`].
    pub fn router(&self) -> Router {
        let mut router = Router::new();
        for route in ROUTES {
            router = match route.does {
                Does::Alive => router.route(route.path, get(health::alive)),
                Does::Ready => router.route(route.path, get(health::ready)),
                Does::Count => router.route(route.path, get(metrics::page)),
                Does::Ask(..)
                | Does::Describe
                | Does::Record(_)
                | Does::Standbys
                | Does::Replicate(_) => router,
            };
        }
        router
            .route("/v1/{*path}", any(ask_or_record))
            .fallback(no_path)
            .method_not_allowed_fallback(wrong_method)
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .layer(middleware::from_fn_with_state(self.clone(), observe::observe))
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

    pub(crate) fn manager(&self) -> Option<&Arc<BackgroundTaskManager>> {
        self.inner.manager.get()
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

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.inner.feed
    }

    pub(crate) fn standbys(&self) -> &Standbys {
        &self.inner.standbys
    }

    /// Says that the role of the ledger may have changed.
    pub(crate) fn role_changed(&self) {
        self.inner.role_changes.send_replace(());
    }

    /// Changes with each [`role_changed`](Self::role_changed).
    pub(crate) fn role_changes(&self) -> watch::Receiver<()> {
        self.inner.role_changes.subscribe()
    }

    pub(crate) fn tries(&self) -> &Tries {
        &self.inner.tries
    }

    pub(crate) fn freshness(&self) -> &Freshness {
        &self.inner.freshness
    }

    /// The other nodes of the ledger.
    pub(crate) fn nodes(&self) -> &Nodes {
        self.inner.nodes.get_or_init(|| Nodes::new(&self.inner.ledger, Vec::new()))
    }

    pub(crate) fn set_nodes(&self, nodes: Nodes) {
        let _ = self.inner.nodes.set(nodes);
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
    match routes::find(request.method(), request.uri().path()) {
        Ok(route) => match route.does {
            Does::Record(what) => writes::write(service, caller, what, request).await,
            Does::Describe => openapi::describe(&caller),
            Does::Standbys => answers::standbys(service, caller, request).await,
            Does::Replicate(what) => answers::replicate(service, caller, what, request).await,
            Does::Ask(..) | Does::Alive | Does::Ready | Does::Count => {
                reads::read(service, caller, request).await
            }
        },
        Err(problem) => problem.into_response(),
    }
}

async fn no_path() -> Response {
    routes::no_path().into_response()
}

async fn wrong_method() -> Response {
    Problem::method("GET").into_response()
}

#[cfg(test)]
mod tests;
