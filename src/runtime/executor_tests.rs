//! Tasks, wakes, answers, sleeps and the bound of the executor.

use super::*;
use std::cell::Cell;
use std::sync::atomic::AtomicUsize;

fn executor(limit: usize) -> (Executor, Arc<AtomicUsize>) {
    let rings = Arc::new(AtomicUsize::new(0));
    let counted = rings.clone();
    (Executor::new(limit, move || _ = counted.fetch_add(1, Ordering::SeqCst)), rings)
}

#[test]
fn an_answer_wakes_the_asker() {
    let (mut executor, rings) = executor(4);
    let (answer, awaiting) = oneshot();
    let got = Rc::new(Cell::new(None));
    let seen = got.clone();
    executor.spawn(async move { seen.set(Some(awaiting.await)) }).unwrap();
    assert_eq!((executor.run_ready(10), executor.run_ready(10), executor.has_ready()), (1, 0, false));
    assert_eq!(got.get(), None);
    answer.send(7);
    assert!(executor.has_ready());
    assert_eq!((executor.run_ready(10), got.get(), executor.len()), (1, Some(Ok(7)), 0));
    assert_eq!(rings.load(Ordering::SeqCst), 0);
}

#[test]
fn a_dropped_answer_is_told_and_an_abandoned_one_is_seen() {
    let (mut executor, _) = executor(4);
    let (answer, awaiting) = oneshot::<u8>();
    let got = Rc::new(Cell::new(None));
    let seen = got.clone();
    executor.spawn(async move { seen.set(Some(awaiting.await)) }).unwrap();
    executor.run_ready(1);
    drop(answer);
    executor.run_ready(1);
    assert_eq!(got.get(), Some(Err(NoAnswer)));
    let (answer, awaiting) = oneshot::<u8>();
    assert!(!answer.is_abandoned());
    drop(awaiting);
    assert!(answer.is_abandoned());
    answer.send(1);
}

#[test]
fn sleeps_end_in_order_of_their_deadlines() {
    let (mut executor, _) = executor(8);
    let order = Rc::new(RefCell::new(Vec::new()));
    for at in [30, 10, 20] {
        let (handle, order) = (executor.handle(), order.clone());
        executor
            .spawn(async move {
                handle.sleep_until(at).await;
                order.borrow_mut().push(at);
                handle.sleep_until(at + 100).await;
                order.borrow_mut().push(at + 100);
            })
            .unwrap();
    }
    executor.run_ready(100);
    assert_eq!(executor.next_deadline(), Some(10));
    executor.fire_timers(20);
    executor.run_ready(100);
    assert_eq!((order.borrow().clone(), executor.next_deadline()), (vec![10, 20], Some(30)));
    executor.fire_timers(1000);
    executor.run_ready(100);
    executor.fire_timers(1000);
    executor.run_ready(100);
    assert_eq!((executor.len(), order.borrow().last().copied()), (0, Some(130)));
}

#[test]
fn a_dropped_sleep_leaves_no_timer() {
    let (mut executor, _) = executor(1);
    let handle = executor.handle();
    executor
        .spawn(async move {
            let mut sleep = Box::pin(handle.sleep_until(5));
            std::future::poll_fn(|context| {
                assert!(sleep.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        })
        .unwrap();
    executor.run_ready(1);
    assert_eq!((executor.next_deadline(), executor.len()), (None, 0));
}

#[test]
fn the_limit_holds_and_slots_are_reused() {
    let (mut executor, _) = executor(2);
    for _ in 0..3 {
        let (first, awaiting) = oneshot::<()>();
        executor.spawn(async move { _ = awaiting.await }).unwrap();
        executor.spawn(async {}).unwrap();
        assert_eq!(executor.spawn(async {}), Err(TooManyTasks));
        executor.run_ready(10);
        assert_eq!(executor.len(), 1);
        let handle = executor.handle();
        executor.spawn(async move { assert_eq!(handle.spawn(async {}), Err(TooManyTasks)) }).unwrap();
        executor.run_ready(10);
        first.send(());
        executor.run_ready(10);
        assert!(executor.is_empty());
    }
}

#[test]
fn the_budget_is_kept_and_a_task_that_wakes_itself_does_not_starve_others() {
    let (mut executor, _) = executor(4);
    let other = Rc::new(Cell::new(0));
    executor
        .spawn(async {
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await
        })
        .unwrap();
    let seen = other.clone();
    executor.spawn(async move { seen.set(1) }).unwrap();
    assert_eq!(executor.run_ready(3), 3);
    assert_eq!(other.get(), 1);
}

#[test]
fn a_wake_from_another_thread_rings_once() {
    let (mut executor, rings) = executor(1);
    let slot = Arc::new(Mutex::new(None));
    let place = slot.clone();
    let mut polls = 0;
    executor
        .spawn(std::future::poll_fn(move |context| {
            *place.lock().unwrap() = Some(context.waker().clone());
            polls += 1;
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        }))
        .unwrap();
    executor.run_ready(1);
    let waker = slot.lock().unwrap().take().unwrap();
    let woken = waker.clone();
    std::thread::spawn(move || {
        woken.wake_by_ref();
        woken.wake();
    })
    .join()
    .unwrap();
    assert_eq!(rings.load(Ordering::SeqCst), 1);
    assert_eq!((executor.run_ready(10), executor.len()), (1, 0));
    waker.wake();
    assert!(!executor.has_ready());
}
