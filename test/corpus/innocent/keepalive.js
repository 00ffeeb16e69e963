// Node.js: an agent that keeps its connections alive, more of them than are in use at most times, and hears when the
// server ends one.
"use strict";

const http = require("http");

const agent = new http.Agent({ keepAlive: true });
const fetch = (url) => http.get(url, { agent }, (response) => response.resume());

let rounds = 200;
setInterval(() => {
	if (rounds-- === 0) process.exit();
	for (let i = rounds % 10 === 0 ? 20 : 1; i > 0; i--) fetch(process.argv[2]);
}, 300);
