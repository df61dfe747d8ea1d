import { readFile } from "node:fs/promises";

const response = await fetch("http://localhost:8080/predict?annotated=false", {
  method: "POST",
  headers: { Authorization: "Bearer TOKEN", "Content-Type": "image/jpeg" },
  body: await readFile("photo.jpg"),
});
const content = await response.json();
if (!response.ok) throw new Error(content.error);
for (const face of content.faces) console.log(face.bbox, face.gender, face.age);
