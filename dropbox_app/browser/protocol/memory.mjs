// Memory that is given back before the engine would do so. A file passes in large buffers, which
// engines collect late.

const HURRY = 16; // times the bytes that are given back

/**
 * Let the engine soon collect bytes that nobody reads any more. It counts the buffers that scripts
 * make, but seems not to count the copies that the browser makes when it reads a file or sends a
 * body, and lets them pile up. A buffer that is never touched is counted, and takes no memory.
 *
 * The bytes are not taken away from the script. With `ArrayBuffer.transfer`, which
 * does that, Chromium needed two to three times as much: it seems to keep the memory of a buffer
 * that it made itself, such as a piece of a file, and no longer to count it.
 * @param {Uint8Array} bytes
 */
export function release({ length }) {
  try {
    return new ArrayBuffer(HURRY * length).byteLength;
  } catch {
    return 0; // too little room even for this: the engine has already collected what it could
  }
}
