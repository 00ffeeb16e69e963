// loop.js PORT COUNT: connections whose end is not answered, and a listener
// on any address, which Node.js opens in the caller's own turn.
"use strict";
const net = require("net");
const [port, count] = process.argv.slice(2).map(Number);
const kept = [];

function fetchAgain(left) {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("connect", () => (left > 1 ? fetchAgain(left - 1) : console.log("ready")));
  socket.resume();
  kept.push(socket);
}

function serve() { // BLAME serve
  kept.push(net.createServer().listen(0));
}

serve();
fetchAgain(count);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
