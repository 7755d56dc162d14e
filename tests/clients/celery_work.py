"""What Celery does with a Redis broker and result store: celery_work.py PORT new|old. Prints each check that has
passed.

A worker runs in a thread of its own; tasks come over BRPOP, results over pub/sub and MULTI. Ends with a traceback at the
first that has not passed. Never uses scripts: the one that Celery has, in a lock, is replaced by WATCH and MULTI.
"""

import contextlib
import sys
import threading
import time
import uuid
import warnings

import kombu.transport.redis
import redis
from celery import Celery, chain, chord, group
from celery.contrib.testing.worker import start_worker
from celery.exceptions import TaskRevokedError

warnings.simplefilter("ignore")
PORT = int(sys.argv[1])
WAIT = 60


@contextlib.contextmanager
def mutex(client, name, expire):
    """The lock for giving back what dead workers took; redis-py's own lets go of it with a script."""
    me = uuid.uuid4().hex.encode()
    if not client.set(name, me, nx=True, ex=int(expire)):
        raise kombu.transport.redis.MutexHeld()
    try:
        yield
    finally:
        with client.pipeline(True) as pipe:
            try:
                pipe.watch(name)
                if pipe.get(name) == me:
                    pipe.multi()
                    pipe.delete(name)
                    pipe.execute()
            except redis.WatchError:
                pass


kombu.transport.redis.Mutex = mutex
app = Celery("work", broker=f"redis://127.0.0.1:{PORT}/1", backend=f"redis://127.0.0.1:{PORT}/2")
app.conf.update(
    task_track_started=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    result_expires=300,
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    broker_transport_options={"priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority"},
)
times = {}


@app.task(name="add")
def add(a, b):
    return a + b


@app.task(name="total")
def total(numbers):
    return sum(numbers)


@app.task(name="stumble", bind=True, max_retries=5)
def stumble(self, name):
    times[name] = times.get(name, 0) + 1
    if times[name] < 3:
        raise self.retry(countdown=0.05)
    return times[name]


@app.task(name="fail")
def fail(text):
    raise ValueError(text)


def results():
    assert add.delay(2, 3).get(timeout=WAIT) == 5
    waiting = [add.delay(n, n) for n in range(200)]
    assert [result.get(timeout=WAIT) for result in waiting] == [2 * n for n in range(200)]
    big = "x" * 1_000_000
    assert add.delay(big, "y").get(timeout=WAIT) == big + "y"


def failures():
    result = fail.delay("on purpose")
    try:
        result.get(timeout=WAIT)
    except ValueError as error:
        assert str(error) == "on purpose"
    else:
        raise AssertionError("no error came back")
    assert result.state == "FAILURE"


def retries():
    assert stumble.delay("first").get(timeout=WAIT) == 3


def chains():
    assert chain(add.s(1, 2), add.s(4), add.s(10)).apply_async().get(timeout=WAIT) == 17


def groups():
    outcome = group(add.s(n, 1) for n in range(30)).apply_async()
    assert outcome.get(timeout=WAIT) == list(range(1, 31))


def chords():
    assert chord((add.s(n, n) for n in range(20)), total.s()).apply_async().get(timeout=WAIT) == 380


def later():
    begin = time.monotonic()
    assert add.apply_async((1, 1), countdown=0.3).get(timeout=WAIT) == 2
    assert time.monotonic() - begin >= 0.3


def priorities():
    waiting = [add.apply_async((n, 0), priority=n % 10) for n in range(40)]
    assert [result.get(timeout=WAIT) for result in waiting] == list(range(40))


def revocation():
    # The worker hears of it long before the task is due, and drops it then.
    result = add.apply_async((1, 1), countdown=1)
    result.revoke()
    try:
        result.get(timeout=WAIT)
    except TaskRevokedError:
        pass
    else:
        raise AssertionError("a revoked task ran")


def inspection():
    # A question to all workers and their answers: pub/sub, and a queue of its own.
    replies = app.control.ping(timeout=WAIT, limit=1)
    assert len(replies) == 1 and list(replies[0].values()) == [{"ok": "pong"}], replies
    assert "add" in next(iter(app.control.inspect(timeout=WAIT, limit=1).registered().values()))


def producers():
    failures = []

    def produce(me):
        try:
            waiting = [add.delay(me, n) for n in range(30)]
            assert [result.get(timeout=WAIT) for result in waiting] == [me + n for n in range(30)]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=produce, args=(me,), daemon=True) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * WAIT)
        assert not thread.is_alive(), "a producer hangs"
    assert not failures, failures


CHECKS = {
    "results": results,
    "failures": failures,
    "retries": retries,
    "chains": chains,
    "groups": groups,
    "chords": chords,
    "later": later,
    "priorities": priorities,
    "revocation": revocation,
    "inspection": inspection,
    "producers": producers,
}

with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False, shutdown_timeout=30):
    for name, check in CHECKS.items():
        check()
        print(name, flush=True)

# Every message was taken and acknowledged; every result has an end.
broker, store = (redis.Redis(host="127.0.0.1", port=PORT, db=db) for db in (1, 2))
assert broker.llen("celery") == 0 and broker.hlen("unacked") == 0, broker.hgetall("unacked")
kept = store.keys("celery-task-meta-*")
assert len(kept) > 100 and all(0 < store.ttl(key) <= 300 for key in kept)
print("nothing is left")
