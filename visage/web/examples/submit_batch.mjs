import { readFile, writeFile } from "node:fs/promises";

const form = new FormData();
form.append("files", new Blob([await readFile("photo.jpg")]), "photo.jpg");
form.append("method", "mosaic");
const response = await fetch("http://localhost:8080/batches", { method: "POST", body: form });
let batch = await response.json();
if (!response.ok) throw new Error(batch.error);
const address = `http://localhost:8080/batches/${batch.id}`;
while (["waiting", "running"].includes(batch.state)) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  batch = await (await fetch(address)).json();
  console.log(batch.done, "of", batch.total);
}
const result = await fetch(`${address}/result.zip`);
await writeFile("result.zip", Buffer.from(await result.arrayBuffer()));
await fetch(address, { method: "DELETE" });
