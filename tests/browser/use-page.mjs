// SPDX-License-Identifier: Apache-2.0
// Plays the user of a page: node use-page.mjs ORIGIN PASSWORD loads ORIGIN/login.js with the module that it imports,
// submits the form once, and prints what the page shows. The document has only what such a page needs.

const [origin, password] = process.argv.slice(2);
const network = globalThis.fetch;
const load = async (path) => (await network(origin + path)).text();
const url = (text) => `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;

const input = { value: password };
const shown = new Promise((resolve) => {
  const output = { set value(text) { resolve(text); } };
  let listener;
  const form = {
    querySelector: (name) => ({ input, output })[name],
    addEventListener: (_, handle) => (listener = handle),
  };
  globalThis.document = { querySelector: () => form };
  globalThis.submit = () => listener({ preventDefault() {} });
});
globalThis.fetch = (path, options) => {
  if (options.body.includes(password)) throw new Error("the password left the page");
  return network(origin + path, options);
};

const encryptor = url(await load("/encryptor.js"));
await import(url((await load("/login.js")).replace('"/encryptor.js"', JSON.stringify(encryptor))));
await globalThis.submit();
process.stdout.write(JSON.stringify({ shown: await shown, left: input.value }));
