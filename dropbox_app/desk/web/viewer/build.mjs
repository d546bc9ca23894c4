// Builds built/frame.js from the sources and the packages of package-lock.json: one script that
// contains the worker as a string, so that the frame's policy allows one hash and no address.
// scripts/dev/build_viewer installs the packages and runs this.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";

const shared = {
  bundle: true,
  charset: "ascii",
  format: "iife",
  legalComments: "inline",
  minify: true,
  target: "es2022",
  write: false,
};

const worker = await build({
  ...shared,
  entryPoints: ["worker.mjs"],
  loader: { ".pfb": "binary", ".ttf": "binary", ".wasm": "binary" },
  logOverride: { "empty-import-meta": "silent" }, // pdf.js uses its own address only under Node
});
// The script must not contain "<", which could end its element or begin a comment.
const source = JSON.stringify(worker.outputFiles[0].text).replaceAll("<", "\\x3c");
const frame = await build({
  ...shared,
  entryPoints: ["frame.mjs"],
  minifyIdentifiers: false, // WORKER_SOURCE is inserted below
});
const [before, after] = frame.outputFiles[0].text.split("WORKER_SOURCE");

rmSync("built", { force: true, recursive: true });
mkdirSync("built/licences", { recursive: true });
const script = (before + source + after).trimEnd();
if (/[<\P{ASCII}]/u.test(script)) throw new Error("the script cannot stand in a page as it is");
writeFileSync("built/frame.js", script);
writeFileSync("built/script.sha256", createHash("sha256").update(script).digest("base64") + "\n");

const packages = "node_modules/pdfjs-dist";
for (const [from, to] of [
  ["LICENSE", "LICENSE-pdf.js"],
  ["standard_fonts/LICENSE_FOXIT", "LICENSE-Foxit-fonts"],
  ["standard_fonts/LICENSE_LIBERATION", "LICENSE-Liberation-fonts"],
  ["wasm/LICENSE_JBIG2", "LICENSE-jbig2"],
  ["wasm/LICENSE_PDFJS_JBIG2", "LICENSE-pdf.js-jbig2"],
  ["wasm/LICENSE_OPENJPEG", "LICENSE-openjpeg"],
  ["wasm/LICENSE_PDFJS_OPENJPEG", "LICENSE-pdf.js-openjpeg"],
  ["wasm/LICENSE_QCMS", "LICENSE-qcms"],
  ["wasm/LICENSE_PDFJS_QCMS", "LICENSE-pdf.js-qcms"],
]) {
  cpSync(`${packages}/${from}`, `built/licences/${to}`);
}
