// Draws a reporter's file and returns pixels. It runs in a worker inside a frame without an origin,
// where there is no document, network, cookie or WebRTC.
//
// In:  {kind, bytes} once, then {page} for each requested page, from 1.
// Out: {pages}, then for each page {page, width, height, pixels, reduced}; or {fault, ...} and the
//      end. Faults: "locked", "damaged", "too_large" (with the width and height that the file
//      states), "unknown_kind", and "ours" for errors that are not the file's fault.
import * as pdfjs from "pdfjs-dist/legacy/build/pdf.mjs";
import * as pdfWorker from "pdfjs-dist/legacy/build/pdf.worker.mjs";
import dingbats from "pdfjs-dist/standard_fonts/FoxitDingbats.pfb";
import symbol from "pdfjs-dist/standard_fonts/FoxitSymbol.pfb";
import fixed from "pdfjs-dist/standard_fonts/FoxitFixed.pfb";
import fixedBold from "pdfjs-dist/standard_fonts/FoxitFixedBold.pfb";
import serif from "pdfjs-dist/standard_fonts/FoxitSerif.pfb";
import serifBold from "pdfjs-dist/standard_fonts/FoxitSerifBold.pfb";
import serifItalic from "pdfjs-dist/standard_fonts/FoxitSerifItalic.pfb";
import serifBoldItalic from "pdfjs-dist/standard_fonts/FoxitSerifBoldItalic.pfb";
import sans from "pdfjs-dist/standard_fonts/LiberationSans-Regular.ttf";
import sansBold from "pdfjs-dist/standard_fonts/LiberationSans-Bold.ttf";
import jbig2 from "pdfjs-dist/wasm/jbig2.wasm";
import openjpeg from "pdfjs-dist/wasm/openjpeg.wasm";
import qcms from "pdfjs-dist/wasm/qcms_bg.wasm";
import { READ_SIZE } from "./picture_size.mjs";

const MOST_DECODED = 60_000_000; // pixels that a picture may have
const MOST_RETURNED = 16_000_000; // pixels in a response, which take 64 MB
const LONGEST_SIDE = 16_384; // pixels; every browser's canvas supports this size
const DOTS = 150 / 72; // pixels for each point of a PDF page

// Styles that are missing here are drawn with the nearest available one.
const BUILT_IN = {
  "FoxitDingbats.pfb": dingbats,
  "FoxitSymbol.pfb": symbol,
  "FoxitFixed.pfb": fixed,
  "FoxitFixedBold.pfb": fixedBold,
  "FoxitFixedItalic.pfb": fixed,
  "FoxitFixedBoldItalic.pfb": fixedBold,
  "FoxitSerif.pfb": serif,
  "FoxitSerifBold.pfb": serifBold,
  "FoxitSerifItalic.pfb": serifItalic,
  "FoxitSerifBoldItalic.pfb": serifBoldItalic,
  "LiberationSans-Regular.ttf": sans,
  "LiberationSans-Bold.ttf": sansBold,
  "LiberationSans-Italic.ttf": sans,
  "LiberationSans-BoldItalic.ttf": sansBold,
  "jbig2.wasm": jbig2,
  "openjpeg.wasm": openjpeg,
  "qcms_bg.wasm": qcms,
};

globalThis.pdfjsWorker = pdfWorker; // so that pdf.js starts no other worker

class Fault extends Error {
  constructor(fault, more = {}) {
    super(fault);
    this.answer = { fault, ...more };
  }
}

class CanvasFactory {
  create(width, height) {
    const canvas = new OffscreenCanvas(Math.max(1, width), Math.max(1, height));
    return { canvas, context: canvas.getContext("2d", { willReadFrequently: true }) };
  }
  reset(made, width, height) {
    made.canvas.width = width;
    made.canvas.height = height;
  }
  destroy(made) {
    made.canvas.width = made.canvas.height = 1;
  }
}

class FilterFactory {
  addFilter() {
    return "none";
  }
  addHCMFilter() {
    return "none";
  }
  addAlphaFilter() {
    return "none";
  }
  addLuminosityFilter() {
    return "none";
  }
  addHighlightHCMFilter() {
    return "none";
  }
  destroy() {}
}

