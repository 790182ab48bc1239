package flatten_test

import (
	"fmt"

	"laminate/flatten"
)

// A root over two composites that share npm, and a component.
func sample() flatten.Modules {
	return modules(
		composite("acme/all@1", group("acme/node@2"), group("acme/web@3", "acme/ca@1")),
		composite("acme/node@2", group("acme/engine@5", "acme/npm@7")),
		composite("acme/web@3", group("acme/npm@7", "acme/httpd@2")),
		component("acme/engine@5"), component("acme/npm@7"), component("acme/httpd@2"), component("acme/ca@1"),
	)
}

func ExampleModules_Expand() {
	e, problems := sample().Expand(flatten.Ref{ID: "acme/all", Version: "1"})
	fmt.Println(len(problems), "problems")
	for _, ref := range e.Refs[1:] {
		fmt.Println(ref, "is owned by", e.Owners[ref])
	}
	// Output:
	// 0 problems
	// acme/node@2 is owned by [acme/node@2]
	// acme/engine@5 is owned by [acme/node@2]
	// acme/npm@7 is owned by [acme/node@2 acme/web@3]
	// acme/web@3 is owned by [acme/web@3]
	// acme/httpd@2 is owned by [acme/web@3]
	// acme/ca@1 is owned by [acme/ca@1]
}

func ExamplePlan() {
	ms := sample()
	e, _ := ms.Expand(flatten.Ref{ID: "acme/all", Version: "1"})
	plan, err := flatten.Plan(e, ms, flatten.Grouping{Mode: flatten.Composites, Exclude: []string{"acme/httpd"}}, flatten.Existing{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range plan {
		fmt.Println(l.Refs, l.Reason)
	}
	// Output:
	// [acme/node@2 acme/engine@5] composite acme/node@2
	// [acme/npm@7] shared by acme/node@2, acme/web@3
	// [acme/web@3] composite acme/web@3
	// [acme/httpd@2] excluded
	// [acme/ca@1] top-level component
	// [acme/all@1] root
}

func ExampleSelect() {
	e, _ := sample().Expand(flatten.Ref{ID: "acme/all", Version: "1"})
	for _, pattern := range []string{"acme/npm", "acme/n*", "acme/nmp"} {
		refs, err := flatten.Select(pattern, e.Refs)
		fmt.Println(pattern, refs, err)
	}
	// Output:
	// acme/npm [acme/npm@7] <nil>
	// acme/n* [acme/node@2 acme/npm@7] <nil>
	// acme/nmp [] unknown buildpack "acme/nmp"; did you mean acme/npm@7, acme/node@2 or acme/httpd@2?
}

func ExampleCommonStacks() {
	a, b := component("a@1"), component("b@1")
	a.Stacks = []flatten.Stack{{ID: "io.buildpacks.stacks.jammy", Mixins: []string{"git"}}, {ID: "io.buildpacks.stacks.bionic"}}
	b.Stacks = []flatten.Stack{{ID: "io.buildpacks.stacks.jammy", Mixins: []string{"curl"}}}
	fmt.Println(flatten.CommonStacks([]flatten.Module{a, b}))
	// Output: [{io.buildpacks.stacks.jammy [curl git]}]
}
