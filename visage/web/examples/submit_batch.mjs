import { readFile, writeFile } from "node:fs/promises";

const send = (url, options) => fetch(url, { ...options, headers: { Authorization: "Bearer TOKEN" } });
const form = new FormData();
form.append("files", new Blob([await readFile("photo.jpg")]), "photo.jpg");
form.append("method", "mosaic");
const response = await send("http://localhost:8080/batches", { method: "POST", body: form });
let batch = await response.json();
if (!response.ok) throw new Error(batch.error);
const address = `http://localhost:8080/batches/${batch.id}`;
while (["waiting", "running"].includes(batch.state)) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  batch = await (await send(address)).json();
  console.log(batch.done, "of", batch.total);
}
const result = await send(`${address}/result.zip`);
await writeFile("result.zip", Buffer.from(await result.arrayBuffer()));
await send(address, { method: "DELETE" });
