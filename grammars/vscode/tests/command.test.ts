// Which archdsl is run, where a wrong answer would run what a folder brings.

import assert from "node:assert/strict";
import test from "node:test";
import { findCommand, type Place, whyItEnded } from "../src/command";

function find(programs: string[], place: Partial<Place> = {}) {
  return findCommand({
    path: "",
    folders: ["/work"],
    trusted: true,
    environment: { PATH: "/usr/local/bin:/usr/bin" },
    platform: "linux",
    isProgram: (file) => programs.includes(file),
    ...place,
  });
}

function refusal(found: ReturnType<typeof find>): string {
  assert.ok(typeof found !== "string", `found ${String(found)}`);
  return found.message;
}

const OWN = "/work/.venv/bin/archdsl";
const USUAL = "/usr/bin/archdsl";

test("the environment of a folder comes first, but of a trusted folder alone", () => {
  assert.equal(find([OWN, USUAL]), OWN);
  assert.equal(find(["/work/venv/bin/archdsl"]), "/work/venv/bin/archdsl");
  assert.equal(find([OWN, USUAL], { trusted: false }), USUAL);
  assert.match(refusal(find([OWN], { trusted: false })), /not trusted.*pip install "archdsl\[editor\]"$/);
});

test("what is found on the PATH never depends on the folder that is open", () => {
  assert.match(refusal(find(["archdsl", "./archdsl", "bin/archdsl"], { environment: { PATH: ":.:bin" } })), /not found/);
  const windows: Partial<Place> = {
    platform: "win32",
    folders: ["C:\\work"],
    environment: { Path: ".;C:\\Python\\Scripts" },
  };
  assert.equal(find(["archdsl.exe", "C:\\Python\\Scripts\\archdsl.exe"], windows), "C:\\Python\\Scripts\\archdsl.exe");
  assert.equal(find(["C:\\work\\.venv\\Scripts\\archdsl.exe"], windows), "C:\\work\\.venv\\Scripts\\archdsl.exe");
  assert.match(refusal(find([], { environment: {} })), /pip install/);
});

test("a path that is set is taken or refused, and nothing else in its place", () => {
  assert.equal(find([OWN, USUAL, "/opt/archdsl"], { path: "/opt/archdsl" }), "/opt/archdsl");
  assert.match(refusal(find([OWN, USUAL], { path: "/opt/archdsl" })), /\/opt\/archdsl, which is no program/);
  assert.match(refusal(find(["bin/archdsl"], { path: "bin/archdsl" })), /whole path/);
});

test("a server that ended is explained by what it wrote", () => {
  const needs = "error: the language server needs pygls: `pip install 'archdsl[editor]'`\n";
  assert.match(whyItEnded(USUAL, needs), /has no language server.*: pip install "archdsl\[editor\]"$/);
  assert.match(whyItEnded(USUAL, "Error: No such command 'lsp'.\n"), /: pip install --upgrade "archdsl\[editor\]"$/);
  assert.match(whyItEnded(USUAL, "Traceback\nOSError: no space\n"), /ended at once: OSError: no space$/);
});
