package engine

import (
	"errors"
	"fmt"

	"laminate/flatten"
)

// joinByTarget joins what is wrong with the images for the targets. What is wrong
// with all of them is said once.
func joinByTarget(targets []flatten.Target, errs []error) error {
	with := map[string]int{} // how many of the targets it is wrong with
	for _, err := range errs {
		texts := map[string]bool{}
		for _, e := range apart(err) {
			texts[e.Error()] = true
		}
		for text := range texts {
			with[text]++
		}
	}
	said := map[string]bool{}
	var kept []error
	for i, err := range errs {
		for _, e := range apart(err) {
			if with[e.Error()] < len(targets) {
				e = fmt.Errorf("target %s: %w", targets[i], e)
			}
			if !said[e.Error()] {
				said[e.Error()] = true
				kept = append(kept, e)
			}
		}
	}
	return errors.Join(kept...)
}

// apart takes an error apart into those that were joined to make it.
func apart(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() { // it has words of its own
		return []error{err}
	}
	var parts []error
	for _, e := range joined.Unwrap() {
		parts = append(parts, apart(e)...)
	}
	return parts
}

// Prefixed puts the same words before each of the errors that were joined.
func Prefixed(prefix string, err error) error {
	var errs []error
	for _, e := range apart(err) {
		errs = append(errs, fmt.Errorf("%s%w", prefix, e))
	}
	return errors.Join(errs...)
}
