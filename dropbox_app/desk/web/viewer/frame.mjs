// The only script of the frame. All code that reads a file's bytes runs in the worker, because in a
// frame's own page WebRTC and <link rel=preconnect> can reach the network despite every policy.
delete globalThis.RTCPeerConnection;
delete globalThis.webkitRTCPeerConnection;

let started = false;
addEventListener("message", (event) => {
  const port = event.ports[0];
  if (started || event.source !== parent || !port) return;
  started = true;
  const worker = new Worker(URL.createObjectURL(new Blob([WORKER_SOURCE])));
  worker.onmessage = ({ data }) => {
    if (data?.sourceName) return; // pdf.js sends a greeting to the creator of the worker
    port.postMessage(data, data?.pixels instanceof ArrayBuffer ? [data.pixels] : []);
  };
  worker.onerror = () => port.postMessage({ fault: "ours", said: "the worker did not start" });
  port.onmessage = ({ data }) => worker.postMessage(data);
  worker.postMessage(event.data, [event.data.bytes]);
});
parent.postMessage("ready", "*");
