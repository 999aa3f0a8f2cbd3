#!/usr/bin/env node
// Runs the command for this machine, with the terminal and the exit status of its own.
const { spawnSync } = require("node:child_process");
const path = require("node:path");

const program = path.join(__dirname, `${process.platform}-${process.arch}`);
const ended = spawnSync(program, process.argv.slice(2), { stdio: "inherit" });
if (ended.error) {
  console.error(`agentguard: ${program} can't be run: ${ended.error.message}`);
  process.exit(2);
}
if (ended.signal) {
  process.kill(process.pid, ended.signal);
}
process.exit(ended.status ?? 2);
