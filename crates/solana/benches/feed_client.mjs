// Follows one account with a client library that everybody uses, and prints when it was told of each change.
// usage: node feed_client.mjs HTTP_URL WS_URL ACCOUNT

import { Connection, PublicKey } from "@solana/web3.js";

const [url, wsEndpoint, account] = process.argv.slice(2);
const connection = new Connection(url, { commitment: "processed", wsEndpoint });
let lines = "";
const flush = () => {
  process.stdout.write(lines);
  lines = "";
};
connection.onAccountChange(new PublicKey(account), (info, context) => {
  // Nanoseconds of the clock that the other side reads as well; what it was told has been decoded by now.
  const told = process.hrtime.bigint();
  // Written when nothing else is to be done, so that writing delays no notice of a burst.
  if (lines === "") setImmediate(flush);
  lines += `${context.slot} ${told} ${info.data.length}\n`;
});
