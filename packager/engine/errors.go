package engine

import (
	"errors"
	"fmt"

	"laminate/flatten"
	"laminate/packager/config"
)

// joinByTarget joins the errors of the targets. It lists an error that all targets share once, and
// names the target of any other.
func joinByTarget(targets []flatten.Target, errs []error) error {
	with := map[string]int{} // how many of the targets have the error
	for _, err := range errs {
		texts := map[string]bool{}
		for _, e := range apart(err) {
			texts[e.Error()] = true
		}
		for text := range texts {
			with[text]++
		}
	}
	listed := map[string]bool{}
	var kept []error
	for i, err := range errs {
		for _, e := range apart(err) {
			if with[e.Error()] < len(targets) {
				e = fmt.Errorf("target %s: %w", targets[i], e)
			}
			if !listed[e.Error()] {
				listed[e.Error()] = true
				kept = append(kept, e)
			}
		}
	}
	return errors.Join(kept...)
}

// apart returns the errors that were joined to make err.
func apart(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() { // it adds text of its own
		return []error{err}
	}
	var parts []error
	for _, e := range joined.Unwrap() {
		parts = append(parts, apart(e)...)
	}
	return parts
}

// WithPlace turns each of the joined errors into a [config.Problem] at the place: with its file and
// position, and its message as a prefix.
func WithPlace(place config.Problem, err error) error {
	var errs []error
	for _, e := range apart(err) {
		p := place
		p.Message, p.Cause = place.Message+e.Error(), e
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}
