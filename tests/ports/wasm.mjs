// Runs a program for wasm32, or with --size prints its size in bytes: as stored, and its statics in memory.
import { readFileSync, writeSync } from "node:fs";

const sizeOnly = process.argv[2] === "--size";
const file = readFileSync(process.argv[sizeOnly ? 3 : 2]);
let instance;
const env = {
  print: (address, length) => void writeSync(1, new Uint8Array(instance.exports.memory.buffer, address, length)),
  quit: (status) => process.exit(status),
  nanoseconds: () => Math.round(performance.now() * 1e6),
};
instance = new WebAssembly.Instance(new WebAssembly.Module(file), { env });
if (sizeOnly) {
  const { __global_base, __data_end } = instance.exports; // statics lie between them, the stack below
  console.log(file.length, __data_end.value - __global_base.value);
} else {
  instance.exports.start();
  process.exit(1); // the program must call `quit` itself
}
