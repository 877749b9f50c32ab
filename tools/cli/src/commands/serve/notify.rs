//! Tells the service manager how the server is: that it listens, that it is alive, that it stops.
//!
//! A datagram at `NOTIFY_SOCKET` (`sd_notify`(3)). Without one, nothing is told.

use sd_notify::NotifyState;
use std::{convert::Infallible, env, future::pending, time::Duration};
use taskledger_server::Service;
use tokio::time::{MissedTickBehavior, interval};

/// The pause between two looks at the server, unless the watchdog wants one sooner.
const PAUSE: Duration = Duration::from_secs(5);

/// Says that the server listens.
pub fn listening() {
    tell(&[NotifyState::Ready]);
}

/// Says that the server stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing the answers on their way")]);
}

/// Says again and again that the server is alive, for as long as it can do its work, and tells when it
/// cannot. It runs where requests are answered: while those stand still, nothing is said.
///
/// # Cancel safety
/// Cancel safe.
pub async fn watch(service: &Service, name: &str) -> Infallible {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return pending().await;
    }
    keep_telling(service, name, sd_notify::watchdog_enabled(), tell).await
}

async fn keep_telling(
    service: &Service,
    name: &str,
    longest: Option<Duration>,
    mut tell: impl FnMut(&[NotifyState<'_>]),
) -> Infallible {
    let pause = longest.map_or(PAUSE, |longest| (longest / 2).min(PAUSE));
    let mut looks = interval(pause.max(Duration::from_millis(1)));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        looks.tick().await;
        let why = service.not_ready();
        if told != Some(why) {
            let status = why.map_or_else(|| format!("serving ledger {name}"), str::to_owned);
            tell(&[NotifyState::Status(&status)]);
            told = Some(why);
        }
        if why.is_none() && longest.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, sync::mpsc, thread};
    use taskledger::{Ledger, Options};
    use taskledger_server::options::ServerOptions;
    use tokio::{runtime, select, sync::oneshot, time::timeout};

    /// Longer than anything takes here.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_do_its_work_is_not_said_to_be_alive() {
        let ledger = Ledger::in_memory(Options::default()).unwrap();
        let service = Service::new(ledger.clone(), None, ServerOptions::default());
        let told = RefCell::new(Vec::new());
        let tell = |states: &[NotifyState<'_>]| {
            told.borrow_mut().extend(states.iter().map(ToString::to_string));
        };
        let watchdog = Some(Duration::from_secs(4));
        let mut watched = std::pin::pin!(keep_telling(&service, "x", watchdog, tell));
        let _ = timeout(Duration::from_secs(9), watched.as_mut()).await;
        let alive = ["STATUS=serving ledger x", "WATCHDOG=1", "WATCHDOG=1"];
        assert!(told.borrow().iter().map(String::as_str).take(3).eq(alive), "{told:?}");
        let pings = told.borrow().iter().filter(|told| *told == "WATCHDOG=1").count();
        assert_eq!(pings, 5, "at 0, 2, 4, 6 and 8 s: {told:?}");
        let closed = std::thread::spawn(move || ledger.close_blocking()).join();
        closed.unwrap().unwrap();
        told.borrow_mut().clear();
        let _ = timeout(Duration::from_mins(1), watched.as_mut()).await;
        assert_eq!(*told.borrow(), ["STATUS=the ledger is halted: open it again"]);
    }

    /// A thread of its own would say so all the same.
    #[test]
    fn a_server_whose_threads_hang_is_not_said_to_be_alive() {
        let ledger = Ledger::in_memory(Options::default()).unwrap();
        let service = Service::new(ledger, None, ServerOptions::default());
        let mut runtime = runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        thread::scope(|scope| {
            scope.spawn(|| {
                // As serving does: the future is not on a thread that answers.
                runtime.block_on(async {
                    let tell = |_: &[NotifyState<'_>]| tell.send(()).unwrap_or_default();
                    let often = Some(Duration::from_millis(2));
                    let watched = keep_telling(&service, "x", often, tell);
                    select! { never = watched => match never {}, _ = stopped => {} }
                });
            });
            let is_told = |longest| told.recv_timeout(longest).is_ok();
            assert!((0..4).all(|_| is_told(PATIENCE)));
            let (hang, hangs) = mpsc::channel::<()>();
            let (ready, is_hung) = mpsc::channel();
            handle.spawn(async move {
                let _ = ready.send(());
                let _ = hangs.recv(); // the one thread that answers
            });
            is_hung.recv_timeout(PATIENCE).unwrap();
            // One that was about to be told; then none for as long as 25 take otherwise.
            let more = (0..25).take_while(|_| is_told(Duration::from_millis(50))).count();
            drop(hang);
            assert!(more < 4, "{more} times while nobody was answered");
            assert!((0..4).all(|_| is_told(PATIENCE)));
            let _ = stop.send(());
        });
    }
}
