package engine_test

import (
	"context"
	"errors"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/engine"
)

var _ = Describe("pieces of work in order", func() {
	It("end with the error of the first that fails, even if a later one fails before it", func(ctx SpecContext) {
		later := make(chan struct{})
		err := engine.InOrder(ctx, 3, func(_ context.Context, i int) error {
			switch i {
			case 0:
				<-later
				return errors.New("first")
			case 1:
				close(later)
				return errors.New("second")
			}
			return nil
		})
		Expect(err).To(MatchError("first"))
	})

	It("end those after the one that fails, and not those before it", func(ctx SpecContext) {
		failed := make(chan struct{})
		var done atomic.Int32
		err := engine.InOrder(ctx, 40, func(ctx context.Context, i int) error {
			if i == 1 {
				defer close(failed)
				return errors.New("second")
			}
			if i == 0 {
				<-failed
				if ctx.Err() == nil {
					done.Add(1)
				}
				return ctx.Err()
			}
			<-ctx.Done()
			return ctx.Err()
		})
		Expect(err).To(MatchError("second"))
		Expect(done.Load()).To(BeEquivalentTo(1))
	})

	It("end with what failed, and not with what that has ended for one before", func(ctx SpecContext) {
		shared := make(chan error, 1)
		err := engine.InOrder(ctx, 2, func(ctx context.Context, i int) error {
			if i == 0 { // it waits for what two layers need, and the second has begun to read
				return <-shared
			}
			shared <- context.Canceled
			return errors.New("second")
		})
		Expect(err).To(MatchError("second"))
	})

	It("end with the run", func(ctx SpecContext) {
		ending, end := context.WithCancel(ctx)
		err := engine.InOrder(ending, 10, func(ctx context.Context, i int) error {
			end()
			<-ctx.Done()
			return ctx.Err()
		})
		Expect(err).To(MatchError(context.Canceled))
	})
})
