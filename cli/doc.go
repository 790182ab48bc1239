// Package cli holds laminate's commands and every word that a person reads.
//
// The rules for those words: standard output is for results, one line each,
// that another program may read; everything else goes to standard error.
// A message begins with "laminate: ", says what happened in terms of what the
// user wrote, and what can be done about it where that is known. A warning
// says so. Of work, a line is printed when it is done; a terminal shows in
// passing what is under way. --quiet leaves results and errors. Colour only
// repeats what the words say already.
package cli
