// A TypeScript checker that stays up: one JSON line {"source"} in, one {"errors", "js"} out.
// It sees its own library files and the one text, nothing else, and never runs what it reads.
"use strict";
const ts = require(process.argv[2]);
const path = require("path");

const options = { target: ts.ScriptTarget.ESNext, strict: false, noEmitOnError: false };
const library = path.dirname(ts.getDefaultLibFilePath(options));
const parsed = new Map();
const name = "program.ts";

function libraryFile(file) {
  if (path.dirname(file) !== library || !path.basename(file).startsWith("lib.")) return undefined;
  if (!parsed.has(file)) {
    const text = ts.sys.readFile(file);
    parsed.set(file, text && ts.createSourceFile(file, text, options.target));
  }
  return parsed.get(file);
}

function check(source) {
  let js = "";
  const text = ts.createSourceFile(name, source, options.target);
  const host = {
    getSourceFile: (file) => (file === name ? text : libraryFile(file)),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    writeFile: (file, written) => { if (file.endsWith(".js")) js = written; },
    getCurrentDirectory: () => "/",
    getCanonicalFileName: (file) => file,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    fileExists: (file) => file === name || libraryFile(file) !== undefined,
    readFile: () => undefined,
    getDirectories: () => [],
  };
  const program = ts.createProgram([name], options, host);
  const found = ts.getPreEmitDiagnostics(program);
  program.emit();
  const errors = found.map((d) => {
    const place = d.file && d.start !== undefined
      ? `${d.file.fileName}:${d.file.getLineAndCharacterOfPosition(d.start).line + 1}: ` : "";
    return `${place}error TS${d.code}: ${ts.flattenDiagnosticMessageText(d.messageText, "\n")}`;
  });
  return { errors, js };
}

let waiting = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (part) => {
  waiting += part;
  for (let end; (end = waiting.indexOf("\n")) >= 0; waiting = waiting.slice(end + 1)) {
    let answer;
    try {
      answer = check(JSON.parse(waiting.slice(0, end)).source);
    } catch (error) {
      answer = { errors: [`error: ${error}`], js: "" };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
});
