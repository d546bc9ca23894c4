// What build.mjs puts in, and what TypeScript's own library does not know yet.

declare var WORD_LISTS: { [name: string]: string };

interface Window {
  trustedTypes?: {
    createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string };
  };
}
