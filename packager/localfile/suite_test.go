package localfile_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestLocalfile(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/localfile")
}
