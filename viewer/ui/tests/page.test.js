// The page as a whole, without a browser: its files name each other rightly, both languages say all, nothing
// in it is forbidden by its own policy.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import { BINDINGS, chord, commandOf } from "../keys.js";
import { read, write } from "../route.js";
import en from "../texts/en.js";
import pt from "../texts/pt.js";

const folder = new URL("..", import.meta.url);
const text = (name) => readFileSync(new URL(name, folder), "utf8");
const html = text("index.html");
const modules = [...readdirSync(folder), ...readdirSync(new URL("texts", folder)).map((name) => `texts/${name}`)].filter(
  (name) => name.endsWith(".js"),
);
const code = modules.filter((name) => !name.startsWith("texts/")).map(text).join("\n");

test("both languages say the same things with the same values", () => {
  // The server refuses in English already.
  assert.deepEqual(Object.keys(pt).filter((key) => !key.startsWith("refused.")), Object.keys(en));
  const values = (words) => [...new Set(words.match(/\{\w+\}/g) ?? [])].sort();
  for (const key of Object.keys(en)) assert.deepEqual(values(pt[key]), values(en[key]), key);
});

test("every word that is asked for is there, and every word is asked for", () => {
  const used = new Set();
  for (const [, key] of html.matchAll(/data-(?:say|label|hint)="([^"]+)"/g)) used.add(key);
  for (const [, key] of code.matchAll(/\bsay\(\s*"([^"]+)"/g)) used.add(key);
  for (const [, key] of code.matchAll(/\bcount\(\s*"([^"]+)"/g)) ["one", "other"].forEach((form) => used.add(`${key}.${form}`));
  // Keys that are put together or stand in tables.
  for (const [, key] of code.matchAll(/"((?:info|select)\.[\w.-]+)"/g)) used.add(key);
  for (const state of ["connected", "connecting", "waiting", "offline", "refused", "gone"]) used.add(`session.${state}`);
  for (const state of ["stored", "duplicate"]) used.add(`uploads.${state}`);
  for (const { command, at, shows } of BINDINGS) if (shows) used.add(`key.${at.length > 1 ? "both" : at[0]}.${command}`);
  for (const key of used) assert.ok(key in en, `texts/en.js has no ${key}`);
  for (const key of Object.keys(en)) assert.ok(used.has(key), `nobody says ${key}`);
});

test("index.html names every module once, and nothing that is not there", () => {
  const named = [...html.matchAll(/(?:href|src)="ui\/([^"]+)"/g)].map(([, name]) => name);
  assert.equal(new Set(named).size, named.length);
  for (const name of named) text(name);
  assert.deepEqual(named.filter((name) => name.endsWith(".js")).sort(), modules.sort());
});

test("every element that is asked for by its id is there", () => {
  const ids = [...html.matchAll(/\bid="([^"]+)"/g)].map(([, id]) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const [, id] of code.matchAll(/\b(?:part|input|dialog)\("([^"]+)"\)/g)) assert.ok(ids.includes(id), `no #${id}`);
  for (const [, id] of html.matchAll(/(?:for|aria-labelledby|aria-controls|list)="([^"]+)"/g)) assert.ok(ids.includes(id), id);
  for (const [, id] of html.matchAll(/href="#(i-[^"]+)"/g)) assert.ok(ids.includes(id), id);
  for (const [, name] of code.matchAll(/\bicon\("([^"]+)"\)/g)) assert.ok(ids.includes(`i-${name}`), name);
});

test("nothing needs what the policy forbids, and no text becomes markup", () => {
  assert.ok(!/\sstyle=|\son\w+=|<style|javascript:/i.test(html));
  assert.ok(!/<script(?![^>]*\bsrc=)/.test(html));
  assert.ok(!/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/.test(code));
  assert.ok(!/https?:\/\/(?!www\.w3\.org)/.test(html.replace(/data:image[^"]*/, "") + code));
});

test("a file has one task: 300 lines at most", () => {
  const files = [...modules, "index.html", "style.css", "wall.css", "single.css", "panels.css"];
  for (const name of files) {
    const content = text(name);
    assert.ok(content.split("\n").length <= 301, name);
    if (name.endsWith(".js")) assert.ok(content.startsWith("// "), `${name} does not say what it owns`);
  }
});

const press = (key, held = "") => ({
  key,
  ctrlKey: held.includes("c"),
  metaKey: held.includes("m"),
  altKey: held.includes("a"),
  shiftKey: held.includes("s"),
});

test("keys mean what good viewers mean by them", () => {
  const at = (level, ...pressed) => commandOf(chord(press(...pressed)), level);
  assert.equal(at("single", "?", "s"), "help");
  assert.equal(at("single", "R", "s"), "rotate-back");
  assert.equal(at("single", "R"), "rotate", "with Caps Lock");
  assert.equal(at("single", "S", "s"), "slideshow");
  assert.equal(at("single", "+", "s"), "zoom-in");
  assert.equal(at("single", " "), "next");
  assert.equal(at("grid", " "), "open");
  assert.equal(at("grid", "a", "c"), "select-all");
  assert.equal(at("grid", "a", "m"), "select-all");
  assert.equal(at("grid", "ArrowLeft", "a"), null, "Alt and an arrow is the browser's");
  assert.equal(at("grid", "r", "c"), null, "so is Ctrl R");
  for (const level of ["grid", "single"]) {
    const keys = BINDINGS.filter((binding) => binding.at.includes(level)).flatMap((binding) => binding.keys);
    assert.equal(new Set(keys).size, keys.length, level);
  }
});

test("every command that a key or a button gives is carried out", () => {
  const steering = text("steering.js");
  const commands = new Set(BINDINGS.map((binding) => binding.command));
  for (const [, command] of html.matchAll(/data-command="([^"]+)"/g)) commands.add(command);
  for (const command of commands) {
    assert.ok(new RegExp(`^\\s+(?:"${command}"|${command}): `, "m").test(steering), command);
  }
});

test("addresses read as they are written", () => {
  const query = { text: "a&b=c #ü?", uploader: "Dênis <x>", from: "2026-01-02", to: "" };
  for (const image of [null, 7]) assert.deepEqual(read(write({ image, query })), { image, query });
  const everything = { text: "", uploader: "", from: "", to: "" };
  for (const hash of ["", "#", "#/", "#/x", "#/-1", "#/0", "#/1e9", "#/99999999999999999999"]) {
    assert.deepEqual(read(hash), { image: null, query: everything });
  }
  assert.equal(write({ image: null, query: everything }), "#/");
});
