// Makes client.js, worker.js and client-licences.txt in ../server/web/static from the sources here
// and the packages of package-lock.json. scripts/dev/build_browser installs the packages and calls
// this; the same sources give the same bytes. --into FOLDER writes elsewhere, --words FOLDER says
// where the word lists are.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    into: { type: "string", default: "../server/web/static" },
    words: { type: "string", default: "../protocol/words" },
  },
});
const LISTS = ["nl", "en", "not_dealt_nl", "not_dealt_en"];
const BUNDLED = [
  ["age-encryption", "LICENSE"],
  ["@noble/ciphers", "LICENSE"],
  ["@noble/curves", "LICENSE"],
  ["@noble/hashes", "LICENSE"],
  ["@noble/post-quantum", "LICENSE"],
  ["@scure/base", "LICENSE"],
];

const digestOf = (name) =>
  createHash("sha256").update(readFileSync(`${values.words}/${name}.txt`)).digest("hex");

const shared = {
  bundle: true,
  charset: "ascii",
  define: { "globalThis.WORD_LISTS": JSON.stringify(Object.fromEntries(LISTS.map((name) => [name, digestOf(name)]))) },
  format: "iife",
  legalComments: "none", // they go with it in a file of their own
  metafile: true,
  minify: true,
  target: "es2022",
  write: false,
};

mkdirSync(values.into, { recursive: true });
const used = new Set();
for (const name of ["client", "worker"]) {
  const made = await build({ ...shared, entryPoints: [`${name}.mjs`] });
  for (const input of Object.keys(made.metafile.inputs)) {
    const found = input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (found) used.add(found[1]);
  }
  writeFileSync(`${values.into}/${name}.js`, made.outputFiles[0].text);
}
const told = BUNDLED.map(([name]) => name);
if ([...used].sort().join() !== [...told].sort().join()) {
  throw new Error(`bundled are ${[...used].sort()}; the licences are those of ${told}`);
}
writeFileSync(
  `${values.into}/client-licences.txt`,
  BUNDLED.map(([name, file]) => `${name}\n\n${readFileSync(`node_modules/${name}/${file}`, "utf8").trim()}\n`).join("\n\n"),
);
