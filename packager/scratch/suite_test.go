package scratch_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/scratch"
)

// besidePlace names, in the environment of a process beside the tests, the
// directory in which that process makes a scratch directory and then sleeps.
const besidePlace = "SCRATCH_TEST_PLACE"

func TestMain(m *testing.M) {
	if place := os.Getenv(besidePlace); place != "" {
		dir, err := scratch.Make(scratch.At(place))
		if err == nil {
			err = os.WriteFile(dir.Path()+"/file", make([]byte, 1000), 0o600)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(2)
		}
		fmt.Println(dir.Name)
		time.Sleep(time.Minute)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func TestScratch(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "scratch")
}
