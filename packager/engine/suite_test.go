package engine_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestAssembly(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/engine")
}
