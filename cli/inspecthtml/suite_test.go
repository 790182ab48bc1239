package inspecthtml_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestInspectHTML(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "cli/inspecthtml")
}
