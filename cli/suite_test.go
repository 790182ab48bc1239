package cli_test

import (
	"context"
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
)

// asLaminate is set for a process that is the program, and not its tests.
const asLaminate = "RUN_AS_LAMINATE"

func TestMain(m *testing.M) {
	if os.Getenv(asLaminate) != "" {
		os.Exit(cli.Run(context.Background(), os.Args, os.Stdout, os.Stderr, os.Getenv))
	}
	os.Exit(m.Run())
}

func TestCLI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "cli")
}
