//go:build linux

package cli_test

import (
	"errors"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

var _ = Describe("the program", func() {
	It("is the other side of its sandboxes", func() {
		err := sandbox.Check(GinkgoT().TempDir())
		var forbidden *sandbox.SetupError
		if errors.As(err, &forbidden) && forbidden.Hint != "" {
			Skip(err.Error())
		}
		Expect(err).NotTo(HaveOccurred())
	})
})
