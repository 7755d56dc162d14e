// ioredis at real work against the server on the port given; ends with "all is well" or an error.
"use strict";
const assert = require("assert");
const crypto = require("crypto");
const Redis = require("ioredis");

const port = Number(process.argv[2]);
const prefix = `js:${crypto.randomBytes(4).toString("hex")}:`;
const key = (name) => prefix + name;
const connect = (options) => new Redis({ host: "127.0.0.1", port, ...options });

async function valuesAreBinarySafe(redis) {
  for (const value of [Buffer.alloc(0), Buffer.from([0, 255, 13, 10]), Buffer.from("grüß ☃"), crypto.randomBytes(100000)]) {
    assert.strictEqual(await redis.set(key("bin"), value), "OK");
    assert.ok(value.equals(await redis.getBuffer(key("bin"))));
  }
  const large = crypto.randomBytes(20000000);
  await redis.set(key("large"), large);
  assert.ok(large.equals(await redis.getBuffer(key("large"))));
  assert.strictEqual(await redis.unlink(key("large")), 1);
}

async function pipelinesKeepOrder(redis) {
  const pipeline = redis.pipeline();
  for (let i = 0; i < 10000; i++) pipeline.set(key(i), i).incr(key(i));
  const replies = await pipeline.exec();
  replies.forEach(([error, reply], at) => {
    assert.strictEqual(error, null);
    assert.strictEqual(reply, at % 2 === 0 ? "OK" : (at - 1) / 2 + 1);
  });
  // Without awaiting each: the library pipelines by itself.
  const all = await Promise.all(Array.from({ length: 10000 }, (_, i) => redis.get(key(i))));
  all.forEach((value, i) => assert.strictEqual(value, String(i + 1)));
}

async function scanFindsAll(redis) {
  const found = new Set();
  for await (const keys of redis.scanStream({ match: key("*"), count: 200 })) keys.forEach((k) => found.add(k));
  for (let i = 0; i < 10000; i++) assert.ok(found.has(key(i)), key(i));
  const names = [...found];
  for (let at = 0; at < names.length; at += 1000) await redis.del(names.slice(at, at + 1000));
  assert.strictEqual((await redis.keys(key("*"))).length, 0);
}

async function commandsAnswer(redis) {
  assert.strictEqual(await redis.set(key("o"), "v", "EX", 100, "NX"), "OK");
  assert.strictEqual(await redis.set(key("o"), "w", "NX"), null);
  assert.ok((await redis.pttl(key("o"))) > 90000);
  assert.strictEqual(await redis.getdel(key("o")), "v");
  assert.deepStrictEqual(await redis.mget(key("a"), key("b")), [null, null]);
  assert.strictEqual(await redis.mset({ [key("a")]: "1", [key("b")]: "2" }), "OK");
  assert.deepStrictEqual(await redis.mget(key("a"), key("b")), ["1", "2"]);
  assert.strictEqual(await redis.incrbyfloat(key("a"), 0.5), "1.5");
  assert.strictEqual(await redis.rename(key("a"), key("c")), "OK");
  assert.strictEqual(await redis.exists(key("a"), key("b"), key("c")), 2);
  await assert.rejects(redis.incr(key("c")), /ERR value is not an integer or out of range/);
  await assert.rejects(redis.call("NOSUCH"), /ERR unknown command/);
  assert.strictEqual(await redis.ping(), "PONG");
  assert.strictEqual(await redis.select(3), "OK");
  assert.strictEqual(await redis.get(key("c")), null);
  assert.strictEqual(await redis.select(0), "OK");
  assert.strictEqual(await redis.del(key("b"), key("c"), key("d")), 2);
}

async function aKilledClientComesBack(redis) {
  const victim = connect({ retryStrategy: () => 10, maxRetriesPerRequest: 100 });
  await victim.set(key("back"), 1);
  const again = new Promise((resolve) => victim.once("ready", resolve));
  assert.strictEqual(await redis.call("CLIENT", "KILL", "ID", String(await victim.client("ID"))), 1);
  await again;
  assert.strictEqual(await victim.incr(key("back")), 2);
  await victim.quit();
  await redis.del(key("back"));
}

(async () => {
  const redis = connect();
  await valuesAreBinarySafe(redis);
  await pipelinesKeepOrder(redis);
  await scanFindsAll(redis);
  await commandsAnswer(redis);
  await aKilledClientComesBack(redis);
  assert.strictEqual(await redis.quit(), "OK");
  console.log("all is well");
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
