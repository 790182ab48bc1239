package release_test

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
	"laminate/fixtures"
)

// TestMain lets the sandbox run this program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.Argument {
		os.Exit(sandbox.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestRelease(t *testing.T) {
	RegisterFailHandler(Fail)
	Expect(fixtures.TempInMemory()).To(Succeed())
	RunSpecs(t, "builder/release")
}
