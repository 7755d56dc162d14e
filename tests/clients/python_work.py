"""What an application does with redis-py: python_work.py PORT new|old. Prints each check that has passed.

Ends with a traceback at the first that has not. Never retries a check.
"""

import random
import sys
import threading
import time

import redis

PORT = int(sys.argv[1])
# Redis 7.0 knows nothing of libraries' names.
KNOWS_LIBRARIES = sys.argv[2] == "new"


def connect(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, socket_timeout=30, **options)


def handshake():
    client = connect(protocol=2, client_name="visitor", db=3)
    assert client.ping() is True
    info = client.client_info()
    assert info["name"] == "visitor" and info["db"] == 3, info
    if KNOWS_LIBRARIES:
        assert info["lib-name"].startswith("redis-py"), info
        assert info["lib-ver"] == redis.__version__, info
    assert client.client_getname() in ("visitor", b"visitor")
    named = [c for c in client.client_list() if c["name"] == "visitor"]
    assert len(named) == 1 and named[0]["id"] == str(client.client_id()), named
    assert client.info("server")["redis_mode"] == "standalone"
    assert isinstance(client.info()["used_memory"], int)
    assert client.config_get("databases") == {"databases": "16"}
    assert client.command_count() > 50
    assert client.command_getkeys("MSET", "a", "1", "b", "2") in (["a", "b"], [b"a", b"b"])
    assert "get" in client.command()


def protocols():
    for protocol in (2, 3):
        client = connect(protocol=protocol, decode_responses=True)
        hello = client.execute_command("HELLO")
        if isinstance(hello, list):
            hello = dict(zip(hello[::2], hello[1::2]))
        assert hello["proto"] == protocol, hello
        if KNOWS_LIBRARIES:
            assert client.client_info()["lib-name"].startswith("redis-py")
        assert client.set("key", "größe") is True
        assert client.get("key") == "größe"
        assert client.get("none") is None
        assert client.mget("none", "key") == [None, "größe"]
        assert client.set("key", "again", get=True) == "größe"
        assert client.set("key", "never", nx=True) is None
        assert client.incrbyfloat("float", 2.5) == 2.5
        assert client.config_get("maxclients*").keys() == {"maxclients"}
        assert client.memory_usage("key") > 5
        assert client.object("encoding", "key") == "embstr"
        assert client.exists("key", "none", "key") == 2
        assert client.delete("key", "float") == 2
        client.close()


def pipelines():
    client = connect()
    with client.pipeline(transaction=False) as pipe:
        for n in range(5000):
            pipe.set(f"pipe:{n}", n)
            pipe.incrby(f"pipe:{n}", n)
            pipe.get(f"pipe:{n}")
        replies = pipe.execute()
    for n in range(5000):
        assert replies[3 * n : 3 * n + 3] == [True, 2 * n, str(2 * n).encode()], n
    with client.pipeline(transaction=False) as pipe:
        replies = pipe.set("text", "x").incr("text").get("text").execute(raise_on_error=False)
    assert replies[0] is True and replies[2] == b"x", replies
    assert str(replies[1]) == "value is not an integer or out of range", replies
    assert client.dbsize() == 5001
    assert client.flushdb() is True and client.dbsize() == 0


def several_keys():
    client = connect()
    values = {f"many:{n}": f"value {n}".encode() for n in range(1000)}
    assert client.mset(values) is True
    keys = list(values)
    random.Random(1).shuffle(keys)
    assert client.mget(keys + ["none"]) == [values[k] for k in keys] + [None]
    assert client.exists(*keys) == 1000
    assert client.touch(*keys[:10]) == 10
    assert client.msetnx({"many:0": 1, "fresh": 1}) is False and client.exists("fresh") == 0
    assert client.msetnx({"fresh:1": 1, "fresh:2": 2}) is True
    assert client.rename("fresh:1", "fresh:3") is True and client.get("fresh:3") == b"1"
    assert client.copy("fresh:3", "fresh:4") is True and client.get("fresh:4") == b"1"
    assert client.unlink(*keys[:500]) == 500
    assert client.delete(*keys[500:], "fresh:2", "fresh:3", "fresh:4") == 503
    assert client.dbsize() == 0


def all_bytes():
    client = connect()
    everything = bytes(range(256))
    client.set(everything, everything * 2)
    assert client.get(everything) == everything * 2
    assert client.keys() == [everything]
    client.set(b"", b"")
    assert client.get(b"") == b"" and client.exists(b"") == 1
    client.append(everything, b"\r\n$5\r\n")
    assert client.get(everything) == everything * 2 + b"\r\n$5\r\n"
    assert client.setrange(everything, 1, b"\xff\xfe") == 518
    assert client.getrange(everything, 0, 3) == b"\x00\xff\xfe\x03"
    assert client.echo(everything) == everything
    client.flushdb()


def large_values():
    client = connect()
    values = [random.Random(seed).randbytes(5 * 1024 * 1024) for seed in range(3)]
    for n, value in enumerate(values):
        client.set(f"large:{n}", value)
    assert client.mget("large:0", "large:1", "large:2") == values
    with client.pipeline(transaction=False) as pipe:
        for n in range(3):
            pipe.get(f"large:{n}").strlen(f"large:{n}").ping()
        replies = pipe.execute()
    assert replies[0::3] == values and replies[1::3] == [5 * 1024 * 1024] * 3
    assert client.append("large:0", b"end") == 5 * 1024 * 1024 + 3
    assert client.getrange("large:0", -5, -1) == values[0][-2:] + b"end"
    client.flushdb()


