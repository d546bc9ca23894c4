// Reads {"name": "html"} as JSON, prints {"name": ["rule: message (line)"]} of what is no valid HTML.
import { HtmlValidate, StaticConfigLoader } from "html-validate";
import { readFileSync } from "node:fs";

const loader = new StaticConfigLoader({
  extends: ["html-validate:standard", "html-validate:a11y", "html-validate:document"],
  // The style sheet comes from the very server that the page comes from.
  rules: { "require-sri": "off" },
  root: true,
});
const checker = new HtmlValidate(loader);
const found = {};
for (const [name, html] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const report = await checker.validateString(html, "page.html");
  const said = report.results.flatMap((result) => result.messages)
    .map((one) => `${one.ruleId}: ${one.message} (line ${one.line})`);
  if (said.length) found[name] = said;
}
process.stdout.write(JSON.stringify(found));
