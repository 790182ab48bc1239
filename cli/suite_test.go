package cli_test

import (
	"context"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
	"laminate/cli"
	"laminate/fixtures"
)

// asLaminate is set for a process that is the program, and not its tests.
const asLaminate = "RUN_AS_LAMINATE"

func TestMain(m *testing.M) {
	// A stage of a sandbox has no environment.
	if os.Getenv(asLaminate) != "" || len(os.Args) > 1 && os.Args[1] == sandbox.Argument {
		os.Exit(cli.Run(context.Background(), os.Args, os.Stdout, os.Stderr, os.Getenv))
	}
	os.Exit(m.Run())
}

func TestCLI(t *testing.T) {
	RegisterFailHandler(Fail)
	Expect(fixtures.TempInMemory()).To(Succeed())
	SetDefaultEventuallyTimeout(time.Minute) // of a busy machine
	RunSpecs(t, "cli")
}
