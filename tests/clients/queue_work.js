// A job queue as BullMQ keeps it, without scripts, over ioredis: queue_work.js FOLDER-OF-IOREDIS PORT new|old. A list
// of waiting jobs and one of active ones, sorted sets of delayed, prioritized and completed ones, a hash per job and a
// stream of events. Prints each check that has passed. Never retries a check.
"use strict";

const assert = require("node:assert/strict");
const run = require("./checks.js");
const [folder, portText] = process.argv.slice(2);
const { Redis } = require(folder);
const port = Number(portText);
const JOBS = 300;
const key = (name) => `bull:{mail}:${name}`;
// Jobs and events under names that lie on shards of their own: MULTI spans them.
const far = (name) => `bull:mail:${name}`;

const clients = [];
function connect() {
    const client = new Redis({ host: "127.0.0.1", port });
    clients.push(client);
    return client;
}

async function add(client, name, options = {}) {
    const id = await client.incr(key("id"));
    const multi = client.multi();
    multi.hset(far(`job:${id}`), { name, data: JSON.stringify({ name }), attempts: 0, timestamp: Date.now() });
    if (options.delay) multi.zadd(key("delayed"), Date.now() + options.delay, id);
    else if (options.priority) multi.zadd(key("prioritized"), options.priority, id);
    else multi.lpush(key("wait"), id);
    multi.xadd(far("events"), "MAXLEN", "~", 10000, "*", "event", "added", "jobId", id);
    const replies = await multi.exec();
    assert.equal(replies.length, 3);
    for (const [error] of replies) assert.equal(error, null);
    return id;
}

async function finish(client, id, returned) {
    const replies = await client
        .multi()
        .lrem(key("active"), 1, id)
        .zadd(key("completed"), Date.now(), id)
        .hset(far(`job:${id}`), "returnvalue", returned, "finishedOn", Date.now())
        .hincrby(far(`job:${id}`), "attempts", 1)
        .xadd(far("events"), "*", "event", "completed", "jobId", id)
        .exec();
    assert.deepEqual([replies[0][1], replies[1][1], replies[3][1]], [1, 1, 1], `job ${id} is finished once`);
}

// Takes jobs until it gets the id 0.
async function worker(client) {
    for (let count = 0; ; count++) {
        const id = await client.blmove(key("wait"), key("active"), "RIGHT", "LEFT", 20);
        assert.notEqual(id, null, "a worker starves");
        if (id === "0") {
            assert.equal(await client.lrem(key("active"), 1, "0"), 1);
            return count;
        }
        const { name } = JSON.parse(await client.hget(far(`job:${id}`), "data"));
        await finish(client, id, `done ${name}`);
    }
}

