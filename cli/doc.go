// Package cli holds laminate's commands and every word that a user sees.
//
// The rules for those words:
//
//   - Standard output is for results, one line each, for other programs to
//     read. Everything else goes to standard error.
//   - An error is one sentence on one line behind "laminate: ": the subject
//     first, in the words that the user wrote; then invalid, unknown, missing,
//     duplicate, ambiguous or unsupported; then, after a semicolon, what to do.
//   - Several problems are printed together, each once, in the order of the input,
//     the first 20 and a count. What a message repeats of the input is cut to
//     60 columns, free of control characters and of secrets.
//   - Exit code 2 and a pointer to --help are for a wrong command line, before
//     anything was tried; 1 is for a run that failed and left no output.
//   - A line stands for work that is done: each layer once, by what became of it,
//     and a summary at the end. A terminal shows in passing what is under way.
//   - A warning begins with "warning:" and names what happens nevertheless.
//     --quiet leaves results and errors. Colour only repeats what words say.
package cli
