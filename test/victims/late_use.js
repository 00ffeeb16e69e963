// late_use - a Node.js program that keeps sockets open after their end and uses them late.
//
// It prints "ready" and obeys one command a line; connections have numbers, from 0.
//
//   connect PORT   reads, and keeps its own half open (allowHalfOpen)
//   events N       what it has emitted so far
//   write N, end N, destroy N
//   block PATH     the event loop stands still until somebody has written to this fifo
//   nop
'use strict';
const fs = require('fs');
const net = require('net');
const readline = require('readline');

const sockets = [];

function connect(port) {
    const socket = net.connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    const entry = { socket, events: [] };
    const number = sockets.push(entry) - 1;
    for (const name of ['end', 'finish', 'close']) {
        socket.on(name, () => entry.events.push(name));
    }
    socket.on('error', (error) => entry.events.push(`error:${error.code}`));
    socket.on('data', (data) => entry.events.push(`data:${data.length}`));
    socket.on('connect', () => console.log(`ok ${number}`));
}

function obey(line) {
    const [verb, first] = line.split(' ');
    if (verb === 'connect') {
        connect(first);
        return;
    }
    if (verb === 'block') {
        fs.readFileSync(first);
        console.log('ok');
        return;
    }
    const entry = sockets[Number(first)];
    if (verb === 'events') {
        console.log(`ok ${entry.events.join(' ')}`);
        return;
    }
    if (verb === 'write') {
        entry.socket.write('x');
    } else if (verb !== 'nop') {
        entry.socket[verb]();
    }
    console.log('ok');
}

const input = readline.createInterface({ input: process.stdin });
input.on('line', obey);
input.on('close', () => sockets.forEach((entry) => entry.socket.destroy()));
console.log('ready');
