// The grammar over the bundled networks: every character has a category, and every file ends where it began.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { createOnigScanner, createOnigString, loadWASM } from "vscode-oniguruma";
import { INITIAL, type IGrammar, parseRawGrammar, Registry } from "vscode-textmate";

const GRAMMAR = "syntaxes/arch.tmLanguage.json";
const NETWORKS = "../../architectures";

async function grammar(): Promise<IGrammar> {
  await loadWASM(fs.readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm")));
  const registry = new Registry({
    onigLib: Promise.resolve({ createOnigScanner, createOnigString }),
    loadGrammar: async () => parseRawGrammar(fs.readFileSync(GRAMMAR, "utf8"), GRAMMAR),
  });
  const loaded = await registry.loadGrammar("source.arch");
  assert.ok(loaded);
  return loaded;
}

test("no character of a bundled network is without a category", async () => {
  const tokenizer = await grammar();
  const files = fs.readdirSync(NETWORKS).filter((name) => name.endsWith(".arch"));
  assert.ok(files.length > 50);
  for (const name of files) {
    let stack = INITIAL;
    const lines = fs.readFileSync(path.join(NETWORKS, name), "utf8").split("\n");
    lines.forEach((line, index) => {
      const { tokens, ruleStack } = tokenizer.tokenizeLine(line, stack);
      stack = ruleStack;
      for (const { startIndex, endIndex, scopes } of tokens) {
        const text = line.slice(startIndex, endIndex);
        assert.ok(scopes.length > 1 || !text.trim(), `${name}:${index + 1}: \`${text.trim()}\` has no category`);
      }
    });
    assert.equal(stack.depth, 1, `${name}: something is open at its end`);
  }
});
