package source_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

func TestSource(t *testing.T) {
	RegisterFailHandler(Fail)
	Expect(fixtures.TempInMemory()).To(Succeed())
	SetDefaultEventuallyTimeout(time.Minute) // of a busy machine
	RunSpecs(t, "Source")
}
