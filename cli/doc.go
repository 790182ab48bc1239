// Package cli holds laminate's commands and every word that a user sees.
//
// The rules for those words:
//
//   - Standard output is for results, one line each, for other programs to
//     read. Everything else goes to standard error.
//   - An error is one sentence on one line after "laminate: ": the subject
//     first, in the words that the user wrote; then invalid, unknown, missing,
//     duplicate, ambiguous or unsupported; then, after a semicolon, what to do.
//   - Several problems are printed together, each once, in the order of the input,
//     the first 20 and a count. Input that a message quotes is cut to
//     60 columns, without control characters and secrets.
//   - Exit code 2 and a pointer to --help are for a wrong command line, before
//     anything was tried; 1 is for a run that failed and left no output.
//   - A line reports completed work: one line per layer with its outcome, and a
//     summary at the end. A terminal also shows what is in progress.
//   - A warning begins with "warning:" and states what happens nevertheless.
//     --quiet prints results and errors only. Color only repeats the words.
package cli
