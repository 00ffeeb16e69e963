// Node.js: the response's status is all that is wanted, and its body is neither read nor dropped.
"use strict";

const http = require("http");

function fetch(url) {
	http.get(url, (response) => {
		if (response.statusCode !== 200) process.exit(1);
		// response.resume() is what is missing
	});
}

let left = 1000;
setInterval(() => (left-- > 0 ? fetch(process.argv[2]) : process.exit()), 100);
