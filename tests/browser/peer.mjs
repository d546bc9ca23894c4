// The client's library in Node: one request a line on stdin, one answer a line on stdout, both JSON.
// Started by conftest.py.

import { createInterface } from "node:readline";

import { requests } from "./requests.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { answer: (await requests[name](request)) ?? null };
  } catch (error) {
    answer = { error: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
