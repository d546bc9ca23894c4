// The width and height in a picture's header, read before the picture is decoded, because a small
// file can unpack to gigabytes. Each function takes a DataView and returns [width, height], or
// undefined if there is no such header.

const text = (view, at, length) => {
  let made = "";
  for (let i = at; i < at + length && i < view.byteLength; i++) {
    made += String.fromCharCode(view.getUint8(i));
  }
  return made;
};

// Reading past the end of a truncated file throws a RangeError.
const within = (read) => (view) => {
  try {
    return read(view);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
};

function png(view) {
  if (text(view, 12, 4) !== "IHDR") return undefined;
  return [view.getUint32(16), view.getUint32(20)];
}

// The markers SOF0 to SOF15 contain the size. DHT, JPG and DAC have numbers in that range.
const NO_FRAME = new Set([0xc4, 0xc8, 0xcc]);

function jpeg(view) {
  let at = 2;
  for (;;) {
    while (view.getUint8(at) !== 0xff) at++; // like decoders, skip bytes that are no marker
    while (view.getUint8(at) === 0xff) at++;
    const marker = view.getUint8(at++);
    if (marker >= 0xc0 && marker <= 0xcf && !NO_FRAME.has(marker)) {
      return [view.getUint16(at + 5), view.getUint16(at + 3)];
    }
    if (marker === 0xda || marker === 0xd9) return undefined;
    const alone = marker === 0x00 || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    if (!alone) at += view.getUint16(at);
  }
}

// The first picture can be larger than the screen size in the header; browsers then enlarge it.
function gif(view) {
  let [width, height] = [view.getUint16(6, true), view.getUint16(8, true)];
  const table = (flags) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + table(view.getUint8(10));
  for (;;) {
    const block = view.getUint8(at++);
    if (block === 0x2c) {
      width = Math.max(width, view.getUint16(at, true) + view.getUint16(at + 4, true));
      height = Math.max(height, view.getUint16(at + 2, true) + view.getUint16(at + 6, true));
      return [width, height];
    }
    if (block !== 0x21) return undefined;
    at++;
    while (view.getUint8(at)) at += 1 + view.getUint8(at);
    at++;
  }
}

function webp(view) {
  const form = text(view, 12, 4);
  const three = (at) => view.getUint16(at, true) + view.getUint8(at + 2) * 0x10000 + 1;
  if (form === "VP8X") return [three(24), three(27)];
  if (form === "VP8L") {
    const bits = view.getUint32(21, true);
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
  }
  if (form !== "VP8 ") return undefined;
  return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
}

function bmp(view) {
  if (view.getUint32(14, true) === 12) return [view.getUint16(18, true), view.getUint16(20, true)];
  return [Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true))];
}

// The largest of all sizes in the boxes: a grid of tiles states its own size and that of its tiles.
const AVIF_HEAD = 1024 * 1024; // bytes; the boxes before the pictures take a few kilobytes

function avif(view) {
  let found;
  const end = Math.min(view.byteLength, AVIF_HEAD) - 16;
  for (let at = 0; at <= end; at++) {
    if (view.getUint32(at) !== 0x69737065) continue; // "ispe"
    const size = [view.getUint32(at + 8), view.getUint32(at + 12)];
    if (!found || size[0] * size[1] > found[0] * found[1]) found = size;
  }
  return found;
}

export const READ_SIZE = {
  "image/png": within(png),
  "image/jpeg": within(jpeg),
  "image/gif": within(gif),
  "image/webp": within(webp),
  "image/bmp": within(bmp),
  "image/avif": within(avif),
};
