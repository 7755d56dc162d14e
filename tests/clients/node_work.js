// What an application does with ioredis: node_work.js FOLDER-OF-IOREDIS PORT new|old. Prints each check that has
// passed, ends with an error at the first that has not. Never retries a check.
"use strict";

const assert = require("node:assert/strict");
const run = require("./checks.js");
const { once } = require("node:events");
const [folder, portText, age] = process.argv.slice(2);
const { Redis } = require(folder);
const port = Number(portText);
// Redis 7.0 knows nothing of libraries' names.
const knowsLibraries = age === "new";

const clients = [];

function connect(options = {}) {
    const client = new Redis({ host: "127.0.0.1", port, retryStrategy: () => 20, ...options });
    client.on("error", () => {}); // requests fail by themselves
    clients.push(client);
    return client;
}

async function handshake() {
    const client = connect({ connectionName: "visitor", db: 2 });
    await once(client, "ready");
    assert.equal(await client.ping(), "PONG");
    assert.equal(await client.client("GETNAME"), "visitor");
    const info = await client.client("INFO");
    assert.match(info, / name=visitor .* db=2 /);
    if (knowsLibraries) assert.match(info, / lib-name=ioredis/);
    assert.match(await client.info("server"), /redis_version:/);
    assert.ok((await client.call("COMMAND")).length > 50);
}

async function automaticPipelines() {
    const client = connect({ enableAutoPipelining: true });
    const waiting = [];
    for (let n = 0; n < 2000; n++) {
        waiting.push(client.set(`auto:${n}`, `value ${n}`), client.get(`auto:${n}`), client.strlen(`auto:${n}`));
    }
    const replies = await Promise.all(waiting);
    for (let n = 0; n < 2000; n++) {
        const value = `value ${n}`;
        assert.deepEqual(replies.slice(3 * n, 3 * n + 3), ["OK", value, value.length]);
    }
    assert.equal(await client.dbsize(), 2000);
    assert.equal(await client.flushdb(), "OK");
}

async function increments() {
    const several = [connect(), connect({ enableAutoPipelining: true }), connect({ noDelay: false })];
    const waiting = [];
    for (let n = 0; n < 10000; n++) waiting.push(several[n % 3].incr("counter"));
    const replies = await Promise.all(waiting);
    // Every number once, and growing for each connection.
    assert.deepEqual([...replies].sort((a, b) => a - b), Array.from({ length: 10000 }, (_, n) => n + 1));
    for (let n = 3; n < 10000; n++) assert.ok(replies[n] > replies[n - 3], `${n}: ${replies[n - 3]}, ${replies[n]}`);
    assert.equal(await several[0].get("counter"), "10000");
}

async function explicitPipelines() {
    const client = connect({ db: 1 });
    const replies = await client.pipeline().mset("a", 1, "b", 2).mget("b", "a", "none").incr("a").get("a").exec();
    assert.deepEqual(replies, [[null, "OK"], [null, ["2", "1", null]], [null, 2], [null, "2"]]);
    const mixed = await client.pipeline().set("text", "x").incr("text").get("text").exec();
    assert.equal(mixed[1][0].message, "ERR value is not an integer or out of range");
    assert.deepEqual([mixed[0], mixed[2]], [[null, "OK"], [null, "x"]]);
    await client.flushdb();
}

async function buffers() {
    const client = connect({ db: 1 });
    const key = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    const large = Buffer.alloc(5 * 1024 * 1024, key);
    assert.equal(await client.set(key, large), "OK");
    assert.ok(large.equals(await client.getBuffer(key)));
    assert.equal(await client.append(key, Buffer.from([0, 255, 13, 10])), large.length + 4);
    assert.deepEqual(await client.getrangeBuffer(key, -5, -1), Buffer.from([255, 0, 255, 13, 10]));
    assert.deepEqual(await client.keysBuffer("*"), [key]);
    assert.deepEqual(await client.mgetBuffer("none", key).then((v) => v[0]), null);
    assert.equal(await client.del(key), 1);
}

async function scanStreams() {
    const client = connect({ db: 1 });
    const pairs = [];
    for (let n = 0; n < 5000; n++) pairs.push(`scan:${n}`, n);
    await client.mset(...pairs);
    await client.set("stranger", 1);
    const seen = [];
    for await (const keys of client.scanStream({ match: "scan:*", count: 200 })) seen.push(...keys);
    assert.equal(seen.length, 5000);
    assert.equal(new Set(seen).size, 5000);
    assert.ok(seen.every((key) => key.startsWith("scan:")));
    await client.flushdb();
}

async function errors() {
    const client = connect({ db: 1 });
    await assert.rejects(client.call("NOSUCH", "a"), { message: /^ERR unknown command 'NOSUCH', with args beginning/ });
    await assert.rejects(client.set("key", 1, "NOPE"), { message: "ERR syntax error" });
    await assert.rejects(client.select(99), { message: "ERR DB index is out of range" });
    assert.equal(await client.ping("still in step"), "still in step");
}

async function reconnect() {
    const client = connect({ connectionName: "phoenix", db: 1 });
    const other = connect();
    await client.set("ashes", 1);
    const before = await client.client("ID");
    const again = once(client, "ready");
    assert.equal(await other.client("KILL", "ID", before), 1);
    await again;
    assert.notEqual(await client.client("ID"), before);
    assert.equal(await client.client("GETNAME"), "phoenix");
    assert.equal(await client.get("ashes"), "1"); // the same database again
    const second = once(client, "ready");
    assert.equal(await client.client("KILL", "ID", await client.client("ID"), "SKIPME", "NO"), 1);
    await second;
    assert.equal(await client.incr("ashes"), 2);
    await client.flushdb();
}

const checks = {
    handshake,
    "automatic pipelines": automaticPipelines,
    increments,
    "explicit pipelines": explicitPipelines,
    buffers,
    "scan streams": scanStreams,
    errors,
    reconnect,
};

run(checks, () => clients.forEach((client) => client.disconnect()));
