import { readFile, writeFile } from "node:fs/promises";

const answer = await fetch("http://localhost:8080/anonymize?method=mosaic", {
  method: "POST",
  headers: { "Content-Type": "image/jpeg" },
  body: await readFile("photo.jpg"),
});
if (!answer.ok) throw new Error((await answer.json()).error);
await writeFile("anonymous.jpg", Buffer.from(await answer.arrayBuffer()));
