package once_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/once"
)

func TestOnce(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute) // of a busy machine
	RunSpecs(t, "packager/once")
}

var _ = Describe("a Map", func() {
	It("makes the value of a key once, however many goroutines wait for it", func() {
		var m once.Map[string, int64]
		var count atomic.Int64
		var all sync.WaitGroup
		release := make(chan struct{})
		for range 20 {
			all.Go(func() {
				defer GinkgoRecover()
				Expect(m.Do("a", func() (int64, error) {
					n := count.Add(1)
					<-release
					return n, nil
				})).To(Equal(int64(1)))
			})
		}
		Eventually(count.Load).Should(Equal(int64(1)))
		Consistently(count.Load, "50ms").Should(Equal(int64(1)))
		close(release)
		all.Wait()
		Expect(m.Do("b", func() (int64, error) { return count.Add(1), nil })).To(Equal(int64(2)))
	})

	It("makes a value again whose making failed", func() {
		var m once.Map[int, string]
		_, err := m.Do(1, func() (string, error) { return "half", errors.New("no") })
		Expect(err).To(MatchError("no"))
		_, there := m.Get(1)
		Expect(there).To(BeFalse())
		Expect(m.Do(1, func() (string, error) { return "whole", nil })).To(Equal("whole"))
		value, there := m.Get(1)
		Expect(value).To(Equal("whole"))
		Expect(there).To(BeTrue())
	})

	It("makes other keys while one is being made", func() {
		var m once.Map[string, int]
		Expect(m.Do("outer", func() (int, error) { return m.Do("inner", func() (int, error) { return 7, nil }) })).To(Equal(7))
	})

	It("has what was set", func() {
		var m once.Map[string, int]
		m.Set("a", 1)
		m.Set("a", 2)
		Expect(m.Do("a", func() (int, error) { return 3, nil })).To(Equal(2))
	})
})
