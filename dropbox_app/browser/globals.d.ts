// Values inserted by build.mjs, and types that TypeScript's own library does not have yet.

declare var WORD_LISTS: { [name: string]: string };

interface Window {
  trustedTypes?: {
    createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string };
  };
}
