package smoke_test

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
)

var _ = Describe("a file in a root file system", Ordered, func() {
	var root *os.Root
	BeforeAll(func() {
		dir := GinkgoT().TempDir()
		for _, sub := range []string{"usr/bin", "etc/alternatives"} {
			Expect(os.MkdirAll(filepath.Join(dir, sub), 0o755)).To(Succeed())
		}
		Expect(os.WriteFile(filepath.Join(dir, "usr/bin/dash"), nil, 0o755)).To(Succeed())
		for link, target := range map[string]string{
			"bin": "usr/bin", "usr/bin/sh": "/etc/alternatives/sh", "etc/alternatives/sh": "../../../bin/dash",
			"usr/bin/gone": "/nowhere", "usr/bin/loop": "loop", "out": "../../../../../../etc/passwd",
		} {
			Expect(os.Symlink(target, filepath.Join(dir, link))).To(Succeed())
		}
		var err error
		root, err = os.OpenRoot(dir)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(root.Close)
	})

	DescribeTable("is found as in the sandbox", func(name string, there bool) {
		Expect(smoke.HasFile(root, name)).To(Equal(there))
	},
		Entry("itself", "/usr/bin/dash", true),
		Entry("through a link in a parent", "/bin/dash", true),
		Entry("through absolute links, and up beyond the root", "/bin/sh", true),
		Entry("and not through a link to nothing", "/bin/gone", false),
		Entry("nor through a loop", "/bin/loop", false),
		Entry("nor outside of the root", "/out", false),
		Entry("nor where there is none", "/usr/bin/bash", false),
	)
})
