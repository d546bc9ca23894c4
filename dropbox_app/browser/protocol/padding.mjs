// Sizes: sealed data has one of a few lengths, each of which reveals little (SPEC section 4).
// No 32-bit operators: lengths go beyond them.

export const MESSAGE_SIZES = [8_192, 32_768, 131_072];
const SMALLEST_ATTACHMENT = 16_384;

/** Return the length up to which an attachment of `size` bytes is padded. @param {number} size */
export const attachmentSize = (size) => Math.max(SMALLEST_ATTACHMENT, padme(size));

/** Round up so that at most log2 log2 of the length's bits remain. @param {number} length */
function padme(length) {
  if (length < 2) return length;
  const exponent = floorLog2(length);
  const step = 2 ** Math.max(0, exponent - (floorLog2(exponent || 1) + 1));
  const over = length % step;
  return over ? length - over + step : length;
}

/** Return E with 2^E <= number < 2^(E + 1), exactly; Math.log2 rounds. @param {number} number */
function floorLog2(number) {
  let exponent = 0;
  for (let power = 2; power <= number; power *= 2) exponent++;
  return exponent;
}
