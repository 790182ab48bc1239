package cli_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

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
		registry.Reset()
		rounds, stop := registry.Rounds()
		defer stop()
		args[0] = registry.Host + args[0]
		printed := laminate(append([]string{"inspect"}, args...)...)
		Expect(printed.code).To(BeZero(), printed.stderr)
		Expect(strings.Count(printed.stdout, "acme/many99")).To(BeNumerically(">=", 2))
		Expect(rounds.Count()).To(And(BeNumerically(">=", 3), BeNumerically("<=", 6)), rounds.Chain)
		for _, request := range registry.Requests(nil) {
			Expect(request.Down).To(BeNumerically("<", 200_000), request.Digest)
		}
	},
		Entry("one platform", "/acme/builder:1"),
		Entry("an index", "/acme/builder:2"),
		Entry("an image of an index", "/acme/builder:2", "--target", "linux/arm64"),
	)
})
