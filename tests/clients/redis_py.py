"""redis-py at real work against the server on the port given; ends with "all is well" or an error."""

import random
import sys
import threading
import time

import redis

port = int(sys.argv[1])
prefix = f"py:{random.getrandbits(32)}:"


def connect(**options):
    return redis.Redis(host="127.0.0.1", port=port, socket_timeout=60, **options)


def key(name):
    return prefix + str(name)


def same(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def values_are_binary_safe(r):
    for value in [b"", b"\x00", bytes(range(256)), b"\r\n$5\r\n", "gr\u00fc\u00df".encode(), b"x" * 100_000]:
        same(r.set(key("bin"), value), True)
        same(r.get(key("bin")), value)
        same(r.strlen(key("bin")), len(value))
    name = key("") + "key \x00\r\n \u2603"
    same(r.set(name, 1), True)
    same(r.exists(name), 1)
    same(r.delete(name), 1)


def values_may_be_large(r):
    value = random.randbytes(20_000_000)
    r.set(key("large"), value)
    same(r.get(key("large")) == value, True, "20 MB")
    same(r.getrange(key("large"), 1000, 1999), value[1000:2000])
    same(r.append(key("large"), b"tail"), len(value) + 4)
    same(r.getrange(key("large"), -4, -1), b"tail")
    r.unlink(key("large"))


def pipelines_keep_order(r):
    pipe = r.pipeline(transaction=False)
    for i in range(10_000):
        pipe.set(key(i), i)
        pipe.incr(key(i))
    replies = pipe.execute()
    same(replies[0::2], [True] * 10_000)
    same(replies[1::2], list(range(1, 10_001)))
    same(r.mget([key(i) for i in range(0, 10_000, 7)]), [str(i + 1).encode() for i in range(0, 10_000, 7)])
    pipe = r.pipeline(transaction=False)
    pipe.set(key("text"), "abc")
    pipe.incr(key("text"))
    pipe.get(key("text"))
    replies = pipe.execute(raise_on_error=False)
    same([replies[0], replies[2]], [True, b"abc"])
    same(str(replies[1]), "value is not an integer or out of range")


def scan_finds_all(r):
    found = set(r.scan_iter(match=key("*"), count=100))
    missing = {key(i).encode() for i in range(10_000)} - found
    same(missing, set())
    same(len(r.keys(key("99*"))), 111)
    gone = [k for k in found if k != key("text").encode()]
    for start in range(0, len(gone), 1000):
        r.delete(*gone[start : start + 1000])
    same(list(r.scan_iter(match=key("*"))), [key("text").encode()])


def options_and_expiry(r):
    name = key("o")
    same(r.set(name, "v", nx=True), True)
    same(r.set(name, "w", nx=True), None)
    same(r.set(name, "w", xx=True, get=True), b"v")
    same(r.set(name, "x", ex=100), True)
    same(98 <= r.ttl(name) <= 100, True, "ttl")
    same(r.set(name, "y", keepttl=True), True)
    same(98 <= r.ttl(name) <= 100, True, "kept ttl")
    same(r.persist(name), True)
    same(r.ttl(name), -1)
    same(r.getex(name, px=50_000), b"y")
    same(r.expire(name, 500, gt=True), True)
    same(r.expire(name, 400, gt=True), False)
    same(r.pexpire(name, 30), True)
    end = time.time() + 60
    while r.get(name) is not None:
        same(time.time() < end, True, "it expires")
    same(r.ttl(name), -2)
    same(r.getdel(name), None)
    same(r.setrange(name, 5, "abc"), 8)
    same(r.get(name), b"\0\0\0\0\0abc")
    same(r.incrbyfloat(key("f"), "0.1"), 0.1)
    same(r.setbit(key("bits"), 100, 1), 0)
    same(r.bitcount(key("bits")), 1)
    same(r.bitpos(key("bits"), 1), 100)
    same(r.bitfield(key("bf")).set("u8", "#1", 255).incrby("u8", "#1", 10).get("u8", 8).execute(), [0, 9, 9])
    same(r.lcs(key("text"), key("text")), b"abc")
    same(r.rename(key("text"), key("renamed")), True)
    same(r.copy(key("renamed"), key("copied")), True)
    same(r.mset({key("m1"): 1, key("m2"): 2}), True)
    same(r.msetnx({key("m2"): 3, key("m3"): 3}), False)
    same(r.get(key("m3")), None)
    same(r.type(key("m1")), b"string")
    same(r.object("encoding", key("m1")), b"int")


def errors_are_errors(r):
    r.set(key("s"), "text")
    for call in [lambda: r.incr(key("s")), lambda: r.execute_command("GET"), lambda: r.execute_command("NOSUCH")]:
        try:
            call()
        except redis.ResponseError:
            continue
        raise AssertionError("an error was expected")
    same(r.ping(), True)


def a_killed_client_comes_back(r):
    admin = connect()
    victim = connect(single_connection_client=False, client_name="victim")
    victim.set(key("back"), 1)
    ids = [c["id"] for c in admin.client_list() if c["name"] == "victim"]
    same(len(ids), 1)
    same(admin.client_kill_filter(_id=ids[0]), 1)
    same(victim.incr(key("back")), 2)


def threads_share_a_counter(r):
    def work():
        own = connect()
        for _ in range(300):
            own.incr(key("shared"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same(r.get(key("shared")), b"2400")


for protocol in (2, 3):
    r = connect(protocol=protocol)
    for work in [
        values_are_binary_safe,
        values_may_be_large,
        pipelines_keep_order,
        scan_finds_all,
        options_and_expiry,
        errors_are_errors,
        a_killed_client_comes_back,
        threads_share_a_counter,
    ]:
        work(r)
    same("redis_version" in r.info("server"), True)
    same(r.config_get("port")["port"], str(port))
    same(r.command_count() > 50, True)
    for name in list(r.scan_iter(match=key("*"))):
        r.delete(name)
print("all is well")
