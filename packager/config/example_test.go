package config_test

import (
	"fmt"

	"laminate/flatten"
	"laminate/packager/config"
)

func ExampleParsePackage() {
	_, problems := config.ParsePackage("package.toml", []byte(`
[buildpack]
uri = "."

[[dependecies]]
uri = "../hello-moon"

[platform]
os = "windows"
`))
	fmt.Println(problems.Err())
	// Output:
	// package.toml:5: unknown key "dependecies"; did you mean "dependencies"?
	// package.toml:9: unsupported platform.os = "windows"; remove it: laminate makes images for linux only
}

func ExampleParseModule() {
	m, problems := config.ParseModule(flatten.Buildpack, "buildpack.toml", []byte(`api = "0.10"

[buildpack]
id = "samples/hello-universe"
version = "0.0.1"

[[order]]
group = [
  { id = "samples/hello-world", version = "0.0.1" },
  { id = "samples/hello-moon" },
]
`))
	if err := problems.Err(); err != nil {
		fmt.Println(err)
	}
	for i, group := range m.Order {
		for j, entry := range group.Entries {
			if entry.Version == "" {
				fmt.Println(m.Warning(entry.ID+" has no version", "order", i, "group", j))
			}
		}
	}
	// Output:
	// buildpack.toml:10: samples/hello-moon has no version
}
