// Calls a service, whose URL and photo are the arguments, through types that openapi-typescript generated.
import { readFile } from "node:fs/promises";

import createClient from "openapi-fetch";

import type { paths } from "./api.js";

const [url = "", file = ""] = process.argv.slice(2);
const photo = await readFile(file);
const api = createClient<paths, "application/json">({ baseUrl: url });

/** Sends the fields of a form, of which some are files: the generated types have text for both. */
function form(fields: unknown): FormData {
  const sent = new FormData();
  for (const [name, value] of Object.entries(fields as object))
    for (const each of [value].flat())
      if (each === photo) sent.append(name, new Blob([photo]), "photo.jpg");
      else sent.append(name, String(each));
  return sent;
}
const asText = photo as unknown as string;

const predicted = await api.POST("/predict", { body: { image: photo.toString("base64"), annotated: false } });
const anonymized = await api.POST("/anonymize", {
  params: { query: { method: "solid" } },
  body: { image: asText, shape: "box" },
  bodySerializer: form,
  parseAs: "arrayBuffer",
});
const enhanced = await api.POST("/enhance", {
  body: { image: asText, format: "json", picture: false },
  bodySerializer: form,
});
const refused = await api.POST("/predict", { params: { query: { max_faces: 0 } }, body: { image: "" } });
// @ts-expect-error: a boolean is no text.
await api.POST("/predict", { body: { image: "", annotated: "false" } });

const submitted = await api.POST("/batches", {
  body: { files: [asText], task: "predict" },
  bodySerializer: form,
});
const params = { path: { batch_id: submitted.data?.id ?? "" } };
let batch = await api.GET("/batches/{batch_id}", { params });
while (batch.data?.state === "waiting" || batch.data?.state === "running") {
  await new Promise((resolve) => setTimeout(resolve, 200));
  batch = await api.GET("/batches/{batch_id}", { params });
}
const result = await api.GET("/batches/{batch_id}/result.zip", { params, parseAs: "arrayBuffer" });
const deleted = await api.DELETE("/batches/{batch_id}", { params });

console.log(
  JSON.stringify({
    predicted: predicted.data?.faces.map((face) => [face.bbox[0], face.gender, face.age_range[1]]),
    annotated: predicted.data?.annotated_jpeg ?? null,
    anonymized: new TextDecoder("latin1").decode(new Uint8Array(anonymized.data as unknown as ArrayBuffer, 0, 4)),
    enhanced: [enhanced.data?.image.width, enhanced.data?.scale],
    refused: refused.error?.code,
    files: batch.data?.files?.map((each) => [each.state, each.faces]),
    result: (result.data as unknown as ArrayBuffer).byteLength,
    deleted: deleted.response.status,
  }),
);
