package cache_test

import (
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

// TestMain lets the tests run this program again, as a run beside them.
func TestMain(m *testing.M) {
	if dir := os.Getenv(besideDir); dir != "" {
		beside(dir)
	}
	os.Exit(m.Run())
}

func TestCache(t *testing.T) {
	RegisterFailHandler(Fail)
	Expect(fixtures.TempInMemory()).To(Succeed())
	SetDefaultEventuallyTimeout(time.Minute) // of a busy machine
	RunSpecs(t, "Cache")
}
