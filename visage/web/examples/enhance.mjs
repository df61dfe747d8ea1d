import { readFile, writeFile } from "node:fs/promises";

const response = await fetch("http://localhost:8080/enhance", {
  method: "POST",
  headers: { Authorization: "Bearer TOKEN", "Content-Type": "image/jpeg" },
  body: await readFile("photo.jpg"),
});
if (!response.ok) throw new Error((await response.json()).error);
await writeFile("larger.jpg", Buffer.from(await response.arrayBuffer()));
