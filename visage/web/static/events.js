/** The server-sent events of an answer, as { event, data }. Read by fetch, because EventSource sends no token. */
export async function* serverSentEvents(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      if ("data" in fields) yield { event: fields.event, data: JSON.parse(fields.data) };
    }
  }
}
