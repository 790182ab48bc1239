package mediatype_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMediatype(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/mediatype")
}
