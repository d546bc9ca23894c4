// Has a reporter's file drawn, and accepts only pixels of limited size in return.
//
// The file is drawn in a new hidden frame without an origin, in a worker (see viewer/). This script
// never parses the file: it fetches the bytes and passes them on. The file may have taken over the
// worker, so the form of each response is checked, and no response is shown as text.

const MOST_PIXELS = 16_000_000; // in one response
const MOST_PAGES = 10_000; // the maximum that a document may state
const START_SECONDS = 60; // until the frame is ready; a quiet laptop takes one second
const ANSWER_SECONDS = 60; // for each response: a large picture on a slow laptop takes 10
const FAULTS = new Set(["locked", "damaged", "too_large", "unknown_kind", "ours"]);

/** The reason why a file is not shown: `name` is in FAULTS, or "too_slow", "not_received", "altered". */
export class Fault extends Error {
  constructor(name, { width = 0, height = 0 } = {}) {
    super(name);
    this.name = name;
    this.width = width;
    this.height = height;
  }
}

/**
 * Draw pages `from` to `to` of a file, and await `eachPage(number, imageData, reduced)` for each.
 *
 * `file` is {kind, content, frame}: a media type, and the addresses of the bytes and of the frame.
 * `seconds` is the time for each answer. Returns how many pages the file has. Throws Fault.
 */
export async function draw(file, eachPage, { from = 1, to = 1, seconds = ANSWER_SECONDS } = {}) {
  await selfTest(file.frame);
  const bytes = await received(file.content);
  return drawBytes(file.frame, file.kind, bytes, eachPage, { from, to, seconds });
}

async function drawBytes(frameAddress, kind, bytes, eachPage, { from, to, seconds }) {
  const frame = await Frame.open(frameAddress);
  try {
    const { pages } = await frame.ask({ kind, bytes }, [bytes], seconds);
    if (!whole(pages, MOST_PAGES)) throw new Fault("ours");
    for (let number = from; number <= Math.min(to, pages); number++) {
      const answer = await frame.ask({ page: number }, [], seconds);
      await eachPage(number, imageOf(answer), answer.reduced === true);
    }
    return pages;
  } finally {
    frame.close();
  }
}

async function received(address) {
  try {
    const answer = await fetch(address, { cache: "no-store", redirect: "error" });
    if (answer.ok) return await answer.arrayBuffer();
  } catch {
    // reported below: the desk has ended, or found a fault in the file while sending it
  }
  throw new Fault("not_received");
}

const whole = (value, most) => Number.isInteger(value) && value > 0 && value <= most;

function imageOf({ width, height, pixels }) {
  const fits =
    whole(width, MOST_PIXELS) &&
    whole(height, MOST_PIXELS) &&
    width * height <= MOST_PIXELS &&
    pixels instanceof ArrayBuffer &&
    !pixels.resizable &&
    pixels.byteLength === 4 * width * height;
  if (!fits) throw new Fault("ours");
  return new ImageData(new Uint8ClampedArray(pixels), width, height);
}

/** One hidden frame, for one file. Removing it ends its worker, whatever the worker is doing. */
class Frame {
  static async open(address) {
    const frame = new Frame();
    const element = document.createElement("iframe");
    element.sandbox = "allow-scripts";
    element.allow = "";
    element.referrerPolicy = "no-referrer";
    element.hidden = true;
    element.src = address;
    frame.element = element;
    const ready = new Promise((resolve) => {
      frame.listener = (event) => {
        if (event.source === element.contentWindow && event.data === "ready") resolve();
      };
    });
    addEventListener("message", frame.listener);
    document.body.append(element);
    try {
      await within(START_SECONDS, ready, "ours");
    } catch (error) {
      frame.close();
      throw error;
    }
    return frame;
  }

  /** Send a message and return the response. Throws Fault if it is one, or arrives too late. */
  async ask(message, transfer, seconds) {
    const answered = new Promise((resolve) => {
      this.resolve = resolve;
    });
    if (this.port) {
      this.port.postMessage(message, transfer);
    } else {
      const { port1, port2 } = new MessageChannel();
      this.port = port1;
      port1.onmessage = ({ data }) => this.resolve(data);
      // The frame has no origin to name; its page is the desk's own.
      this.element.contentWindow.postMessage(message, "*", [port2, ...transfer]);
    }
    const answer = await within(seconds, answered, "too_slow");
    if (typeof answer !== "object" || answer === null) throw new Fault("ours");
    if ("fault" in answer) {
      const { fault, width, height } = answer;
      const stated = whole(width, 2 ** 32) && whole(height, 2 ** 32) ? { width, height } : {};
      throw new Fault(FAULTS.has(fault) ? fault : "ours", stated);
    }
    return answer;
  }

  close() {
    removeEventListener("message", this.listener);
    this.port?.close();
    this.element.remove();
  }
}

function within(seconds, promise, fault) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Fault(fault)), seconds * 1_000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Some browsers alter every picture that a page reads back, as a protection against fingerprinting.
// The display or copy of a file would then be noise.

let tested;

/** Throw Fault "altered" unless known colours are returned unchanged. A passed check is not repeated. */
export function selfTest(frameAddress) {
  tested ??= compareColours(frameAddress).catch((error) => {
    tested = undefined;
    throw error;
  });
  return tested;
}

async function compareColours(frameAddress) {
  const side = 16;
  const expected = new Uint8ClampedArray(4 * side * side);
  for (let i = 0; i < side * side; i++) expected.set([i, 255 - i, (i * 7) & 255, 255], 4 * i);
  const bitmap = bitmapFile(side, expected);
  const same = (one) => one.length === expected.length && expected.every((v, i) => v === one[i]);
  const compare = (_, image) => {
    const context = canvasOf(image).getContext("2d");
    const back = context.getImageData(0, 0, side, side).data;
    if (!same(image.data) || !same(back)) throw new Fault("altered");
  };
  const once = { from: 1, to: 1, seconds: ANSWER_SECONDS };
  await drawBytes(frameAddress, "image/bmp", bitmap, compare, once);
}

/** Return the bytes of a square BMP picture, 24 bits a pixel; rows of `side` pixels fill whole words. */
function bitmapFile(side, rgba) {
  const head = 54;
  const view = new DataView(new ArrayBuffer(head + 3 * side * side));
  view.setUint16(0, 0x424d);
  view.setUint32(2, view.byteLength, true);
  view.setUint32(10, head, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, side, true);
  view.setInt32(22, -side, true); // rows from the top
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let i = 0; i < side * side; i++) {
    for (const part of [0, 1, 2]) view.setUint8(head + 3 * i + part, rgba[4 * i + 2 - part]);
  }
  return view.buffer;
}

/** Return a canvas with these pixels. */
export function canvasOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d", { alpha: false }).putImageData(image, 0, 0);
  return canvas;
}

/** Return the canvas as a file of this media type that contains only its pixels. Throws Fault. */
export async function encoded(canvas, type) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.9));
  if (!blob || blob.type !== type) throw new Fault("ours");
  return blob;
}
