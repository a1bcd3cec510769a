// Drives a local chain with a client library that knows nothing of it, and prints what it saw as JSON.
// usage: node client.mjs RPC_URL USDC_MINT PROGRAM_ID

import {
  Connection,
  Keypair,
  PublicKey,
  SystemProgram,
  Transaction,
  TransactionMessage,
  VersionedTransaction,
} from "@solana/web3.js";

const [url, mint, program] = process.argv.slice(2);
const connection = new Connection(url, "confirmed");
const seen = { accounts: [], logs: 0, slots: 0 };

const version = await connection.getVersion();
const genesis = await connection.getGenesisHash();

const payer = Keypair.generate();
const friend = Keypair.generate().publicKey;
const airdrop = await connection.requestAirdrop(payer.publicKey, 3_000_000_000);
const first = await connection.getLatestBlockhash();
await connection.confirmTransaction({ signature: airdrop, ...first });
const funded = await connection.getBalance(payer.publicKey);

const account = connection.onAccountChange(friend, (info, context) => {
  seen.accounts.push({ lamports: info.lamports, slot: context.slot });
});
const logs = connection.onLogs(friend, () => (seen.logs += 1));
const slots = connection.onSlotChange(() => (seen.slots += 1));
// The library sends its subscriptions in its own time: wait until slots arrive.
while (seen.slots === 0) await new Promise((done) => setTimeout(done, 10));

const send = async (transaction, blockhash) => {
  const signature = await connection.sendRawTransaction(transaction.serialize());
  const { value } = await connection.confirmTransaction({ signature, ...blockhash });
  return { signature, err: value.err };
};

const transfer = (lamports) =>
  SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: friend, lamports });

let blockhash = await connection.getLatestBlockhash();
const legacy = new Transaction({ feePayer: payer.publicKey, ...blockhash }).add(
  transfer(1_000_000_000),
);
legacy.sign(payer);
const sent = await send(legacy, blockhash);

blockhash = await connection.getLatestBlockhash();
const versioned = new VersionedTransaction(
  new TransactionMessage({
    payerKey: payer.publicKey,
    recentBlockhash: blockhash.blockhash,
    instructions: [transfer(500_000_000)],
  }).compileToV0Message(),
);
versioned.sign([payer]);
const simulated = await connection.simulateTransaction(versioned);
const sentVersioned = await send(versioned, blockhash);

const options = { commitment: "confirmed", maxSupportedTransactionVersion: 0 };
const found = await connection.getTransaction(sent.signature, options);
const parsed = await connection.getParsedTransaction(sentVersioned.signature, options);
const statuses = await connection.getSignatureStatuses([sent.signature]);
const history = await connection.getSignaturesForAddress(friend);
const supply = await connection.getTokenSupply(new PublicKey(mint));
const parsedMint = await connection.getParsedAccountInfo(new PublicKey(mint));
const pools = await connection.getProgramAccounts(new PublicKey(program), {
  filters: [{ dataSize: 637 }],
});
const fees = await connection.getRecentPrioritizationFees();
const epoch = await connection.getEpochInfo();
const feeForMessage = await connection.getFeeForMessage(versioned.message);

let refused;
try {
  await connection.sendRawTransaction(legacy.serialize());
} catch (error) {
  refused = error.message;
}

while (seen.accounts.length < 2) await new Promise((done) => setTimeout(done, 10));
await connection.removeAccountChangeListener(account);
await connection.removeOnLogsListener(logs);
await connection.removeSlotChangeListener(slots);

console.log(
  JSON.stringify({
    version: version["solana-core"],
    genesis,
    funded,
    sent,
    sentVersioned,
    simulated: simulated.value.err,
    left: await connection.getBalance(payer.publicKey),
    friend: await connection.getBalance(friend),
    seen,
    fee: found.meta.fee,
    parsedKeys: parsed.transaction.message.accountKeys.length,
    status: statuses.value[0].confirmationStatus,
    history: history.length,
    decimals: supply.value.decimals,
    mintType: parsedMint.value.data.parsed.type,
    pools: pools.length,
    fees: fees.length,
    epoch: epoch.epoch,
    feeForMessage: feeForMessage.value,
    refused,
  }),
);
process.exit(0);
