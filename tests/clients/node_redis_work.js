// What an application does with node-redis: node_redis_work.js FOLDER-OF-NODE-REDIS PORT new|old. Prints each check
// that has passed, ends with an error at the first that has not. Never retries a check.
"use strict";

const assert = require("node:assert/strict");
const run = require("./checks.js");
const [folder, portText] = process.argv.slice(2);
const { createClient } = require(folder);
const url = `redis://127.0.0.1:${portText}`;

const clients = [];
async function connect(options = {}) {
    const client = createClient({ url, ...options });
    client.on("error", () => {}); // requests fail by themselves
    clients.push(client);
    return client.connect();
}

async function types(RESP) {
    const client = await connect({ RESP, database: RESP });
    assert.equal(await client.set("text", "größe", { expiration: { type: "EX", value: 100 } }), "OK");
    assert.equal(await client.get("text"), "größe");
    assert.ok((await client.ttl("text")) > 90);
    assert.equal(await client.hSet("hash", { a: 1, b: "two", c: "" }), 3);
    assert.deepEqual({ ...(await client.hGetAll("hash")) }, { a: "1", b: "two", c: "" });
    assert.deepEqual(await client.hmGet("hash", ["b", "none"]), ["two", null]);
    assert.equal(await client.rPush("list", ["x", "y", "z"]), 3);
    assert.deepEqual(await client.lRange("list", 0, -1), ["x", "y", "z"]);
    assert.deepEqual(await client.lPos("list", "z"), 2);
    assert.equal(await client.sAdd("set", ["m", "n"]), 2);
    assert.deepEqual(new Set(await client.sMembers("set")), new Set(["m", "n"]));
    assert.equal(await client.sIsMember("set", "m"), 1);
    assert.equal(await client.zAdd("zset", [{ score: 1.5, value: "one" }, { score: Infinity, value: "all" }]), 2);
    assert.equal(await client.zScore("zset", "all"), Infinity);
    const ranged = await client.zRangeWithScores("zset", 0, -1);
    assert.deepEqual(ranged.map((entry) => [entry.value, entry.score]), [["one", 1.5], ["all", Infinity]]);
    const id = await client.xAdd("stream", "*", { field: "value" });
    const [entry] = await client.xRange("stream", "-", "+");
    assert.deepEqual([entry.id, { ...entry.message }], [id, { field: "value" }]);
    assert.equal(await client.geoAdd("geo", { longitude: 13.361389, latitude: 38.115556, member: "Palermo" }), 1);
    assert.deepEqual(await client.geoSearch("geo", { longitude: 15, latitude: 37 }, { radius: 200, unit: "km" }), [
        "Palermo",
    ]);
    assert.equal(await client.pfAdd("hll", ["a", "b", "c"]), 1);
    assert.equal(await client.pfCount("hll"), 3);
    assert.equal(await client.setBit("bits", 7, 1), 0);
    assert.equal(await client.bitCount("bits"), 1);
    assert.equal(await client.incrByFloat("float", 2.5), "2.5");
    assert.equal(await client.dbSize(), 10);
    await client.flushDb();
}

async function transactions() {
    const client = await connect();
    const replies = await client.multi().set("a", 1).incr("a").lPush("l", ["x"]).lRange("l", 0, -1).exec();
    assert.deepEqual(replies, ["OK", 2, 1, ["x"]]);
    const other = await connect();
    await client.watch("a");
    await other.incr("a");
    await assert.rejects(client.multi().set("a", 100).exec(), { name: "Error", message: /watched/i });
    assert.equal(await client.get("a"), "3");
    await client.watch("a");
    assert.deepEqual(await client.multi().incrBy("a", 4).exec(), [7]);
    await assert.rejects(client.multi().incr("l").ping().exec());
    assert.equal(await client.ping(), "PONG");
    await client.del(["a", "l"]);
}

