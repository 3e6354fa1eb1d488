/** Bytes to lines of text. */
export class TextLines extends TransformStream<Uint8Array<ArrayBuffer>, string> {
  /** Makes a stream; what comes after the last line break is no line. */
  constructor() {
    const decoder = new TextDecoder();
    let rest = "";
    super({
      transform: (bytes, controller) => {
        const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
    });
  }
}
