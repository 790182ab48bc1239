package cli_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

// rounds slows a registry down, and counts how many requests come after one another.
type rounds struct {
	mu    sync.Mutex
	spans [][2]time.Time
}

func (r *rounds) before(http.ResponseWriter, *http.Request) bool {
	begin := time.Now()
	time.Sleep(25 * time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, [2]time.Time{begin, time.Now()})
	return false
}

// inARow returns the largest number of requests none of which overlaps another.
func (r *rounds) inARow() (n int) {
	slices.SortFunc(r.spans, func(a, b [2]time.Time) int { return a[1].Compare(b[1]) })
	var end time.Time
	for _, s := range r.spans {
		if s[0].After(end) {
			n, end = n+1, s[1]
		}
	}
	return n
}

var _ = Describe("inspect of a builder in a registry", Ordered, func() {
	var registry *fixtures.Traffic

	BeforeAll(func() {
		enterBuilder()
		toml := "[build]\nimage = \"oci:base\"\n[[run.images]]\nimage = \"docker://127.0.0.1:1/run\"\n[lifecycle]\nuri = \"lifecycle.tgz\"\n"
		var order strings.Builder
		for i := range 100 {
			putBuildpack(fmt.Sprintf("many%d", i))
			toml += fmt.Sprintf("[[buildpacks]]\nuri = \"many%d\"\n", i)
			fmt.Fprintf(&order, "[[order]]\n[[order.group]]\nid = \"acme/many%d\"\n", i)
		}
		put("builder.toml", toml+order.String())
		registry = fixtures.CountedRegistry(GinkgoT())
		Expect(create("docker://"+registry.Host+"/acme/builder:1", "-q", "--flatten=none").code).To(BeZero())
		Expect(create("docker://"+registry.Host+"/acme/builder:2", "-q", "--flatten=none", "-t", "linux/arm64").code).To(BeZero())
	})

	DescribeTable("needs few requests in a row, and reads no layer", func(args ...string) {
		r := &rounds{}
		registry.Reset()
		registry.Before(r.before)
		defer registry.Before(nil)
		args[0] = registry.Host + args[0]
		begin := time.Now()
		printed := laminate(append([]string{"inspect"}, args...)...)
		Expect(printed.code).To(BeZero(), printed.stderr)
		Expect(strings.Count(printed.stdout, "acme/many99")).To(BeNumerically(">=", 2))
		Expect(r.inARow()).To(And(BeNumerically(">=", 3), BeNumerically("<=", 6)))
		for _, request := range registry.Requests(nil) {
			Expect(request.Down).To(BeNumerically("<", 200_000), request.Digest)
		}
		fmt.Fprintln(GinkgoWriter, len(r.spans), "requests,", r.inARow(), "in a row,", time.Since(begin))
	},
		Entry("one platform", "/acme/builder:1"),
		Entry("an index", "/acme/builder:2"),
		Entry("an image of an index", "/acme/builder:2", "--target", "linux/arm64"),
	)
})
