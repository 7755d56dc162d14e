//! Tasks off the hot path of one core: replication, cluster, background commands. Commands never run here, and a
//! task that waits costs nothing until it is woken. Bounded: `spawn` refuses beyond the limit.
//!
//! Tasks are woken mostly on their own core: an answer came by message ([`oneshot`]), a timer fired
//! ([`Handle::sleep_until`]). A wake from another thread works too and rings the core's doorbell.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;

use super::timer::{TimerId, Timers};

/// The limit of tasks is reached; try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tasks")]
pub struct TooManyTasks;

/// Whoever was to answer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer will come")]
pub struct NoAnswer;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Runs the tasks of one core.
pub struct Executor {
    handle: Handle,
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    task: Option<Task>,
    waker: Option<Arc<TaskWaker>>,
}

/// Spawns and sleeps; cheap to clone into tasks.
#[derive(Clone)]
pub struct Handle(Rc<Shared>);

struct Shared {
    ready: Arc<Ready>,
    timers: RefCell<Timers<Waker>>,
    fresh: RefCell<VecDeque<Task>>,
    free: RefCell<Vec<usize>>,
    limit: usize,
}

/// Indices of woken tasks. Behind a mutex only because a `Waker` may travel to another thread.
struct Ready {
    queue: Mutex<VecDeque<usize>>,
    home: ThreadId,
    ring: Box<dyn Fn() + Send + Sync>,
}

impl Ready {
    fn queue(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    index: usize,
    /// Already in the queue. Stays set once the task is over, so late wakes do nothing.
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.queue().push_back(self.index);
            if std::thread::current().id() != self.ready.home {
                (self.ready.ring)();
            }
        }
    }
}

impl Executor {
    /// At most `limit` tasks. `ring` wakes this core when another thread wakes a task; it may be called from any.
    pub fn new(limit: usize, ring: impl Fn() + Send + Sync + 'static) -> Executor {
        let ready = Ready { queue: Mutex::default(), home: std::thread::current().id(), ring: Box::new(ring) };
        let shared = Shared {
            ready: Arc::new(ready),
            timers: RefCell::default(),
            fresh: RefCell::default(),
            free: RefCell::new((0..limit).rev().collect()),
            limit,
        };
        Executor { handle: Handle(Rc::new(shared)), slots: Vec::new() }
    }

    /// A handle for spawning and sleeping.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Starts a task; it first runs in the next [`Executor::run_ready`].
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Result<(), TooManyTasks> {
        self.handle.spawn(task)
    }

    /// Whether [`Executor::run_ready`] has something to run.
    pub fn has_ready(&self) -> bool {
        !self.handle.0.fresh.borrow().is_empty() || !self.handle.0.ready.queue().is_empty()
    }

    /// When the next sleeping task wants to be woken.
    pub fn next_deadline(&self) -> Option<u64> {
        self.handle.0.timers.borrow().next_deadline()
    }

    /// Tasks not over yet.
    pub fn len(&self) -> usize {
        self.handle.len()
    }

    /// No task is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes the tasks whose sleep is over.
    pub fn fire_timers(&mut self, now_ms: u64) {
        loop {
            let due = self.handle.0.timers.borrow_mut().pop_due(now_ms);
            let Some(waker) = due else { return };
            waker.wake();
        }
    }

    /// Polls at most `budget` tasks that are new or were woken. Returns how many.
    pub fn run_ready(&mut self, budget: usize) -> usize {
        let mut polled = 0;
        while polled < budget {
            self.adopt_fresh();
            let next = self.handle.0.ready.queue().pop_front();
            let Some(index) = next else { break };
            self.poll(index);
            polled += 1;
        }
        polled
    }

    fn adopt_fresh(&mut self) {
        loop {
            let fresh = self.handle.0.fresh.borrow_mut().pop_front();
            let Some(task) = fresh else { return };
            let index = self.handle.0.free.borrow_mut().pop().expect("spawn counted a free slot");
            if self.slots.len() <= index {
                self.slots.resize_with(index + 1, Slot::default);
            }
            let ready = self.handle.0.ready.clone();
            let waker = Arc::new(TaskWaker { index, queued: AtomicBool::new(false), ready });
            waker.wake_by_ref();
            self.slots[index] = Slot { task: Some(task), waker: Some(waker) };
        }
    }

    fn poll(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let (Some(task), Some(waker)) = (&mut slot.task, &slot.waker) else { return };
        waker.queued.store(false, Ordering::Release);
        let waker = waker.clone();
        let outcome = task.as_mut().poll(&mut Context::from_waker(&Waker::from(waker.clone())));
        if outcome.is_ready() {
            if waker.queued.swap(true, Ordering::AcqRel) {
                // Woken while it ended: the slot may be given away only once that entry is gone.
                self.handle.0.ready.queue().retain(|queued| *queued != index);
            }
            *slot = Slot::default();
            self.handle.0.free.borrow_mut().push(index);
        }
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executor({} tasks)", self.len())
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({} tasks)", self.len())
    }
}

impl Handle {
    /// As [`Executor::spawn`], also from inside a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Result<(), TooManyTasks> {
        let mut fresh = self.0.fresh.borrow_mut();
        if fresh.len() >= self.0.free.borrow().len() {
            return Err(TooManyTasks);
        }
        fresh.push_back(Box::pin(task));
        Ok(())
    }

    /// Waits until `at_ms`, on the clock given to [`Executor::fire_timers`].
    pub fn sleep_until(&self, at_ms: u64) -> Sleep {
        Sleep { at_ms, shared: self.0.clone(), timer: None }
    }

    fn len(&self) -> usize {
        self.0.limit - self.0.free.borrow().len() + self.0.fresh.borrow().len()
    }
}

/// See [`Handle::sleep_until`]. Dropping it cancels the timer.
pub struct Sleep {
    at_ms: u64,
    shared: Rc<Shared>,
    timer: Option<TimerId>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.clone();
        let mut timers = shared.timers.borrow_mut();
        if self.timer.take().is_some_and(|timer| timers.cancel(timer).is_none()) {
            return Poll::Ready(());
        }
        self.timer = Some(timers.insert(self.at_ms, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.shared.timers.borrow_mut().cancel(timer);
        }
    }
}

struct OneShot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    answered: bool,
}

/// The answering half of [`oneshot`]. Dropping it unanswered wakes the asker with [`NoAnswer`].
pub struct Answer<T>(Rc<RefCell<OneShot<T>>>);

/// The waiting half of [`oneshot`]: a future of the answer.
pub struct Awaiting<T>(Rc<RefCell<OneShot<T>>>);

/// A place for one value, both ends on the same core: a task awaits what a message handler will bring.
pub fn oneshot<T>() -> (Answer<T>, Awaiting<T>) {
    let shared = Rc::new(RefCell::new(OneShot { value: None, waker: None, answered: false }));
    (Answer(shared.clone()), Awaiting(shared))
}

impl<T> Answer<T> {
    /// Gives the answer. Lost if nobody waits any more.
    pub fn send(self, value: T) {
        self.0.borrow_mut().value = Some(value);
    }

    /// Whether the asker gave up.
    pub fn is_abandoned(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shared = self.0.borrow_mut();
            shared.answered = true;
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Awaiting<T> {
    type Output = Result<T, NoAnswer>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.0.borrow_mut();
        match (shared.value.take(), shared.answered) {
            (Some(value), _) => Poll::Ready(Ok(value)),
            (None, true) => Poll::Ready(Err(NoAnswer)),
            (None, false) => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
