/** Yield the server-sent events of a response as { event, data }. EventSource cannot send a token, so fetch reads them. */
export async function* serverSentEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let last = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    // A picture comes in many pieces, so the text is searched only when an event may have ended.
    const mayEnd = (last + value).includes("\n\n");
    last = value.slice(-1);
    if (!mayEnd) continue;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      if ("data" in fields) yield { event: fields.event, data: JSON.parse(fields.data) };
    }
  }
}
