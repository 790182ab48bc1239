package cli

import "laminate/packager/progress"

// ProgressLine gives the ends of a progress line, which stand beside its bar.
func ProgressLine(verb, name string, columns int, current, total int64) (left, right string) {
	return label(progress.Verb(verb), name, columns, total), sizes(current, total, columns)
}
