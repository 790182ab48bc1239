package engine

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten/layer"
)

var _ = Describe("blobs that are opened ahead of their turn", func() {
	var opened, closed atomic.Int32
	open := func(context.Context) (io.ReadCloser, error) {
		opened.Add(1)
		return counted{strings.NewReader("blob"), &closed}, nil
	}
	BeforeEach(func() {
		opened.Store(0)
		closed.Store(0)
	})
	// queued returns the openers of n blobs.
	queued := func(ctx context.Context, n int) (*queue, []layer.Opener) {
		q := &queue{ctx: ctx}
		var openers []layer.Opener
		for range n {
			openers = append(openers, q.add(open))
		}
		q.start()
		return q, openers
	}

	It("are a few more than those that are read", func(ctx SpecContext) {
		q, openers := queued(ctx, opensAhead+5)
		Eventually(opened.Load).Should(BeEquivalentTo(opensAhead))
		blob, err := openers[0](ctx)
		Expect(err).NotTo(HaveOccurred())
		Eventually(opened.Load).Should(BeEquivalentTo(opensAhead + 1))
		Expect(io.ReadAll(blob)).To(BeEquivalentTo("blob"))
		Expect(blob.Close()).To(Succeed())
		q.end()
		Expect(opened.Load()).To(BeEquivalentTo(opensAhead + 1))
		Expect(closed.Load()).To(Equal(opened.Load()))
	})

	It("are opened anew by those that open them again, and out of turn", func(ctx SpecContext) {
		q, openers := queued(ctx, opensAhead+5)
		for _, i := range []int{opensAhead + 4, 0, 0} {
			blob, err := openers[i](ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(blob.Close()).To(Succeed())
		}
		q.end()
		Expect(closed.Load()).To(Equal(opened.Load()))
		blob, err := openers[1](ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(blob.Close()).To(Succeed())
		Expect(closed.Load()).To(Equal(opened.Load()))
	})

	It("give their errors to those that wait for them", func(ctx SpecContext) {
		q := &queue{ctx: ctx}
		broken := q.add(func(context.Context) (io.ReadCloser, error) { return nil, errors.New("no such blob") })
		q.start()
		_, err := broken(ctx)
		Expect(err).To(MatchError("no such blob"))
		q.end()
	})
})

// counted counts how often it is closed.
type counted struct {
	io.Reader
	closed *atomic.Int32
}

func (c counted) Close() error {
	c.closed.Add(1)
	return nil
}
