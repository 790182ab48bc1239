package config

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestConfig(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/config")
}

// said writes problems as a table of this suite has them: "line: message",
// warnings with a "? " before.
func said(ps Problems) []string {
	all := []string{}
	for _, p := range ps {
		s := p.Error()[len(p.File)+1:]
		if p.Line == 0 {
			s = "0:" + s
		}
		if p.Warning {
			s = "? " + s
		}
		all = append(all, s)
	}
	return all
}
