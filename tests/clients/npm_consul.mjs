// The npm client `consul`, call by call, on the agent that the arguments name: node npm_consul.mjs HOST PORT
// It stops at the first answer that is not right. tests/clients/test_npm_consul.py runs it.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const Consul = createRequire(import.meta.url)("consul"); // unlike import, this heeds NODE_PATH
const [host, port] = process.argv.slice(2);
const consul = new Consul({ host, port: Number(port) });
const DEADLINE_MS = 30_000;

const parts = {
  async kv() {
    assert.equal(await consul.kv.get("npm/none"), undefined);
    assert.equal(await consul.kv.set("npm/a", "hello ☃"), true);
    const found = await consul.kv.get("npm/a");
    assert.equal(found.Value, "hello ☃");
    assert.notEqual(await consul.kv.set({ key: "npm/a", value: "x", cas: "1" }), true); // it shows false as undefined
    assert.equal(await consul.kv.set({ key: "npm/a", value: "x", flags: 7, cas: String(found.ModifyIndex) }), true);
    assert.equal((await consul.kv.get("npm/a")).Flags, 7);
    assert.deepEqual((await consul.kv.get({ key: "npm/", recurse: true })).map((one) => one.Key), ["npm/a"]);
    assert.deepEqual(await consul.kv.keys("npm/"), ["npm/a"]);
    assert.equal(await consul.kv.del({ key: "npm/", recurse: true }), true);
  },

  async session() {
    const { ID: id } = await consul.session.create({ name: "npm", ttl: "15s", lockdelay: "0s" });
    assert.equal((await consul.session.get(id)).Name, "npm");
    assert.equal(await consul.kv.set({ key: "npm/lock", value: "me", acquire: id }), true);
    assert.equal((await consul.kv.get("npm/lock")).Session, id);
    assert.ok((await consul.session.list()).some((one) => one.ID === id));
    assert.ok((await consul.session.node("one")).some((one) => one.ID === id));
    assert.equal((await consul.session.renew(id))[0].TTL, "15s");
    await consul.session.destroy(id);
    assert.equal((await consul.kv.get("npm/lock")).Session, undefined);
  },

  async transaction() {
    const value = Buffer.from("1").toString("base64");
    const done = await consul.transaction.create([
      { KV: { Verb: "set", Key: "npm/t", Value: value } },
      { KV: { Verb: "get", Key: "npm/t" } },
    ]);
    assert.equal(done.Errors, null);
    assert.equal(done.Results[1].KV.Value, value);
  },

  async agent() {
    assert.equal((await consul.agent.self()).Config.NodeName, "one");
    assert.equal((await consul.agent.members())[0].Name, "one");
    await consul.agent.service.register({
      name: "npm",
      id: "npm1",
      address: "127.0.0.1",
      port: 3000,
      tags: ["js"],
      meta: { version: "1" },
      check: { ttl: "10m", notes: "says how it is" },
    });
    const service = (await consul.agent.service.list()).npm1;
    assert.deepEqual([service.Service, service.Port, service.Tags, service.Meta.version], ["npm", 3000, ["js"], "1"]);
    const check = "service:npm1";
    assert.equal((await consul.agent.check.list())[check].Status, "critical");
    for (const [act, status] of [["pass", "passing"], ["warn", "warning"], ["fail", "critical"], ["pass", "passing"]]) {
      await consul.agent.check[act]({ id: check, note: status });
      const found = (await consul.agent.check.list())[check];
      assert.deepEqual([found.Status, found.Output], [status, status]);
    }
    await consul.agent.check.register({ name: "mine", id: "mine", ttl: "1h" });
    await consul.agent.check.deregister("mine");
    await consul.agent.service.maintenance({ id: "npm1", enable: true, reason: "works" });
    assert.equal((await consul.agent.check.list())["_service_maintenance:npm1"].Notes, "works");
    await consul.agent.service.maintenance({ id: "npm1", enable: false });
    await consul.agent.maintenance({ enable: true });
    await consul.agent.maintenance({ enable: false });
    await assert.rejects(consul.agent.service.register({ id: "nameless" }));
  },

  async watch() {
    // what the agent runs comes to the catalog, and goes from it; a watch tells of each change
    const seen = [];
    const watch = consul.watch({
      method: consul.health.service,
      options: { service: "npm", passing: true, wait: "10s" },
      backoffFactor: 100,
    });
    const changed = (fits) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`seen: ${JSON.stringify(seen)}`)), DEADLINE_MS);
        watch.on("error", reject);
        watch.on("change", (found) => {
          seen.push(found.map((one) => one.Service.ID));
          if (fits(found)) resolve(clearTimeout(timer));
        });
      });
    await changed((found) => found.length === 1);
    const gone = changed((found) => found.length === 0);
    await consul.agent.check.fail("service:npm1");
    await gone;
    const back = changed((found) => found.length === 1);
    await consul.agent.check.pass("service:npm1");
    await back;
    watch.end();
  },

  async health() {
    assert.equal((await consul.health.service("npm"))[0].Service.Port, 3000);
    assert.equal((await consul.health.service({ service: "npm", tag: "none" })).length, 0);
    assert.equal((await consul.health.checks("npm"))[0].CheckID, "service:npm1");
    assert.ok((await consul.health.node("one")).some((one) => one.CheckID === "serfHealth"));
    assert.ok((await consul.health.state("passing")).length >= 2);
  },

  async catalog() {
    assert.deepEqual(await consul.catalog.datacenters(), ["dc1"]);
    assert.deepEqual((await consul.catalog.service.list()).npm, ["js"]);
    assert.equal((await consul.catalog.service.nodes("npm"))[0].ServicePort, 3000);
    assert.ok((await consul.catalog.node.list()).some((one) => one.Node === "one"));
    assert.ok((await consul.catalog.node.services("one")).Services.npm1);
    await consul.agent.service.deregister("npm1");
    assert.equal((await consul.agent.service.list()).npm1, undefined);
  },

  async status() {
    assert.equal(await consul.status.leader(), "127.0.0.1:8300");
    assert.deepEqual(await consul.status.peers(), ["127.0.0.1:8300"]);
  },
};

for (const [name, part] of Object.entries(parts)) {
  await part();
  console.log(`${name}: ok`);
}
process.exit(0);
