package builder_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

func TestBuilder(t *testing.T) {
	RegisterFailHandler(Fail)
	Expect(fixtures.TempInMemory()).To(Succeed())
	SetDefaultEventuallyTimeout(time.Minute) // of a busy machine
	RunSpecs(t, "builder")
}
