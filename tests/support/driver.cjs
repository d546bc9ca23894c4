// Loaded by the browsers' driver (NODE_OPTIONS), which drives Firefox by WebDriver BiDi: when a
// frame has gone just before Firefox tells that it navigated, the driver reads the name of a frame
// that is null and dies, and all browsers with it (playwright pull request 40763 has the same
// cause). That one event is passed over here; every other fault ends the driver as before.
"use strict";

process.on("uncaughtException", (fault) => {
  const trace = String(fault && fault.stack);
  const gone = fault instanceof TypeError && trace.includes("BidiPage._onNavigationCommitted");
  process.stderr.write(gone ? "passed over: a frame that is gone navigated\n" : `${trace}\n`);
  if (!gone) process.exit(1);
});