async function pipelines() {
    const client = await connect();
    const waiting = [];
    for (let n = 0; n < 3000; n++) waiting.push(client.set(`n:${n}`, n), client.incr(`n:${n}`));
    const replies = await Promise.all(waiting);
    for (let n = 0; n < 3000; n++) assert.deepEqual([replies[2 * n], replies[2 * n + 1]], ["OK", n + 1]);
    const seen = new Set();
    for await (const keys of client.scanIterator({ MATCH: "n:*", COUNT: 100 })) keys.forEach((key) => seen.add(key));
    assert.equal(seen.size, 3000);
    const values = await client.mGet(Array.from({ length: 3000 }, (_, n) => `n:${n}`));
    assert.deepEqual(values, Array.from({ length: 3000 }, (_, n) => String(n + 1)));
    await client.flushDb();
}

async function blocking() {
    const [client, taker] = [await connect(), await connect()];
    const popped = taker.blPop(["q1", "q2"], 20);
    await client.rPush("q2", "job");
    const { key, element } = await popped;
    assert.deepEqual([key, element], ["q2", "job"]);
    const moved = taker.blMove("from", "to", "LEFT", "RIGHT", 20);
    await client.lPush("from", "thing");
    assert.equal(await moved, "thing");
    const least = taker.bzPopMin("zset", 20);
    await client.zAdd("zset", { score: 3, value: "m" });
    const found = await least;
    assert.deepEqual([found.key, found.value, found.score], ["zset", "m", 3]);
    assert.equal(await taker.blPop("none", 0.02), null);
    await client.del("to");
}

async function messages(RESP) {
    const [client, subscriber] = [await connect({ RESP }), await connect({ RESP })];
    const heard = [];
    await subscriber.subscribe("news", (text, channel) => heard.push([channel, text]));
    await subscriber.pSubscribe("new?:*", (text, channel) => heard.push([channel, text]));
    await subscriber.sSubscribe("shard", (text, channel) => heard.push([channel, text]));
    for (let n = 0; n < 100; n++) await client.publish("news", String(n));
    await client.publish("news:x", "pattern");
    await client.sPublish("shard", "sharded");
    while (heard.length < 102) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.deepEqual(heard.filter(([channel]) => channel === "news").map(([, text]) => Number(text)),
        Array.from({ length: 100 }, (_, n) => n));
    assert.deepEqual(new Set(heard.slice(100).map(([channel]) => channel)), new Set(["news:x", "shard"]));
    await subscriber.unsubscribe();
    await subscriber.pUnsubscribe();
    await subscriber.sUnsubscribe();
    assert.equal(await client.publish("news", "nobody"), 0);
}

async function cached() {
    const client = await connect({ RESP: 3, clientSideCache: { ttl: 0, maxEntries: 100, evictPolicy: "LRU" } });
    const other = await connect();
    await other.set("cached", "first");
    assert.equal(await client.get("cached"), "first");
    assert.equal(await client.get("cached"), "first");
    await other.set("cached", "second");
    // The invalidation comes on its own; from then on the new value is read.
    while ((await client.get("cached")) !== "second") await new Promise((resolve) => setTimeout(resolve, 2));
    await other.del("cached");
    while ((await client.get("cached")) !== null) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function errors() {
    const client = await connect();
    await assert.rejects(client.sendCommand(["NOSUCH", "a"]), { message: /^ERR unknown command 'NOSUCH'/ });
    await client.set("text", "x");
    await assert.rejects(client.incr("text"), { message: "ERR value is not an integer or out of range" });
    await assert.rejects(client.lPush("text", "y"), { message: /^WRONGTYPE/ });
    await assert.rejects(client.select(99));
    assert.equal(await client.del("text"), 1);
    assert.equal(await client.dbSize(), 0);
}

const checks = {
    "types in RESP2": () => types(2),
    "types in RESP3": () => types(3),
    transactions,
    pipelines,
    blocking,
    "messages in RESP2": () => messages(2),
    "messages in RESP3": () => messages(3),
    cached,
    errors,
};

run(checks, () => clients.forEach((client) => client.destroy()));
