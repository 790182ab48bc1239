package packager_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

func ExamplePrepare() {
	workDir, err := os.MkdirTemp("", "laminate-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(workDir)
	config, err := config.ReadPackage(filepath.Join(fixtures.Root(), "packages", "my-programming-lang", "package.toml"))
	if err != nil {
		log.Fatal(err)
	}

	jobs, err := packager.Prepare(context.Background(), &source.Opener{WorkDir: workDir}, packager.Options{
		Config: config,
		Options: engine.Options{
			Targets:  []flatten.Target{{OS: "linux", Arch: "amd64"}},
			Grouping: flatten.Grouping{Mode: flatten.All, Exclude: []string{"samples/ruby-*"}},
			WorkDir:  workDir,
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, job := range jobs {
		image, err := job.Build(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(image.Target)
		for _, l := range image.Layers {
			fmt.Printf("%s: %v\n", l.Plan.Reason, l.Plan.Refs)
		}
	}
	// Output:
	// linux/amd64
	// excluded: [samples/ruby-bundler@0.0.1]
	// all in one layer: [samples/my-programming-lang@0.0.1 samples/java-maven@0.0.1 samples/kotlin-gradle@0.0.1]
}
