// As visage/faces/tables.py: the columns, and what a spreadsheet may take for the beginning of a formula.
const COLUMNS = ["file", "face", "x1", "y1", "x2", "y2", "confidence", "gender", "gender_confidence", "age", "age_confidence", "age_years"];
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

// Excel reads a file that begins with this mark as UTF-8.
const BYTE_ORDER_MARK = "\ufeff";

/**
 * The table that the service makes of a batch: a row for each face, numbered from 1 in each photo; a photo without faces
 * has one row, with face 0. `photos` are pairs of a name and its faces.
 */
export function facesCsv(photos) {
  const rows = photos.flatMap(([file, faces]) => (faces.length ? faces.map((face, index) => rowOf(file, face, index + 1)) : [{ file, face: 0 }]));
  const lines = [COLUMNS, ...rows.map((row) => COLUMNS.map((column) => row[column] ?? ""))].map((cells) => cells.map(quoted).join(","));
  return new Blob([BYTE_ORDER_MARK, ...lines.map((line) => `${line}\r\n`)], { type: "text/csv" });
}

function rowOf(file, face, number) {
  const [x1, y1, x2, y2] = face.bbox;
  return { ...face, file, face: number, x1, y1, x2, y2 };
}

function quoted(value) {
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
  return `"${text.replaceAll('"', '""')}"`;
}
