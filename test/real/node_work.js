// node_work - Node.js with all that a service does: an HTTP server, clients, children, a cluster, threads.
//
//   node node_work.js serve PORT     an HTTP server; "ready", then commands, one a line:
//     agent N    N requests to itself on kept connections      each N    the same with a connection each
//     children   spawn, exec, execFile and fork                workers N worker_threads that ask the server
//     slow N     N requests whose client goes before the answer
//     signals    how many SIGUSR2 have come
//     stop       stops serving, and the process ends by itself
//   node node_work.js cluster PORT   a cluster of two workers, which get their connections from the primary; "ready",
//     then "lose" (a worker is killed, another takes its place) and "stop"
'use strict';
const childProcess = require('child_process');
const cluster = require('cluster');
const http = require('http');
const readline = require('readline');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

let signals = 0; // SIGUSR2, so far

function body(size) {
    return Buffer.alloc(size, 'abcdefghij');
}

function answer(request, response) {
    const url = new URL(request.url, 'http://test');
    if (url.pathname === '/big') {
        response.end(body(Number(url.searchParams.get('bytes'))));
    } else if (url.pathname === '/pid') {
        response.end(String(process.pid));
    } else if (url.pathname === '/late') {
        setTimeout(() => response.end('late'), 100);
    } else if (url.pathname === '/stream') {
        let rest = 20;
        const timer = setInterval(() => {
            response.write(body(1000));
            if (--rest === 0) {
                clearInterval(timer);
                response.end();
            }
        }, 2);
    } else if (request.method === 'POST') {
        request.pipe(response);
    } else {
        response.end('hello\n');
    }
}

function get(port, path, agent) {
    return new Promise((resolve, reject) => {
        const request = http.get({ host: '127.0.0.1', port, path, agent }, (response) => {
            let length = 0;
            response.on('data', (data) => (length += data.length));
            response.on('end', () => resolve(length));
            response.on('error', reject);
        });
        request.on('error', reject);
    });
}

async function ask(port, count, agent) {
    let good = 0;
    const one = async (n) => {
        const length = await get(port, `/big?bytes=${n * 10}`, agent);
        good += length === n * 10 ? 1 : 0;
    };
    for (let n = 0; n < count; n += 50) {
        await Promise.all([...Array(Math.min(50, count - n)).keys()].map((k) => one(n + k)));
    }
    if (agent) {
        agent.destroy();
    }
    return good;
}

function leave(port) {
    return new Promise((resolve) => {
        const request = http.get({ host: '127.0.0.1', port, path: '/late', agent: false });
        request.on('error', (error) => resolve(error.code));
        request.on('socket', (socket) => socket.on('connect', () => setTimeout(() => request.destroy(), 20)));
    });
}

function run(start) {
    return new Promise((resolve) => {
        const child = start((error, stdout, stderr) => resolve([error && error.code, stdout, stderr].join(':')));
        if (child.pid === undefined) {
            resolve('none');
        }
    });
}

function spawn(command, args, options, input) {
    return new Promise((resolve) => {
        const child = childProcess.spawn(command, args, options);
        const said = [];
        child.on('error', (error) => resolve(error.code));
        if (child.stdout) {
            child.stdout.on('data', (data) => said.push(data));
        }
        child.on('close', (code, signal) => resolve(`${code}:${signal}:${Buffer.concat(said)}`));
        if (input !== undefined) {
            child.stdin.end(input);
        }
    });
}

function fork() {
    return new Promise((resolve) => {
        const child = childProcess.fork(__filename, ['child']);
        const said = [];
        child.on('message', (message) => {
            said.push(JSON.stringify(message));
            child.disconnect();
        });
        child.on('exit', (code) => resolve(`${code}:${said}`));
        child.send({ question: 6 });
    });
}

