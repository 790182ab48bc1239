package image

import (
	"errors"
	"fmt"
)

// problemLimit is the maximum number of errors that are reported for one source.
const problemLimit = 20

// few joins the first errors, and a count of the rest.
func few(errs []error) error {
	if more := len(errs) - problemLimit; more > 0 {
		errs = append(errs[:problemLimit:problemLimit], andMore(more))
	}
	return errors.Join(errs...)
}

func andMore(n int) error { return fmt.Errorf("and %d more", n) }

// fewOf is few for errors that are already joined.
func fewOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return few(joined.Unwrap())
	}
	return err
}
