package engine

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// atOnce is how many layers are built at the same time. One keeps two cores busy while it is built; it
// is the next ones that wait for the network. Each takes up to 20 MB of memory at two cores.
const atOnce = 4

// InOrder does n pieces of work, a few at the same time, which begin in order. An error ends those
// after it, and InOrder returns the error of the first that failed: it is the same in every run. One that
// was only ended, since it waited for what a later one had begun, does not count.
func InOrder(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	errs := make([]error, n)
	ends := make([]context.CancelCauseFunc, n)
	contexts := make([]context.Context, n)
	for i := range n {
		contexts[i], ends[i] = context.WithCancelCause(ctx)
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error {
			if errs[i] = context.Cause(contexts[i]); errs[i] == nil {
				errs[i] = do(contexts[i], i)
			}
			if errs[i] != nil {
				for _, end := range ends[i+1:] {
					end(errs[i])
				}
			}
			return nil // those before it go on
		})
	}
	_ = group.Wait()
	for _, end := range ends {
		end(nil)
	}
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return cmp.Or(errs...) // nil, or the run has ended
}
