// The extension as one file, and beside it the licences of what went into it.

import { build } from "esbuild";
import fs from "node:fs";
import path from "node:path";

const { metafile } = await build({
  entryPoints: ["src/extension.ts"],
  bundle: true,
  platform: "node",
  target: "node18",
  format: "cjs",
  external: ["vscode"],
  minify: true,
  metafile: true,
  outfile: "dist/extension.js",
});

const packages = new Set();
for (const file of Object.keys(metafile.inputs)) {
  const inside = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file);
  if (inside) {
    packages.add(inside[1]);
  }
}
const licences = [...packages].sort().map((folder) => {
  const { name, version } = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
  const file = fs.readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file) {
    throw new Error(`${folder} has no licence`);
  }
  return `${name} ${version}\n\n${fs.readFileSync(path.join(folder, file), "utf8").trim()}\n`;
});
fs.writeFileSync("dist/licences.txt", licences.join(`\n${"-".repeat(80)}\n\n`));
