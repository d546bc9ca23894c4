// The reporter's own files. Only the counsellors can open them, so nothing of them is shown, but the
// reporter can check whether the server still has what was sent.

import { say, tell } from "./dom.mjs";
import { Refused } from "./helper.mjs";
import { Failed, Stopped, Transfer } from "./transfers.mjs";

/** @typedef {import("./conversation.mjs").Conversation} Conversation */

/** Fetch an own file, compare it with what was signed, and say the result. @param {Conversation} conversation @param {{item: string}} file */
export async function checkOwn(conversation, { item }) {
  if (conversation.busy) return;
  const { client, token, files } = conversation;
  const transfer = new Transfer(token, () => tell(say("sealed.file_waiting")));
  files.transfer = transfer;
  conversation.busy = true;
  try {
    tell(say("sealed.file_comparing"));
    await client.ask("checkFile", { item });
    await transfer.fetch(item, (bytes) => client.ask("openPart", { bytes }));
    await client.ask("openLast");
    transfer.check();
    tell(say("files.whole"));
  } catch (error) {
    if (error instanceof Stopped || conversation.token !== token) return;
    const altered = error instanceof Refused && error.name === "file_broken" ? "files.altered" : "sealed.network";
    tell(say(error instanceof Failed ? error.key : altered));
  } finally {
    conversation.busy = false;
    files.transfer = null;
  }
}