async function children() {
    const killed = childProcess.spawn('sleep', ['600']);
    const end = new Promise((resolve) => killed.on('exit', (code, signal) => resolve(`${code}:${signal}`)));
    killed.kill('SIGTERM');
    return [
        await end,
        await spawn('cat', [], {}, 'through cat'),
        await spawn('sh', ['-c', 'ls /proc/self/fd | wc -l; exit 3'], {}),
        await spawn('/no/such/program', [], {}),
        await spawn('true', [], { stdio: 'ignore', detached: true }),
        await run((done) => childProcess.exec('echo out; echo err >&2; exit 5', done)),
        await run((done) => childProcess.execFile('printf', ['%s', 'file'], done)),
        childProcess.execSync('echo sync').toString(),
        childProcess.spawnSync('kill', ['-USR2', String(process.pid)]).status,
        await fork(),
    ].map((text) => String(text).trim().replace(/\n/g, '|'));
}

function workers(port, count) {
    const one = (n) => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: { port, count: 20 + n } });
        worker.on('message', resolve);
        worker.on('error', reject);
    });
    return Promise.all([...Array(count).keys()].map(one));
}

async function obey(server, port, words) {
    const count = Number(words[1]);
    switch (words[0]) {
        case 'agent':
            return ask(port, count, new http.Agent({ keepAlive: true, maxSockets: 20 }));
        case 'each':
            return ask(port, count, new http.Agent({ keepAlive: false, maxSockets: 20 }));
        case 'children':
            return (await children()).join(';');
        case 'workers':
            return (await workers(port, count)).join(' ');
        case 'slow':
            return (await Promise.all([...Array(count).keys()].map(() => leave(port)))).join(' ');
        case 'signals':
            return signals;
        case 'stop':
            server.close();
            server.closeIdleConnections();
            return '';
        default:
            return 'what?';
    }
}

function listenToCommands(act) {
    const lines = readline.createInterface({ input: process.stdin });
    let last = Promise.resolve();
    lines.on('line', (line) => {
        last = last.then(() => act(line.split(' '))).then(
            (said) => console.log(`ok ${said}`), (error) => console.log(`error ${error.stack}`));
    });
    return lines;
}

function serve(port) {
    process.on('SIGUSR2', () => signals++);
    const server = http.createServer(answer).listen(port, '127.0.0.1', 1024, () => console.log('ready'));
    const lines = listenToCommands((words) => obey(server, port, words));
    process.on('SIGTERM', () => {
        lines.close();
        process.stdin.destroy();
        server.close(() => console.log(`closed, ${signals} signals`));
        server.closeAllConnections();
    });
    lines.on('close', () => server.close());
}

function primary(port) {
    let replaced = 0;
    for (let n = 0; n < 2; n++) {
        cluster.fork();
    }
    let up = 0;
    cluster.on('listening', () => {
        if (++up === 2) {
            console.log('ready');
        }
    });
    cluster.on('exit', (worker, code, signal) => {
        if (!worker.exitedAfterDisconnect) {
            replaced++;
            cluster.fork();
            console.log(`ok lost by ${code} ${signal}`);
        }
    });
    listenToCommands((words) => {
        if (words[0] === 'lose') {
            Object.values(cluster.workers)[0].process.kill('SIGKILL');
            return new Promise((resolve) => cluster.once('listening', () => resolve(`replaced ${replaced}`)));
        }
        return new Promise((resolve) => cluster.disconnect(() => resolve('all gone'))).then((said) => {
            process.stdin.destroy();
            return said;
        });
    });
}

if (!isMainThread) {
    const agent = new http.Agent({ keepAlive: true });
    ask(workerData.port, workerData.count, agent).then((good) => parentPort.postMessage(good));
} else if (cluster.isWorker) {
    http.createServer(answer).listen(Number(process.argv[3]), '127.0.0.1', 1024);
} else if (process.argv[2] === 'serve') {
    serve(Number(process.argv[3]));
} else if (process.argv[2] === 'cluster') {
    primary(Number(process.argv[3]));
} else {
    process.on('message', (message) => process.send({ answer: message.question * 7 }));
}