// Moves due jobs to the waiting ones; of several movers one gets each job.
async function mover(client, watcher, until) {
    let moved = 0;
    while (moved < until.count) {
        const due = await client.zrangebyscore(key("delayed"), "-inf", Date.now(), "LIMIT", 0, 10);
        for (const id of due) {
            await watcher.watch(key("delayed"));
            if ((await watcher.zscore(key("delayed"), id)) === null) {
                await watcher.unwatch();
                continue;
            }
            const replies = await watcher.multi().zrem(key("delayed"), id).lpush(key("wait"), id).exec();
            if (replies !== null) until.count -= 1;
        }
        if (until.count > 0 && due.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
}

async function jobs() {
    const producer = connect();
    const workers = Array.from({ length: 4 }, () => worker(connect()));
    const until = { count: JOBS / 3 };
    const movers = [mover(connect(), connect(), until), mover(connect(), connect(), until)];
    const adding = [];
    for (let n = 0; n < JOBS; n++) adding.push(add(producer, `job ${n}`, n % 3 === 0 ? { delay: 1 + (n % 50) } : {}));
    const ids = await Promise.all(adding);
    await Promise.all(movers);
    for (let n = 0; n < workers.length; n++) await producer.lpush(key("wait"), 0);
    const counts = await Promise.all(workers);
    assert.equal(counts.reduce((a, b) => a + b), JOBS);
    assert.equal(await producer.zcard(key("completed")), JOBS);
    assert.deepEqual(await producer.exists(key("wait"), key("active"), key("delayed")), 0);
    for (const id of ids) {
        const job = await producer.hgetall(far(`job:${id}`));
        assert.deepEqual([job.attempts, job.returnvalue], ["1", `done ${job.name}`], `job ${id}`);
    }
}

async function events() {
    const client = connect();
    const entries = await client.xrange(far("events"), "-", "+");
    const of = (event) => entries.filter(([, fields]) => fields[1] === event).map(([, fields]) => fields[3]);
    assert.equal(new Set(of("added")).size, JOBS);
    assert.equal(new Set(of("completed")).size, JOBS);
    assert.equal(entries.length, 2 * JOBS);
    // A listener that waits, as QueueEvents does.
    const waiting = connect().xread("BLOCK", 20000, "COUNT", 10, "STREAMS", far("events"), "$");
    while (!/blocked_clients:1/.test(await client.info("clients"))) await new Promise((r) => setTimeout(r, 2));
    const id = await client.xadd(far("events"), "*", "event", "drained");
    assert.deepEqual(await waiting, [[far("events"), [[id, ["event", "drained"]]]]]);
    assert.equal(await client.xtrim(far("events"), "MAXLEN", 0), 2 * JOBS + 1);
}

async function priorities() {
    const client = connect();
    for (const priority of [5, 1, 9, 3]) await add(client, `priority ${priority}`, { priority });
    const taker = connect();
    const order = [];
    for (let n = 0; n < 4; n++) {
        const [, id] = await taker.bzpopmin(key("prioritized"), 20);
        order.push(await client.hget(far(`job:${id}`), "name"));
    }
    assert.deepEqual(order, ["priority 1", "priority 3", "priority 5", "priority 9"]);
    // Nothing is there: a taker waits, and gets the next at once.
    const waiting = taker.bzpopmin(key("prioritized"), 20);
    await client.zadd(key("prioritized"), 7, "late");
    assert.deepEqual(await waiting, [key("prioritized"), "late", "7"]);
}

async function groups() {
    const client = connect();
    const stream = far("log");
    assert.equal(await client.xgroup("CREATE", stream, "mailers", "0", "MKSTREAM"), "OK");
    const seen = new Set();
    async function consume(name) {
        const own = connect();
        for (;;) {
            const found = await own.xreadgroup(
                "GROUP", "mailers", name, "COUNT", 7, "BLOCK", 20000, "STREAMS", stream, ">");
            for (const [id, fields] of found[0][1]) {
                if (fields[0] === "stop") return own.xack(stream, "mailers", id);
                assert.ok(!seen.has(fields[1]), `${fields[1]} came twice`);
                seen.add(fields[1]);
                assert.equal(await own.xack(stream, "mailers", id), 1);
            }
        }
    }
    const first = consume("ann");
    for (let n = 0; n < 200; n++) client.xadd(stream, "*", "n", n);
    await client.xadd(stream, "*", "stop", "");
    await first;
    assert.equal(seen.size, 200);
    assert.deepEqual((await client.xpending(stream, "mailers"))[0], 0);
    // What a consumer left, another claims.
    await client.xadd(stream, "*", "n", "lost");
    await client.xreadgroup("GROUP", "mailers", "ann", "STREAMS", stream, ">");
    const [, claimed] = await client.xautoclaim(stream, "mailers", "bob", 0, "0");
    assert.deepEqual(claimed.map(([, fields]) => fields[1]), ["lost"]);
}

async function pauses() {
    const client = connect();
    const subscriber = connect();
    const heard = [];
    subscriber.on("message", (channel, text) => heard.push([channel, text]));
    subscriber.on("pmessage", (pattern, channel, text) => heard.push([pattern, channel, text]));
    await subscriber.subscribe(far("pause"));
    await subscriber.psubscribe(far("res*"));
    assert.equal(await client.publish(far("pause"), "now"), 1);
    assert.equal(await client.publish(far("resume"), "later"), 1);
    while (heard.length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.deepEqual(heard, [[far("pause"), "now"], [far("res*"), far("resume"), "later"]]);
    await client.lpush(key("wait"), 1, 2, 3);
    assert.equal(await client.rename(key("wait"), far("paused")), "OK");
    assert.deepEqual(await client.lrange(far("paused"), 0, -1), ["3", "2", "1"]);
}

const checks = { jobs, events, priorities, "consumer groups": groups, pauses };

run(checks, () => clients.forEach((client) => client.disconnect()));
