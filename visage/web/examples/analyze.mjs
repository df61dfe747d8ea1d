import { readFile, writeFile } from "node:fs/promises";

const answer = await fetch("http://localhost:8080/analyze?min_confidence=0.7", {
  method: "POST",
  headers: { "Content-Type": "image/jpeg" },
  body: await readFile("photo.jpg"),
});
if (!answer.ok) throw new Error((await answer.json()).error);
await writeFile("faces.jpg", Buffer.from(await answer.arrayBuffer()));
