package image

import (
	"errors"
	"fmt"
)

// problemLimit bounds how many things of one kind are told of one source.
const problemLimit = 20

// few joins the first of the errors, and tells how many there are besides.
func few(errs []error) error {
	if more := len(errs) - problemLimit; more > 0 {
		errs = append(errs[:problemLimit:problemLimit], andMore(more))
	}
	return errors.Join(errs...)
}

func andMore(n int) error { return fmt.Errorf("and %d more", n) }

// fewOf is few for what was joined before.
func fewOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return few(joined.Unwrap())
	}
	return err
}
