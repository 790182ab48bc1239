package verify

import (
	"fmt"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
)

// The files of a builder (platform spec, "Builder").
const (
	orderFile  = "/cnb/order.toml"
	stackFile  = "/cnb/stack.toml"
	runFile    = "/cnb/run.toml"
	systemFile = "/cnb/system.toml"
)

// isBuilderFile reports whether a path is one that a builder must have.
func isBuilderFile(name string) bool {
	switch name {
	case orderFile, stackFile, runFile, systemFile:
		return true
	}
	return strings.HasPrefix(name, flatten.LifecycleDir+"/") && !strings.Contains(name[len(flatten.LifecycleDir)+1:], "/")
}

// file returns the content of a file in the topmost layer that has it, and the number of the layer,
// or 0. A content that is nil was not read.
func (v *verifier) file(name string) (content []byte, number int) {
	for i := len(v.reads) - 1; i >= 0; i-- {
		if content, is := v.reads[i].files[name]; is {
			if v.hiddenAbove(i, name) {
				return nil, 0
			}
			return content, i + 1
		}
		if !v.reads[i].ok {
			return nil, i + 1 // it may be there
		}
	}
	return nil, 0
}

// builderFiles checks the files of a builder.
func (v *verifier) builderFiles() {
	for _, name := range []string{orderFile, stackFile, runFile} {
		content, number := v.file(name)
		switch {
		case number == 0 && name == runFile && !v.builder.Lifecycle.HasPlatform("0.12"):
			// It is new in Platform API 0.12.
		case number == 0:
			v.broken(BuilderFile, "%s is missing", name)
		case name == orderFile && content != nil:
			v.orderFile(content, number)
		}
	}
	if content, number := v.file(systemFile); content != nil {
		v.systemFile(content, number)
	} else if number == 0 && !v.builder.System.Empty() {
		v.broken(BuilderFile, "%s is missing, but label %s has system buildpacks", systemFile, flatten.SystemLabel)
	}
	for _, binary := range flatten.LifecycleBinaries() {
		if _, number := v.file(flatten.LifecycleDir + "/" + binary); number == 0 {
			v.broken(Lifecycle, "%s/%s is missing", flatten.LifecycleDir, binary)
		}
	}
}

// orderFile compares order.toml with the labels.
func (v *verifier) orderFile(content []byte, number int) {
	var file struct {
		Order      flatten.Order `toml:"order"`
		Extensions flatten.Order `toml:"order-extensions"`
	}
	if !v.decode(orderFile, content, number, &file) {
		return
	}
	v.compareOrders(number, orderFile, flatten.OrderLabel, flatten.Buildpack, file.Order, v.builder.Order)
	v.compareOrders(number, orderFile, flatten.OrderExtensionsLabel, flatten.Extension, file.Extensions, v.builder.OrderExtensions)
}

// systemFile compares system.toml with the label.
func (v *verifier) systemFile(content []byte, number int) {
	var file struct {
		System flatten.System `toml:"system"`
	}
	if !v.decode(systemFile, content, number, &file) {
		return
	}
	order := func(s flatten.System) flatten.Order {
		return flatten.Order{{Entries: s.Pre.Buildpacks}, {Entries: s.Post.Buildpacks}}
	}
	v.compareOrders(number, systemFile, flatten.SystemLabel, flatten.Buildpack, order(file.System), order(v.builder.System))
}

func (v *verifier) decode(name string, content []byte, number int, value any) bool {
	doc, problems := config.Parse(name, content)
	if len(problems) == 0 {
		problems = doc.Decode(value, config.WarnOfUnknown)
	}
	if err := problems.Err(); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		v.add(Finding{Severity: Broken, What: OrderFile, Layer: number, Message: first})
		return false
	}
	return true
}

// compareOrders compares the order in a file with that of a label: entry by entry, where an entry
// without a version means the only version in the image.
func (v *verifier) compareOrders(number int, name, label string, kind flatten.Kind, is, said flatten.Order) {
	finder := v.plain[kind].Finder()
	resolve := func(o flatten.Order) flatten.Order {
		var resolved flatten.Order
		for _, g := range o {
			var r flatten.Group
			for _, e := range g.Entries {
				if found := finder.Find(e); len(found) == 1 {
					e.Version = found[0].Version
				}
				r.Entries = append(r.Entries, e)
			}
			resolved = append(resolved, r)
		}
		return resolved
	}
	if where := orderDiffers(resolve(is), resolve(said)); where != "" {
		v.add(Finding{Severity: Broken, What: OrderFile, Layer: number, Message: fmt.Sprintf("%s differs from label %s: %s", name, label, where)})
	}
}