def expiry():
    client = connect()
    client.set("hour", 1, ex=3600)
    assert 3590 < client.ttl("hour") <= 3600
    client.set("brief", 1, px=30)
    client.set("brief too", 1)
    assert client.pexpire("brief too", 30) is True
    at = int(time.time()) + 1000
    assert client.expireat("hour", at) is True and client.expiretime("hour") == at
    assert client.expire("hour", 5, gt=True) in (0, False)
    assert client.persist("hour") is True and client.ttl("hour") == -1
    assert client.getex("hour", ex=100) == b"1" and client.ttl("hour") > 90
    assert client.ttl("none") == -2
    deadline = time.monotonic() + 30
    # DBSIZE alone: nothing here reads the keys, the server removes them on its own.
    while client.dbsize() != 1:
        assert time.monotonic() < deadline, "expired keys stay"
        time.sleep(0.01)
    assert client.mget("brief", "brief too") == [None, None]
    client.flushdb()


def bits():
    client = connect()
    field = client.bitfield("bits", default_overflow="SAT")
    assert field.set("u8", "#0", 250).incrby("u8", "#0", 10).get("i4", 0).execute() == [0, 255, -1]
    assert client.bitfield("bits").incrby("u8", 0, 2, overflow="FAIL").execute() == [None]
    assert client.bitfield("bits").incrby("u8", 0, 2, overflow="WRAP").execute() == [1]
    assert client.bitfield_ro("bits", "u8", 0) == [1]
    assert client.setbit("bits", 99, 1) == 0 and client.getbit("bits", 99) == 1
    assert client.bitcount("bits") == 2 and client.bitpos("bits", 1) == 7
    assert client.bitcount("bits", 8, 99, mode="BIT") == 1
    client.set("left", b"\xf0\xff")
    client.set("right", b"\x3c")
    assert client.bitop("AND", "both", "left", "right") == 2 and client.get("both") == b"\x30\x00"
    assert client.bitop("NOT", "other", "left") == 2 and client.get("other") == b"\x0f\x00"
    client.flushdb()


def scan():
    client = connect()
    keys = {f"scan:{n}".encode() for n in range(5000)}
    client.mset({key: 1 for key in keys})
    client.set("stranger", 1)
    seen = list(client.scan_iter(match="scan:*", count=100))
    assert set(seen) == keys and len(seen) == 5000
    # Keys that stay are seen although others come and go.
    seen = set()
    for n, key in enumerate(client.scan_iter(count=50, _type="string")):
        seen.add(key)
        if n % 10 == 0:
            client.set(f"new:{n}", 1)
            client.delete(f"new:{n - 100}")
    assert keys < seen
    cursor, some = client.scan(0, count=10)
    assert cursor != 0 and some
    client.flushdb()


def errors():
    client = connect()
    client.set("text", "x")
    for args, text in [
        (("INCR", "text"), "value is not an integer or out of range"),
        (("GET",), "wrong number of arguments for 'get' command"),
        (("NOSUCH", "a"), "unknown command 'NOSUCH', with args beginning with: 'a' "),
        (("SET", "text", "y", "NOPE"), "syntax error"),
    ]:
        try:
            client.execute_command(*args)
        except redis.ResponseError as error:
            assert str(error).strip() == text.strip(), (args, str(error))
        else:
            raise AssertionError(args)
    assert client.get("text") == b"x"
    client.flushdb()


def reconnect():
    client = connect(client_name="phoenix", single_connection_client=True)
    client.set("ashes", 1)
    before = client.client_id()
    assert client.client_kill_filter(_id=before, skipme=False) == 1
    assert client.get("ashes") == b"1"
    assert client.client_id() > before and client.client_getname() in ("phoenix", b"phoenix")
    # Killed by another, in the middle of what it does.
    other = connect()
    before = client.client_id()
    assert other.client_kill_filter(_id=before) == 1
    assert client.incr("ashes") == 2 and client.client_id() != before
    assert other.client_kill_filter(_id=before) == 0
    client.flushdb()


def threads():
    pool = redis.BlockingConnectionPool(host="127.0.0.1", port=PORT, max_connections=10, timeout=30)
    failures = []

    def work(me):
        try:
            client = redis.Redis(connection_pool=pool)
            for n in range(200):
                client.incr("threads:total")
                client.set(f"threads:{me}", n)
                assert client.get(f"threads:{me}") == str(n).encode(), (me, n)
            client.delete(f"threads:{me}")
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(me,), daemon=True) for me in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(50)
        assert not worker.is_alive(), "a thread hangs"
    assert not failures, failures
    client = redis.Redis(connection_pool=pool)
    assert client.get("threads:total") == b"4000"
    pool.disconnect()


CHECKS = {
    "handshake": handshake,
    "protocols": protocols,
    "pipelines": pipelines,
    "several keys": several_keys,
    "bytes": all_bytes,
    "large values": large_values,
    "expiry": expiry,
    "bits": bits,
    "scan": scan,
    "errors": errors,
    "reconnect": reconnect,
    "threads": threads,
}

for name, check in CHECKS.items():
    check()
    print(name, flush=True)
