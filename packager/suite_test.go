package packager_test

import (
	"fmt"
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

// TestMain lets the tests run this program again, as a run beside them.
func TestMain(m *testing.M) {
	if os.Getenv(besideFile) == "" {
		os.Exit(m.Run())
	}
	if err := beside(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestPackager(t *testing.T) {
	RegisterFailHandler(Fail)
	Expect(fixtures.TempInMemory()).To(Succeed())
	RunSpecs(t, "packager")
}