class BinaryDataFactory {
  async fetch({ filename }) {
    const found = BUILT_IN[filename];
    if (!found) throw new Error(`${filename} is not built in`);
    return found.slice(); // pdf.js may transfer the original
  }
}

/** Return the factor that reduces a size to the response's limit; at most `wanted`. */
function scaleFor(width, height, wanted) {
  const byArea = Math.sqrt(MOST_RETURNED / (width * height));
  return Math.min(wanted, byArea, LONGEST_SIDE / Math.max(width, height));
}

function canvasOf(width, height, scale) {
  const canvas = new OffscreenCanvas(
    Math.max(1, Math.floor(width * scale)),
    Math.max(1, Math.floor(height * scale)),
  );
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return context;
}

function pixelsOf(context) {
  const { width, height } = context.canvas;
  const pixels = context.getImageData(0, 0, width, height).data.buffer;
  return { width, height, pixels };
}

async function openPicture(kind, bytes) {
  const size = READ_SIZE[kind](new DataView(bytes));
  if (!size) throw new Fault("damaged");
  const [width, height] = size;
  if (width * height > MOST_DECODED) throw new Fault("too_large", { width, height });
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type: kind }));
  } catch (error) {
    throw new Fault("damaged", { said: String(error) });
  }
  return {
    pages: 1,
    draw() {
      const scale = scaleFor(bitmap.width, bitmap.height, 1);
      const context = canvasOf(bitmap.width, bitmap.height, scale);
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, context.canvas.width, context.canvas.height);
      return { ...pixelsOf(context), reduced: scale < 1 };
    },
  };
}

// pdf.js's errors for a locked or damaged PDF. Any other error is our own.
const OF_THE_FILE = {
  PasswordException: "locked",
  InvalidPDFException: "damaged",
  FormatError: "damaged",
  UnknownErrorException: "damaged",
};

async function openPdf(bytes) {
  const options = {
    data: new Uint8Array(bytes),
    BinaryDataFactory,
    CanvasFactory,
    FilterFactory,
    disableFontFace: true,
    enableXfa: false,
    isEvalSupported: false,
    isImageDecoderSupported: false,
    maxImageSize: MOST_DECODED,
    standardFontDataUrl: "built-in/",
    useSystemFonts: false,
    useWorkerFetch: false,
    verbosity: pdfjs.VerbosityLevel.ERRORS,
    wasmUrl: "built-in/",
  };
  let document;
  try {
    document = await pdfjs.getDocument(options).promise;
  } catch (error) {
    const fault = OF_THE_FILE[error.name];
    throw fault ? new Fault(fault) : error;
  }
  return {
    pages: document.numPages,
    async draw(number) {
      let page;
      try {
        page = await document.getPage(number);
      } catch (error) {
        throw new Fault("damaged", { said: String(error) });
      }
      const [left, bottom, right, top] = page.view;
      const scale = scaleFor(Math.max(1, right - left), Math.max(1, top - bottom), DOTS);
      const viewport = page.getViewport({ scale });
      const context = canvasOf(viewport.width, viewport.height, 1);
      // Filled-in fields and notes are part of the visible page, so they are drawn.
      const annotationMode = pdfjs.AnnotationMode.ENABLE;
      await page.render({ canvas: null, canvasContext: context, viewport, annotationMode,
        intent: "print" }).promise; // print: without interruptions and without a screen's timing
      page.cleanup();
      return { ...pixelsOf(context), reduced: scale < DOTS };
    },
  };
}

function open({ kind, bytes }) {
  if (kind === "application/pdf") return openPdf(bytes);
  if (Object.hasOwn(READ_SIZE, kind)) return openPicture(kind, bytes);
  throw new Fault("unknown_kind");
}

let opened;

async function answer(asked) {
  if ("bytes" in asked) {
    opened = await open(asked);
    postMessage({ pages: opened.pages });
  } else if ("page" in asked) {
    const drawn = await opened.draw(asked.page);
    postMessage({ page: asked.page, ...drawn }, [drawn.pixels]);
  }
}

addEventListener("message", ({ data }) => {
  answer(data).catch((error) => {
    postMessage(error instanceof Fault ? error.answer : { fault: "ours", said: String(error) });
  });
});
