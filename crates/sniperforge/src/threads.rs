//! The thread that trades, and those that make ready for it.
//!
//! # Design
//! Reading a command line and a configuration, unlocking a key, connecting and replaying go deep and take much memory, once.
//! Pages that a stack has touched stay with it for as long as its thread lives, and the holes that a thread leaves in its
//! heap serve whoever comes after it in that heap alone. So all of that is done on threads that end, and when everything is
//! ready another goes on with the same event loop: a megabyte and a half is used again that would be carried about for ever.

use std::future::Future;
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Address space of either stack; what is not touched is no memory.
const STACK: usize = 8 << 20;

/// Does something on a thread that ends.
pub(crate) fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    scope(|threads| joined(threads.spawn(work)))
}

/// For saying that all is ready.
pub(crate) struct Ready(oneshot::Sender<()>);

impl Ready {
    /// What follows runs on the thread that stays. Nobody waits for that.
    pub(crate) fn tell(self) {
        self.0.send(()).ok();
    }
}

/// Carries a run out, the whole hot path of it on one thread.
///
/// # Errors
///
/// Those of the run, and threads that the system does not give.
pub(crate) fn on_one_thread<T: Send + 'static, F>(
    begin: impl FnOnce(Ready) -> F + Send,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = &runtime.context("start the event loop")?;
    let (tell, ready) = oneshot::channel();
    #[expect(clippy::async_yields_async, reason = "what is waited for is that the run is ready")]
    let start = async move {
        // A task among the others: the loop would ask the system for news before it gave the main future its turn.
        let run = tokio::spawn(begin(Ready(tell)));
        // An error is a run that has ended before.
        ready.await.ok();
        run
    };
    let ended = scope(|threads| {
        let run = joined(spawn(threads, "start", runtime, start)?);
        anyhow::Ok(joined(spawn(threads, "trade", runtime, run)?))
    })?;
    ended.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(ended) => Err(ended).context("run the event loop"),
    })
}

fn spawn<'scope, 'env, T: Send + 'scope>(
    threads: &'scope Scope<'scope, 'env>,
    name: &str,
    runtime: &'env Runtime,
    future: impl Future<Output = T> + Send + 'scope,
) -> anyhow::Result<ScopedJoinHandle<'scope, T>> {
    Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn_scoped(threads, move || runtime.block_on(future))
        .with_context(|| format!("start the thread {name:?}"))
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
